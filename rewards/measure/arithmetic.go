package measure

import (
	"math"
	"math/big"
	"strings"
)

const (
	maxArithmetic = 1024 // bytes of an expression
	maxDepth      = 64   // brackets within each other
	maxExponent   = 64
	maxBits       = 4096 // of a numerator or denominator
)

// Evaluate computes an arithmetic expression, see [MathEqual]. false if the
// text is none, divides by zero, or grows beyond all bounds.
func Evaluate(text string) (Value, bool) {
	if len(text) > maxArithmetic {
		return Value{}, false
	}
	p := arithmetic{rest: readable.Replace(text)}
	v, ok := p.sum()
	p.space()
	return v, ok && p.rest == ""
}

// readable turns what means the same into the same sign.
var readable = strings.NewReplacer(
	`\left`, "", `\right`, "", `\,`, "", `\;`, "", `\!`, "", `\ `, " ", `\%`, "%", `\$`, "",
	`\cdot`, "*", `\times`, "*", `\div`, "/", "×", "*", "·", "*", "÷", "/", "−", "-", `\dfrac`, `\frac`, `\tfrac`, `\frac`, "**", "^", "π", `\pi`,
)

// arithmetic is a parser by recursive descent.
type arithmetic struct {
	rest  string
	depth int
}

func (p *arithmetic) space() { p.rest = strings.TrimLeft(p.rest, " \t\n") }

func (p *arithmetic) take(sign string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, sign)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *arithmetic) sum() (Value, bool) {
	if p.depth++; p.depth > maxDepth {
		return Value{}, false
	}
	defer func() { p.depth-- }()
	v, ok := p.product()
	for ok {
		var w Value
		switch {
		case p.take("+"):
			if w, ok = p.product(); ok {
				v, ok = combine(v, w, (*big.Rat).Add, func(a, b float64) float64 { return a + b })
			}
		case p.take("-"):
			if w, ok = p.product(); ok {
				v, ok = combine(v, w, (*big.Rat).Sub, func(a, b float64) float64 { return a - b })
			}
		default:
			return v, true
		}
	}
	return v, false
}

