package openai

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSetModel(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`{"model":"a","x":{"model":"a"}}`, `{"model":"b<","x":{"model":"a"}}`},
		{" \n{ \"n\": 1.0, \"model\" : \"\\u0061\" } ", " \n{ \"n\": 1.0, \"model\" : \"b<\" } "},
		{`{"mod\u0065l":"a"}`, `{"mod\u0065l":"b<"}`},
		{`{"model":"a","model":"c"}`, ""},
		{`{"model":"a","mod\u0065l":"c"}`, ""},
		{`{"model":1}`, ""},
		{`{"x":{"model":"a"}}`, ""},
		{`["model","a"]`, ""},
		{`{"model":"a"`, ""},
		{``, ""},
	} {
		doc, want := c.doc, c.want
		got, ok := SetModel([]byte(doc), "b<")
		if want == "" {
			assert.False(t, ok, doc)
			want = doc
		}
		assert.Equal(t, want, string(got))
		if name, has := Model([]byte(doc)); has {
			assert.Equal(t, "a", name)
			assert.True(t, ok)
		}
	}
}

// TestEditorLeavesTheRest: with edits that change nothing, any stream and any
// body pass byte for byte, however they are cut into pieces.
func TestEditorLeavesTheRest(t *testing.T) {
	for _, text := range streams(t) {
		for seed := range uint64(20) {
			for _, stream := range []bool{true, false} {
				got, err := io.ReadAll(NewEditor(inPieces(text, seed), stream, func(doc []byte) []byte { return doc }))
				require.NoError(t, err)
				require.Equal(t, text, string(got))
			}
		}
	}
}

func TestEditorEditsEachEvent(t *testing.T) {
	set := func(doc []byte) []byte {
		out, _ := SetModel(doc, "asked")
		return out
	}
	drop := func(doc []byte) []byte {
		if bytes.Contains(doc, []byte("usage")) {
			return nil
		}
		return doc
	}
	for seed := range uint64(40) {
		in := ": hello\n\ndata: {\"model\":\"a\",\r\ndata: \"n\":1}\r\n\r\nevent: x\ndata:{\"model\":\"a\"}\nid: 1\n\ndata: {\"model\":\"a\",\"usage\":{}}\n\ndata: {\"model\":\n\ndata: [DONE]\n\ndata: {\"model\":\"a\"}"
		want := ": hello\n\ndata: {\"model\":\"asked\",\ndata: \"n\":1}\r\n\r\nevent: x\ndata: {\"model\":\"asked\"}\nid: 1\n\ndata: {\"model\":\n\ndata: [DONE]\n\ndata: {\"model\":\"asked\"}"
		got, err := io.ReadAll(NewEditor(inPieces(in, seed), true, set, drop))
		require.NoError(t, err)
		require.Equal(t, want, string(got))

		got, err = io.ReadAll(NewEditor(inPieces(`{"id":1,"model":"a"}`, seed), false, set))
		require.NoError(t, err)
		require.Equal(t, `{"id":1,"model":"asked"}`, string(got))
	}
}

// TestEditorHandsOnTheError: a broken answer breaks for the agent, too, after
// what came.
func TestEditorHandsOnTheError(t *testing.T) {
	broken := errors.New("broken")
	for _, stream := range []bool{true, false} {
		src := io.MultiReader(strings.NewReader("data: {\"model\":\"a\"}\n\ndata: {\"mo"), iotest.ErrReader(broken))
		got, err := io.ReadAll(NewEditor(io.NopCloser(src), stream, func(doc []byte) []byte { return doc }))
		require.ErrorIs(t, err, broken)
		assert.Equal(t, "data: {\"model\":\"a\"}\n\ndata: {\"mo", string(got))
	}
}

// TestEditorIsBounded: what has no end is not held.
func TestEditorIsBounded(t *testing.T) {
	for _, stream := range []bool{true, false} {
		e := NewEditor(io.NopCloser(io.LimitReader(endless{}, MaxEdited+maxEvent)), stream, func(doc []byte) []byte { return doc })
		n, err := io.Copy(io.Discard, e)
		require.NoError(t, err)
		assert.EqualValues(t, MaxEdited+maxEvent, n)
		assert.Nil(t, e.in)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func FuzzEditor(f *testing.F) {
	f.Add("data:", uint64(1))
	f.Add("data: {}\n\n", uint64(1))
	f.Add("data: {\r\ndata: }\r\n\r\n\r", uint64(2))
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		for _, stream := range []bool{true, false} {
			got, err := io.ReadAll(NewEditor(inPieces(text, seed), stream, func(doc []byte) []byte { return doc }))
			require.NoError(t, err)
			require.Equal(t, text, string(got))
		}
	})
}

// streams are the answers in testdata, and odd line ends.
func streams(t *testing.T) []string {
	out := []string{"", "\n", "\r", "data", "data: {}\r\rdata: {}\r\n\r\n\n\n", "\xef\xbb\xbfdata: {}\n\n"}
	names, err := filepath.Glob(filepath.Join("..", "..", "testdata", "vllm", "*.response"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		out = append(out, string(raw))
	}
	return out
}

// inPieces cuts text into pieces of up to 7 or up to 700 bytes.
func inPieces(text string, seed uint64) io.ReadCloser {
	r := rand.New(rand.NewPCG(seed, 1))
	size := 7
	if seed%2 == 0 {
		size = 700
	}
	var parts []io.Reader
	for text != "" {
		n := min(1+r.IntN(size), len(text))
		parts = append(parts, strings.NewReader(text[:n]))
		text = text[n:]
	}
	return io.NopCloser(io.MultiReader(parts...))
}

// FuzzSetModel: only the model changes, and it can be changed back.
func FuzzSetModel(f *testing.F) {
	f.Add(`{"model":"a","x":{"model":"a"}}`, "b")
	f.Add(" \n{ \"n\": 1.0, \"mod\\u0065l\" : \"\\u0061\" } ", "\"\\")
	f.Add(`{"model":"a","model":"c"}`, "")
	f.Fuzz(func(t *testing.T, doc, model string) {
		model = strings.ToValidUTF8(model, "?") // names are
		old, has := Model([]byte(doc))
		out, ok := SetModel([]byte(doc), model)
		require.Equal(t, has, ok)
		if !ok {
			require.Equal(t, doc, string(out))
			return
		}
		got, has := Model(out)
		require.True(t, has)
		require.Equal(t, model, got)
		same, _ := SetModel([]byte(doc), old)
		back, _ := SetModel(out, old)
		require.Equal(t, string(same), string(back))
	})
}

// TestEditorIsLinear: a large event in small pieces is read once, not once a
// piece.
func TestEditorIsLinear(t *testing.T) {
	text := `data: {"model":"a","x":"` + strings.Repeat("y", maxEvent-100) + "\"}\n\n"
	e := NewEditor(io.NopCloser(iotest.OneByteReader(strings.NewReader(text))), true, func(doc []byte) []byte {
		out, _ := SetModel(doc, "asked")
		return out
	})
	got, err := io.ReadAll(e)
	require.NoError(t, err)
	assert.Equal(t, strings.Replace(text, `"a"`, `"asked"`, 1), string(got))
}
