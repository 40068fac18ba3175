package openai

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exchange is one of testdata/tokens, recorded from vLLM 0.32.0 (see the README
// there): a request, its answer, and the answer to the same request with
// return_token_ids and logprobs.
type exchange struct{ request, plain, asked []byte }

func (x exchange) streams() bool { return bytes.HasPrefix(x.asked, []byte("data:")) }

func exchanges(tb testing.TB) map[string]exchange {
	tb.Helper()
	names, err := filepath.Glob("testdata/tokens/*.request")
	require.NoError(tb, err)
	require.NotEmpty(tb, names)
	out := map[string]exchange{}
	for _, name := range names {
		base := strings.TrimSuffix(name, ".request")
		var x exchange
		for ext, to := range map[string]*[]byte{".request": &x.request, ".plain": &x.plain, ".asked": &x.asked} {
			*to, err = os.ReadFile(base + ext)
			require.NoError(tb, err)
		}
		out[filepath.Base(base)] = x
	}
	return out
}

// random tells the ids that a server draws for tool calls apart.
var random = regexp.MustCompile(`chatcmpl-tool-[0-9a-f]{16}`)

// TestStrip: the answer that was asked for tokens, stripped, is the answer to
// the request that did not ask, byte for byte, in whatever pieces it comes.
func TestStrip(t *testing.T) {
	unaskable := map[string]string{"n": NoneChoices, "stream_error": "own_logprobs"}
	for name, x := range exchanges(t) {
		t.Run(name, func(t *testing.T) {
			body, strip, why := Ask(x.request)
			assert.Equal(t, unaskable[name], why)
			if why != "" {
				assert.Equal(t, string(x.request), string(body))
				assert.Nil(t, strip)
				return
			}
			var want, got map[string]any
			require.NoError(t, json.Unmarshal(x.request, &want))
			require.NoError(t, json.Unmarshal(body, &got))
			want["return_token_ids"], want["logprobs"] = true, true
			assert.Equal(t, want, got)

			for range 50 {
				in := io.NopCloser(pieces{bytes.NewReader(x.asked), 1 + rand.IntN(200)})
				out, err := io.ReadAll(NewEditor(in, x.streams(), strip))
				require.NoError(t, err)
				require.Equal(t, random.ReplaceAllString(string(x.plain), "id"), random.ReplaceAllString(string(out), "id"))
			}
			out, err := io.ReadAll(NewEditor(io.NopCloser(bytes.NewReader(x.plain)), x.streams(), strip))
			require.NoError(t, err)
			assert.Equal(t, string(x.plain), string(out), "of a server that does not know return_token_ids")
		})
	}
}

// pieces gives at most n bytes at once.
type pieces struct {
	io.Reader
	n int
}

func (p pieces) Read(b []byte) (int, error) { return p.Reader.Read(b[:min(p.n, len(b))]) }

// TestStripLineEnds: neither do line ends matter, nor that the stream breaks off.
func TestStripLineEnds(t *testing.T) {
	x := exchanges(t)["stream_tool_named"]
	_, strip, _ := Ask(x.request)
	crlf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }
	out, err := io.ReadAll(NewEditor(io.NopCloser(iotest.OneByteReader(bytes.NewReader(crlf(x.asked)))), true, strip))
	require.NoError(t, err)
	assert.Equal(t, random.ReplaceAllString(string(crlf(x.plain)), "id"), random.ReplaceAllString(string(out), "id"))

	cut := len(x.asked) / 2
	broken := io.MultiReader(bytes.NewReader(x.asked[:cut]), iotest.ErrReader(io.ErrUnexpectedEOF))
	out, err = io.ReadAll(NewEditor(io.NopCloser(broken), true, strip))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	whole := out[:bytes.LastIndex(out, []byte("\n\n"))+2]
	assert.True(t, strings.HasPrefix(random.ReplaceAllString(string(x.plain), "id"), random.ReplaceAllString(string(whole), "id")), "what came is what would have come")
}