func (p *arithmetic) product() (Value, bool) {
	v, ok := p.signed()
	for ok {
		var w Value
		switch {
		case p.take("*"):
			if w, ok = p.signed(); ok {
				v, ok = times(v, w)
			}
		case p.take("/"):
			if w, ok = p.signed(); ok {
				v, ok = divide(v, w)
			}
		case p.take("%"):
			v, ok = divide(v, Value{exact: big.NewRat(100, 1)})
		case p.follows(`\`, "("): // 2\pi, 2(3)
			if w, ok = p.power(); ok {
				v, ok = times(v, w)
			}
		default:
			return v, true
		}
	}
	return v, false
}

func (p *arithmetic) follows(signs ...string) bool {
	p.space()
	for _, s := range signs {
		if strings.HasPrefix(p.rest, s) {
			return true
		}
	}
	return false
}

func (p *arithmetic) signed() (Value, bool) {
	sign := int64(1)
	for i := 0; i < maxDepth; i++ {
		switch {
		case p.take("-"):
			sign = -sign
		case p.take("+"):
		default:
			v, ok := p.power()
			if !ok {
				return v, false
			}
			return times(v, Value{exact: big.NewRat(sign, 1)})
		}
	}
	return Value{}, false
}

func (p *arithmetic) power() (Value, bool) {
	base, ok := p.atom()
	if !ok || !p.take("^") {
		return base, ok
	}
	var exponent Value
	if p.follows("{", "(") {
		exponent, ok = p.atom()
	} else {
		exponent, ok = p.signed()
	}
	if !ok {
		return Value{}, false
	}
	return raise(base, exponent)
}

func (p *arithmetic) atom() (Value, bool) {
	switch {
	case p.take("("):
		return p.bracket(")")
	case p.take("{"):
		return p.bracket("}")
	case p.take(`\frac`):
		a, okA := p.part()
		b, okB := p.part()
		if !okA || !okB {
			return Value{}, false
		}
		return divide(a, b)
	case p.take(`\sqrt`):
		v, ok := p.part()
		if !ok {
			return Value{}, false
		}
		return root(v)
	case p.take(`\pi`):
		return Value{about: math.Pi}, true
	}
	return p.number()
}

// part is an argument of a LaTeX command: {…} or one digit.
func (p *arithmetic) part() (Value, bool) {
	if p.take("{") {
		return p.bracket("}")
	}
	p.space()
	if p.rest == "" || p.rest[0] < '0' || p.rest[0] > '9' {
		return Value{}, false
	}
	v := Value{exact: big.NewRat(int64(p.rest[0]-'0'), 1)}
	p.rest = p.rest[1:]
	return v, true
}

func (p *arithmetic) bracket(end string) (Value, bool) {
	v, ok := p.sum()
	return v, ok && p.take(end)
}

func (p *arithmetic) number() (Value, bool) {
	p.space()
	n := 0
	for n < len(p.rest) && (p.rest[n] >= '0' && p.rest[n] <= '9' || p.rest[n] == '.' || p.rest[n] == ',' && thousands(p.rest[n+1:])) {
		n++
	}
	digits := strings.ReplaceAll(p.rest[:n], ",", "")
	if digits == "" || digits == "." {
		return Value{}, false
	}
	r, ok := new(big.Rat).SetString(digits)
	if !ok {
		return Value{}, false
	}
	p.rest = p.rest[n:]
	return bounded(Value{exact: r})
}

// thousands says whether exactly three digits follow a comma.
func thousands(s string) bool {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n == 3
}

func combine(a, b Value, exact func(z, x, y *big.Rat) *big.Rat, about func(x, y float64) float64) (Value, bool) {
	if a.exact != nil && b.exact != nil {
		return bounded(Value{exact: exact(new(big.Rat), a.exact, b.exact)})
	}
	return bounded(Value{about: about(a.Float(), b.Float())})
}

func times(a, b Value) (Value, bool) {
	return combine(a, b, (*big.Rat).Mul, func(x, y float64) float64 { return x * y })
}

func divide(a, b Value) (Value, bool) {
	if b.Float() == 0 {
		return Value{}, false
	}
	return combine(a, b, (*big.Rat).Quo, func(x, y float64) float64 { return x / y })
}

func raise(a, b Value) (Value, bool) {
	if b.exact == nil || !b.exact.IsInt() || a.exact == nil {
		return bounded(Value{about: math.Pow(a.Float(), b.Float())})
	}
	n := b.exact.Num()
	if !n.IsInt64() || n.Int64() > maxExponent || n.Int64() < -maxExponent {
		return Value{}, false
	}
	v := Value{exact: big.NewRat(1, 1)}
	for range abs(n.Int64()) {
		w, ok := times(v, a)
		if !ok {
			return Value{}, false
		}
		v = w
	}
	if n.Sign() < 0 {
		return divide(Value{exact: big.NewRat(1, 1)}, v)
	}
	return v, true
}

// root is exact for squares of rationals: \sqrt{4} is 2.
func root(v Value) (Value, bool) {
	if v.Float() < 0 {
		return Value{}, false
	}
	if v.exact != nil {
		num, den := new(big.Int).Sqrt(v.exact.Num()), new(big.Int).Sqrt(v.exact.Denom())
		r := new(big.Rat).SetFrac(num, den)
		if new(big.Rat).Mul(r, r).Cmp(v.exact) == 0 {
			return Value{exact: r}, true
		}
	}
	return Value{about: math.Sqrt(v.Float())}, true
}

func bounded(v Value) (Value, bool) {
	if v.exact != nil {
		return v, v.exact.Num().BitLen() <= maxBits && v.exact.Denom().BitLen() <= maxBits
	}
	return v, !math.IsNaN(v.about) && !math.IsInf(v.about, 0)
}

func abs(n int64) int64 { return max(n, -n) }
