package measure

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// number is a number as people write it: with thousands separators, a sign, a
// currency in front, an exponent.
var (
	plain  = `\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+`
	whole  = regexp.MustCompile(`^[-+−]?\s*[$€£]?\s*(?:` + plain + `)(?:[eE][-+]?\d+)?\s*%?$`)
	within = regexp.MustCompile(`[-+−]?[$€£]?(?:` + plain + `)(?:[eE][-+]?\d+)?%?`)
)

// Number reads a text that is one number: "1,234.5", "$12", "-3e2", "12 %" (12
// hundredths). false if it is anything else. Linear in the text.
func Number(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	if !whole.MatchString(text) {
		return 0, false
	}
	text, percent := strings.CutSuffix(text, "%")
	text = strings.NewReplacer(",", "", "$", "", "€", "", "£", "", " ", "", "\u00a0", "", "−", "-").Replace(text)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(v, 0) {
		return 0, false
	}
	if percent {
		v /= 100
	}
	return v, true
}

// LastNumber is the last number in a text: the answer of a worked solution, as
// GSM8K (Cobbe et al., 2021) is scored in the habit of the field. A minus
// directly behind a letter, a digit or a bracket is a dash. Linear in the text.
func LastNumber(text string) (float64, bool) {
	found := within.FindAllStringIndex(text, -1)
	for i := len(found) - 1; i >= 0; i-- {
		at, end := found[i][0], found[i][1]
		word := strings.TrimLeft(text[at:end], "+-−")
		if len(word) < end-at && at > 0 && behindWord(text[at-1]) {
			at = end - len(word)
		}
		if v, ok := Number(text[at:end]); ok {
			return v, true
		}
	}
	return 0, false
}

func behindWord(b byte) bool {
	return b == ')' || b == ']' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}

// Near says whether two numbers differ by at most tolerance, absolute or
// relative to the larger one.
func Near(a, b, tolerance float64) bool {
	if a == b {
		return true
	}
	d := math.Abs(a - b)
	return d <= tolerance || d <= tolerance*max(math.Abs(a), math.Abs(b))
}

// MathEqual says whether two texts are the same number: as LaTeX (\boxed{…},
// \frac{a}{b}, \sqrt{…}, \pi, ^, \cdot, \times, \div, \left, \right, \%, $…$) or as arithmetic with
// + - * / ^ and brackets. Values that are rational are compared exactly, others
// to 1 part in 10⁹. Texts that cannot be read so are equal if they are the same
// but for white space. Linear in the texts.
func MathEqual(a, b string) bool {
	a, b = unbox(a), unbox(b)
	x, okX := Evaluate(a)
	y, okY := Evaluate(b)
	if !okX || !okY {
		return okX == okY && strings.Join(strings.Fields(a), "") == strings.Join(strings.Fields(b), "")
	}
	if x.exact != nil && y.exact != nil {
		return x.exact.Cmp(y.exact) == 0
	}
	return Near(x.Float(), y.Float(), 1e-9)
}

// unbox is what the last \boxed{…} holds, else the text without dollars around it.
func unbox(text string) string {
	if i := strings.LastIndex(text, `\boxed{`); i >= 0 {
		rest, depth := text[i+len(`\boxed{`):], 1
		for j := range len(rest) {
			switch rest[j] {
			case '{':
				depth++
			case '}':
				depth--
			}
			if depth == 0 {
				return rest[:j]
			}
		}
	}
	return strings.Trim(strings.TrimSpace(text), "$")
}

// Value is what an expression comes to.
type Value struct {
	exact *big.Rat // nil = a root or π is in it
	about float64
}

// Float is the value as a float.
func (v Value) Float() float64 {
	if v.exact != nil {
		f, _ := v.exact.Float64()
		return f
	}
	return v.about
}