// TestTokens: what is read of an answer is what another reader of JSON finds in
// it, streamed or not, in whatever pieces.
func TestTokens(t *testing.T) {
	all := exchanges(t)
	for name, x := range all {
		t.Run(name, func(t *testing.T) {
			if bytes.Contains(x.asked, []byte(`"error"`)) {
				t.Skip("an error")
			}
			want := tokensOf(t, x.asked)
			var a *Answer
			if x.streams() {
				a = read(x.asked, 1+rand.IntN(300))
			} else {
				a, _ = ParseAnswer(x.asked, plenty)
			}
			got, none := a.Tokens()
			if name == "n" {
				assert.Equal(t, NoneChoices, none)
				assert.Empty(t, got)
				return
			}
			assert.Empty(t, none)
			assert.Equal(t, want, got)

			plain, _ := ParseAnswer(x.plain, plenty)
			if x.streams() {
				plain = read(x.plain, 100)
			}
			got, none = plain.Tokens()
			assert.NotEmpty(t, none, "nothing is made up where nothing was told")
			assert.Empty(t, got)
			if !strings.Contains(name, "ids") {
				assert.False(t, plain.HasIDs())
			}
		})
	}
	for _, pair := range [][2]string{{"plain", "stream"}, {"adapter", "stream_adapter"}, {"tools", "stream_tools"}, {"tool_named", "stream_tool_named"}} {
		assert.Equal(t, tokensOf(t, all[pair[0]].asked), tokensOf(t, all[pair[1]].asked), "streamed or not, with one seed")
	}
	assert.NotEqual(t, tokensOf(t, all["plain"].asked), tokensOf(t, all["adapter"].asked))
}

// tokensOf reads an answer or a stream in the plainest way.
func tokensOf(t *testing.T, raw []byte) (out Tokens) {
	t.Helper()
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "data: "))
		if line == "" || line == "[DONE]" {
			continue
		}
		var doc struct {
			PromptTokenIDs []int32 `json:"prompt_token_ids"`
			Choices        []struct {
				TokenIDs []int32 `json:"token_ids"`
				Logprobs struct{ Content []struct{ Logprob float32 } }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(line), &doc))
		out.Prompt = append(out.Prompt, doc.PromptTokenIDs...)
		for _, c := range doc.Choices {
			out.IDs = append(out.IDs, c.TokenIDs...)
			for _, l := range c.Logprobs.Content {
				out.Logprobs = append(out.Logprobs, l.Logprob)
			}
		}
	}
	return out
}

// Tokens that do not fit together are none.
func TestTokensThatAreNone(t *testing.T) {
	const head = `{"prompt_token_ids":[1,2],"choices":[{"index":0,"token_ids":`
	for doc, want := range map[string]string{
		head + `[3,4],"logprobs":{"content":[{"logprob":-1}]}}]}`:                                      NoneLengths,
		head + `[3],"logprobs":null}]}`:                                                                NoneLengths,
		head + `[],"logprobs":null}]}`:                                                                 NoneAbsent,
		head + `[3.5],"logprobs":{"content":[{"logprob":-1}]}}]}`:                                      NoneAbsent,
		head + `[-3],"logprobs":{"content":[{"logprob":-1}]}}]}`:                                       NoneAbsent,
		head + `[9999999999],"logprobs":{"content":[{"logprob":-1}]}}]}`:                               NoneAbsent,
		head + `[3],"logprobs":{"content":[{"logprob":"-1"}]}}]}`:                                      NoneAbsent,
		head + `[3],"logprobs":{"content":[{"logprob":-1}]}},{"index":1}]}`:                            NoneChoices,
		`{"choices":[{"index":0,"token_ids":[3],"logprobs":{"content":[{"logprob":-1}]}}]}`:            NoneAbsent,
		`{"choices":[{"index":0,"message":{"content":"hi"}}]}`:                                         NoneAbsent,
		head + `[` + strings.Repeat("1,", maxTokens) + `1],"logprobs":{"content":[{"logprob":-1}]}}]}`: NoneLarge,
	} {
		a, _ := ParseAnswer([]byte(doc), plenty)
		got, none := a.Tokens()
		assert.Equal(t, want, none, doc[:min(120, len(doc))])
		assert.Empty(t, got)
		assert.LessOrEqual(t, a.TokenCount(), maxTokens)
	}
}

