package measure

import (
	"math"
	"strings"
	"testing"
	"testing/quick"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTexts(t *testing.T) {
	assert.Equal(t, "cat sat on mat", Normalise("  The cat,\n sat on A  mat! "))
	assert.Equal(t, "dont 5", Normalise("Don't: $5"))
	assert.Equal(t, "café", Normalise("«Café»"))
	for _, c := range []struct {
		got, want        string
		f1, rouge, alike float64
	}{
		{"", "", 1, 1, 1},
		{"", "x", 0, 0, 0},
		{"the the the", "", 1, 0, 0},
		{"same words here", "same words here", 1, 1, 1},
		{"police killed the gunman", "police kill the gunman", 2. / 3, 0.75, 1 - 2./24}, // Lin, 2004, section 3.1: S1 and S2
		{"the gunman kill police", "police kill the gunman", 1, 0.5, 1 - 20./22},        // S1 and S3
		{"kitten", "sitting", 0, 0, 1 - 3./7},
		{"naïve", "naive", 0, 0, 0.8},
	} {
		assert.InDelta(t, c.f1, F1(c.got, c.want), 1e-12, "F1 %q %q", c.got, c.want)
		assert.InDelta(t, c.rouge, RougeL(c.got, c.want), 1e-12, "RougeL %q %q", c.got, c.want)
		assert.InDelta(t, c.alike, Similarity(c.got, c.want), 1e-12, "Similarity %q %q", c.got, c.want)
	}
	assert.InDelta(t, 1./3, Overlap([]string{"a", "b", "b"}, []string{"b", "c"}), 1e-12)
	assert.Equal(t, 1.0, Overlap(nil, nil))
	assert.Equal(t, 0.5, Coverage([]string{"a", "x"}, []string{"a", "b", "b"}))
	assert.Equal(t, 1.0, Coverage(nil, nil))
}

// TestTextLaws: what holds for all texts.
func TestTextLaws(t *testing.T) {
	between := func(v float64) bool { return v >= 0 && v <= 1 }
	for name, f := range map[string]func(a, b string) float64{"F1": F1, "RougeL": RougeL, "Similarity": Similarity} {
		require.NoError(t, quick.Check(func(a, b string) bool {
			return between(f(a, b)) && math.Abs(f(a, b)-f(b, a)) < 1e-12 && f(a, a) == 1
		}, nil), name)
	}
	require.NoError(t, quick.Check(func(a string) bool { return Normalise(Normalise(a)) == Normalise(a) || strings.ContainsAny(a, "İ") }, nil))
	require.NoError(t, quick.Check(func(a, b []string) bool {
		return between(Overlap(a, b)) && between(Coverage(a, b)) && Coverage(a, a) == 1
	}, nil))
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]float64{
		"12": 12, " 1,234.5 ": 1234.5, "$12": 12, "-3e2": -300, "12 %": 0.12, "−7": -7, ".5": 0.5, "€1,000,000": 1e6, "+4": 4,
	} {
		got, ok := Number(text)
		assert.True(t, ok, text)
		assert.InDelta(t, want, got, 1e-12, text)
	}
	for _, text := range []string{"", "abc", "1 2", "12abc", "1,23", "1e999", "--1", "NaN", "Inf", "0x10"} {
		_, ok := Number(text)
		assert.False(t, ok, text)
	}
	for text, want := range map[string]float64{
		"So 3 + 4 = 7 apples.": 7, "#### 1,450": 1450, "costs $3.50.": 3.5, "between 3-5": 5, "it is -5": -5, "(2)-1": 1, "90% of it": 0.9, "ORD-12": 12,
	} {
		got, ok := LastNumber(text)
		assert.True(t, ok, text)
		assert.InDelta(t, want, got, 1e-12, text)
	}
	_, ok := LastNumber("none")
	assert.False(t, ok)
	assert.True(t, Near(100, 101, 0.01))
	assert.True(t, Near(0, 1e-12, 1e-9))
	assert.False(t, Near(1, 1.1, 0.01))
	assert.False(t, Near(math.NaN(), 1, 1))
}

func TestMathEqual(t *testing.T) {
	for _, c := range [][2]string{
		{"1/2", "0.5"}, {`\frac{1}{2}`, "0.50"}, {`\frac12`, "1/2"}, {`$\boxed{42}$`, "42"}, {`so it is \boxed{\frac{3}{4}}.`, "0.75"},
		{"1,000", "1000"}, {"2^10", "1024"}, {"2**10", "1024"}, {`\sqrt{16}`, "4"}, {`\sqrt{2}`, "2^(1/2)"}, {`2\pi`, `\pi*2`}, {"50%", "1/2"}, {"-(3-5)", "2"},
		{`3\cdot 4`, "12"}, {"2(3)", "6"}, {"x + 1", "x+1"}, {"2^{-1}", "0.5"}, {`\left(1+2\right)\times3`, "9"}, {"-2^2", "-4"}, {"7", " 7 "},
	} {
		assert.True(t, MathEqual(c[0], c[1]), "%v", c)
		assert.True(t, MathEqual(c[1], c[0]), "%v", c)
	}
	for _, c := range [][2]string{
		{"1/3", "0.333"}, {"42", "forty two"}, {"x", "y"}, {"1/0", "1"}, {"", "0"}, {"1e400", "1"}, {"9^9^9^9", "1"}, {"2^100000", "1"}, {`\sqrt{-1}`, "1"}, {"1,23", "123"},
	} {
		assert.False(t, MathEqual(c[0], c[1]), "%v", c)
	}
}

