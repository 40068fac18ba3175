package genai

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What Python's repr and json.dumps (ensure_ascii=False) write of one value.
var pyPairs = [][2]string{
	{`None`, `null`},
	{`True`, `true`},
	{`-4`, `-4`},
	{`259.9`, `259.9`},
	{`1e-05`, `1e-05`},
	{`123456789012345678901234567890`, `123456789012345678901234567890`},
	{`'a'`, `"a"`},
	{`"it's"`, `"it's"`},
	{`'both \' and "'`, `"both ' and \""`},
	{`'\\ \n \r \t \x00 \x1b \x7f é \xa0 ❄️ 😀 \U000e0001'`, "\"\\\\ \\n \\r \\t \\u0000 \\u001b \x7f é \u00a0 ❄️ 😀 \U000e0001\""},
	{`[]`, `[]`},
	{`()`, `[]`},
	{`(1,)`, `[1]`},
	{`(1, 'a')`, `[1, "a"]`},
	{`{}`, `{}`},
	{`{'city': 'Oslo', 'temp_c': -4, 'items': ['coat', None, {'a': (True, False)}]}`, `{"city": "Oslo", "temp_c": -4, "items": ["coat", null, {"a": [true, false]}]}`},
}

func TestPyJSON(t *testing.T) {
	for _, p := range pyPairs {
		got, ok := pyJSON(p[0])
		assert.True(t, ok, p[0])
		assert.Equal(t, p[1], got)
	}
}

func TestPyJSONExactOrNothing(t *testing.T) {
	for _, s := range []string{
		``, `nan`, `-inf`, `1j`, `1_000`, `01`, `.5`, `1.`, `b'a'`, `{1, 2}`, `{1: 'a'}`, `datetime.date(2026, 1, 2)`, `<object at 0x7f>`,
		`'cut`, `['cut'`, `{'a': 'b'...`, `[...]`, `(1)`, `'a' 'b'`, `'\ud83d'`, `'\q'`, `'\x4`, `[1 2]`, `{'a' 1}`, "'a\nb'", `True1`, `Trueish`,
		strings.Repeat("[", 100_000), strings.Repeat("(", maxPyDepth+2) + strings.Repeat(",)", maxPyDepth+2),
	} {
		_, ok := pyJSON(s)
		assert.False(t, ok, s)
	}
}

func TestPyArgument(t *testing.T) {
	for in, want := range map[string]string{
		`RunResult(output='Done.', state='success')`:                 `"Done."`,
		`RunResult(output='Done.')`:                                  `"Done."`,
		`RunResult(output='Done.', steps=[Step(…`:                    `"Done."`,
		`RunResult(state={'a': [1]}, output=None, steps=[])`:         `null`,
		`RunResult(state='success', steps=[Step()], output='Done.')`: ``, // behind an object: not looked for
		`RunResult(output=<Image>)`:                                  ``,
		`RunResult(output='cu`:                                       ``,
		`RunResult('Done.')`:                                         ``,
		`Result(output='Done.')`:                                     ``,
		`RunResult()`:                                                ``,
	} {
		got, ok := pyArgument(in, "RunResult", "output")
		assert.Equal(t, want != "", ok, in)
		if ok {
			assert.Equal(t, want, got, in)
		}
	}
	assert.True(t, pyObject(`ChatMessage(role=<MessageRole.USER: 'user'>)`))
	for _, s := range []string{``, `Hello (a=b)`, `f(x=1)`, `Call(me)`, `Dear(`} {
		assert.False(t, pyObject(s), s)
	}
}

func TestPyObjects(t *testing.T) {
	for in, want := range map[string]string{
		`<ChatRole.USER: 'user'>`:        `"user"`,
		`<Level.LOW: 1>`:                 `1`,
		`<function f.<locals>.g at 0x1>`: `null`,
		`Tool()`:                         `{}`,
		`{'cb': functools.partial(<function f at 0x1>, x=')'), 'd': datetime.date(2026, 1, 2), 'b': b'\x00', 'a': 1}`: `{"cb":null,"d":null,"b":null,"a":1}`,
		`[Text(text='a'), {'b': Text(text="it's")}]`:                                                                  `[{"text":"a"},{"b":{"text":"it's"}}]`,
		`ChatMessage(_role=<ChatRole.USER: 'user'>, _content=[TextContent(text='hi')], _name=None, _meta={})`:         `{"_role":"user","_content":[{"text":"hi"}],"_name":null,"_meta":{}}`,
	} {
		got, ok := pyObjects(in)
		require.True(t, ok, in)
		require.JSONEq(t, want, got, in)
	}
	for _, in := range []string{`f(1`, `b`, `Text(text={1, 2})`, `Text(text=`, `Text(text='a'`, `<A.B: >`, `<a`, `Text(text='a' b='c')`, `None(`, `f x`} {
		got, ok := pyObjects(in)
		require.False(t, ok, "%s: %s", in, got)
	}
}

// FuzzPyJSON: what is read is JSON, and what Python would write of it again is
// read the same.
func FuzzPyJSON(f *testing.F) {
	for _, p := range pyPairs {
		f.Add(p[0])
		f.Add("RunResult(output=" + p[0] + ", steps=[])")
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = pyArgument(s, "RunResult", "output")
		pyObject(s)
		if got, ok := pyObjects(s); ok {
			require.True(t, json.Valid([]byte(got)), "%q gives %q", s, got)
		}
		got, ok := pyJSON(s)
		if !ok {
			return
		}
		require.True(t, json.Valid([]byte(got)), "%q gives %q", s, got)
		require.LessOrEqual(t, len(got), 6*len(s)+2)
	})
}