// What cannot be asked without a change to the answer is not asked.
func TestUnaskable(t *testing.T) {
	for body, want := range map[string]string{
		`{"n":2}`:                  NoneChoices,
		`{"n":1.5}`:                NoneChoices,
		`{"best_of":3}`:            NoneChoices,
		`{"use_beam_search":true}`: NoneChoices,
		`{"echo":true}`:            "echo",
		`{"top_logprobs":2}`:       "own_logprobs",
		`{"top_logprobs":"2"}`:     "own_logprobs",
		`{"logprobs":"true"}`:      "own_logprobs",
		`{"logprobs":1}`:           "own_logprobs",
		`{"logprobs":true,"logprob_token_ids":[1]}`: "own_logprobs",
		`{"logprobs":true,"logprobs":false}`:        "ambiguous",
		`[]`:                                        "not_json",
		`{"model":`:                                 "not_json",
	} {
		got, strip, why := Ask([]byte(body))
		assert.Equal(t, want, why, body)
		assert.Equal(t, body, string(got))
		assert.Nil(t, strip)
	}
	for _, x := range [][2]string{
		{`{}`, `{"return_token_ids":true,"logprobs":true}`},
		{" {\"n\":1,\"echo\":false,\"logprobs\" : null, \"x\":\"}\"} \n", " {\"n\":1,\"echo\":false,\"logprobs\" : true, \"x\":\"}\",\"return_token_ids\":true} \n"},
		{`{"logprobs":true,"top_logprobs":3}`, `{"logprobs":true,"top_logprobs":3,"return_token_ids":true}`},
		{`{"return_token_ids":false,"logprobs":false,"top_logprobs":0,"n":null}`, `{"return_token_ids":true,"logprobs":true,"top_logprobs":0,"n":null}`},
		{`{"return_token_ids":true,"logprobs":true}`, `{"return_token_ids":true,"logprobs":true}`},
	} {
		body, want := x[0], x[1]
		got, _, why := Ask([]byte(body))
		assert.Empty(t, why, body)
		assert.Equal(t, want, string(got))
	}
}

// FuzzAsk holds that what is sent is the request and two members more.
func FuzzAsk(f *testing.F) {
	for _, x := range exchanges(f) {
		f.Add(x.request)
	}
	f.Add([]byte(` { "logprobs" :null,"a":{"logprobs":1}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, _, why := Ask(in)
		if why != "" {
			require.Equal(t, in, out)
			return
		}
		var before, after map[string]any
		require.NoError(t, json.Unmarshal(in, &before))
		require.NoError(t, json.Unmarshal(out, &after))
		before["return_token_ids"], before["logprobs"] = true, true
		require.Equal(t, before, after)
	})
}

// FuzzStrip holds that nothing but what was not asked for is taken out.
func FuzzStrip(f *testing.F) {
	for _, x := range exchanges(f) {
		for line := range strings.Lines(string(x.asked)) {
			if i := strings.IndexByte(line, '{'); i >= 0 {
				f.Add([]byte(strings.TrimSpace(line[i:])))
			}
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var before, after map[string]any
		if json.Unmarshal(in, &before) != nil {
			return
		}
		kept := bytes.Clone(in)
		out := stripper{ids: true, logprobs: true}.strip(in)
		require.Equal(t, kept, in, "it is not written into")
		if out == nil {
			require.Contains(t, string(in), `{}`)
			return
		}
		require.NoError(t, json.Unmarshal(out, &after))
		require.Equal(t, nulled(before), nulled(after))
	})
}

// nulled is a document without what is taken out.
func nulled(doc map[string]any) map[string]any {
	delete(doc, "prompt_token_ids")
	if list, ok := doc["choices"].([]any); ok {
		for _, c := range list {
			if c, ok := c.(map[string]any); ok {
				delete(c, "token_ids")
				delete(c, "prompt_token_ids")
				delete(c, "logprobs")
			}
		}
	}
	return doc
}