func FuzzArithmetic(f *testing.F) {
	for _, s := range []string{`\frac{1}{2}`, "((1))", "2^-64", `\sqrt{\frac{4}{9}}`, "1,000%", "-+-1", strings.Repeat("(", 2000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, ok := Evaluate(text)
		if ok && (math.IsNaN(v.Float())) {
			t.Fatalf("%q gives NaN", text)
		}
		if !MathEqual(text, text) {
			t.Fatalf("%q does not equal itself", text)
		}
		if v, ok := LastNumber(text); ok && (math.IsNaN(v) || math.IsInf(v, 0)) {
			t.Fatalf("%q: last number %v", text, v)
		}
	})
}

func TestJSON(t *testing.T) {
	s, err := CompileSchema(`{"type":"object","required":["city"],"properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1}}}`)
	require.NoError(t, err)
	assert.True(t, s.Valid(`{"city":"Oslo","days":3}`))
	for _, bad := range []string{"", "x", `{"days":3}`, `{"city":1}`, `{"city":"Oslo","days":0}`, `{"city":"Oslo"} x`} {
		assert.False(t, s.Valid(bad), bad)
	}
	for _, bad := range []string{"", "[", `{"type":1}`, `{"$ref":"file:///etc/passwd"}`, `{"$ref":"https://example.com/s.json"}`} {
		_, err := CompileSchema(bad)
		assert.Error(t, err, bad)
	}
	assert.Equal(t, 1, s.Weight())
	s, err = CompileSchema(`{"anyOf":[{"type":"string"},{"not":{"type":"null"}}],"properties":{"$ref":{"type":"string"}}}`)
	require.NoError(t, err)
	assert.Equal(t, 4, s.Weight())
	_, err = CompileSchema(`{"$defs":{"a":{"type":"string"}},"properties":{"x":{"$ref":"#/$defs/a"}}}`)
	assert.ErrorContains(t, err, "$ref is not supported: write what it names in its place")
	p, err := CompilePath("$.items[1].price")
	require.NoError(t, err)
	doc, err := ParseJSON(`{"items":[{"price":1},{"price":2}]}`)
	require.NoError(t, err)
	got, ok := p.Get(doc)
	assert.True(t, ok)
	assert.Equal(t, 2.0, got)
	_, ok = p.Get(map[string]any{})
	assert.False(t, ok)
	for _, bad := range []string{"$..x", "$[?(@.a)]", "$.*", "$[", strings.Repeat("a", 300)} {
		_, err := CompilePath(bad)
		assert.Error(t, err, bad)
	}
}

func TestCitations(t *testing.T) {
	cite := func(text, pattern string) []string {
		p, err := CompilePattern(pattern)
		require.NoError(t, err)
		return p.Citations(text)
	}
	list := cite("as [doc:12] and [doc:9], again [doc:12]", `\[doc:(\w+)\]`)
	assert.Equal(t, []string{"12", "9"}, list)
	assert.Equal(t, 1, Supported(list, []string{"id 12", "other"}))
	assert.Equal(t, []string{"HB-1"}, cite("see HB-1", `HB-\d`))
}

func TestTools(t *testing.T) {
	run := func(name, arguments string, failed bool) Run { return Run{name, arguments, true, failed} }
	runs := []Run{run("search", "a", true), run("search", "a", false), run("search", "a", false), run("book", "b", true), {Name: "search"}, {Name: "search"}}
	assert.Equal(t, 2, Marked(Repeated(runs)))
	assert.Equal(t, 1, Marked(Redundant(runs)))
	assert.Equal(t, 2, Failed(runs))
	assert.Equal(t, 1, Recovered(runs))
	assert.Equal(t, 1, DeadEnds(runs))
	assert.True(t, InOrder(runs, []string{"search", "book"}))
	assert.False(t, InOrder(runs, []string{"book", "search", "book"}))
	assert.True(t, InOrder(runs, nil))
	assert.True(t, Exactly(runs[2:4], []string{"search", "book"}))
	assert.False(t, Exactly(runs, []string{"search"}))
	assert.True(t, Before(runs, "search", "book"))
	assert.False(t, Before(runs, "pay", "book"))
	assert.True(t, Before(runs, "book", "pay"))
	assert.InDelta(t, 2./6, Precision(runs, []string{"search", "book", "pay"}), 1e-12)
	assert.InDelta(t, 2./3, Recall(runs, []string{"search", "book", "pay"}), 1e-12)
	assert.Equal(t, 1.0, Precision(nil, nil))
	assert.Equal(t, 1.0, Recall(nil, nil))
}

func TestShapes(t *testing.T) {
	assert.Equal(t, 1.0, Linear(1, 2, 10))
	assert.Equal(t, 0.5, Linear(6, 2, 10))
	assert.Equal(t, 0.0, Linear(11, 2, 10))
	assert.Equal(t, 0.25, Linear(0.25, 1, 0))
	assert.Equal(t, 1.0, Linear(2, 2, 2))
	assert.Equal(t, 0.5, Decay(30, 30))
	assert.True(t, math.IsNaN(Decay(1, 0)))
	assert.Equal(t, 0.0, Overlong(80, 100, 20))
	assert.Equal(t, -0.5, Overlong(90, 100, 20))
	assert.Equal(t, -1.0, Overlong(200, 100, 20))
	assert.True(t, math.IsNaN(Overlong(1, 1, 0)))
	assert.True(t, math.IsNaN(Clip(math.NaN(), 0, 1)))
}
