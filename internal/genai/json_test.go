package genai

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/tidwall/gjson"
)

// FuzzScanner holds the scanner against a JSON reader that is known to be
// good: the same texts are JSON, and every member says the same.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		`{"a":"b\u00e9\ud83d\ude00\ud83d x\n\\\"","c":[1,-0.5e3,true,null,{}],"":{"a":""}}`, `[]`, ` "x" `, `"\ud83d\ud83d\ude00"`,
		`{"a":1,}`, `[1 2]`, `01`, `-`, `1.`, `1e`, `"\x"`, `"a` + "\n" + `"`, `{"a":"` + strings.Repeat("ü 日本 ", 40) + `"}`, `nul`, `"\u12"`, `{"a" 1}`, `12.50`,
		strings.Repeat("[", 900) + strings.Repeat("]", 900),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Count(s, "[")+strings.Count(s, "{") >= maxDepth {
			return
		}
		c := scanner{s: s}
		whole := c.value()
		if want := gjson.Valid(s); c.done() != want {
			t.Fatalf("%q: JSON is %v, want %v", s, c.done(), want)
		} else if !want {
			return
		}
		agree(t, whole, gjson.Parse(strings.TrimSpace(s)))
		members := gjson.Result{Type: gjson.JSON, Raw: whole.raw}
		c = scanner{s: whole.raw}
		switch whole.raw[0] {
		case '{':
			more := c.enter('{')
			members.ForEach(func(k, v gjson.Result) bool {
				assert.True(t, more)
				assert.Equal(t, k.Str, c.key())
				agree(t, c.value(), v)
				more = c.next('}')
				return true
			})
			assert.False(t, more)
		case '[':
			more := c.enter('[')
			members.ForEach(func(_, v gjson.Result) bool {
				assert.True(t, more)
				agree(t, c.value(), v)
				more = c.next(']')
				return true
			})
			assert.False(t, more)
		}
		if whole.raw[0] == '{' || whole.raw[0] == '[' {
			assert.True(t, c.done(), s)
		}
	})
}

func agree(t *testing.T, got token, want gjson.Result) {
	t.Helper()
	assert.Equal(t, want.Raw, got.raw)
	assert.Equal(t, want.Str, got.view())
	assert.Equal(t, want.String(), got.asText())
	assert.Equal(t, want.Type == gjson.Null, got.isNull())
	if got.isText() {
		text := got.view()
		assert.True(t, got.says(text))
		assert.False(t, got.says(text+"x"))
		if text != "" {
			assert.False(t, got.says(text[:len(text)-1]))
			assert.False(t, got.says("\x01"+text[1:]) && text[0] != 1)
		}
	}
}

func TestScannerStopsAtDepth(t *testing.T) {
	for depth, want := range map[int]bool{maxDepth: true, maxDepth + 1: false, 1 << 20: false} {
		s := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		c := scanner{s: s}
		c.value()
		assert.Equal(t, want, c.done(), "%d levels", depth)
	}
}

func TestScannerOfBrokenText(t *testing.T) {
	for _, s := range []string{"", " ", "{", `{"a`, `{"a"`, `{"a":`, `{"a":1`, `[`, `[1`, `[1,`, `"`, `"\`, `"\u1`, "tru"} {
		c := scanner{s: s}
		c.value()
		assert.False(t, c.done(), s)
	}
}
