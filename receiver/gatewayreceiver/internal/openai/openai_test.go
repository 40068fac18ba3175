package openai

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in testdata")

const plenty = 1 << 20

// cases runs each txtar file: the first file in it is the input, want.json what
// it is read as.
func cases(t *testing.T, glob string, read func(in []byte) any) {
	t.Helper()
	names, err := filepath.Glob(glob)
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			require.NoError(t, err)
			got, err := json.MarshalIndent(read(ar.Files[0].Data), "", " ")
			require.NoError(t, err)
			got = append(got, '\n')
			if *update {
				ar.Files = append(ar.Files[:1], txtar.File{Name: "want.json", Data: got})
				require.NoError(t, os.WriteFile(name, txtar.Format(ar), 0o600))
				return
			}
			require.Len(t, ar.Files, 2)
			assert.Equal(t, string(ar.Files[1].Data), string(got))
		})
	}
}

func TestParseRequest(t *testing.T) {
	cases(t, "testdata/request/*.txtar", func(in []byte) any {
		r, err := ParseRequest(in, true)
		if err != nil {
			return err.Error()
		}
		bare, err := ParseRequest(in, false)
		require.NoError(t, err)
		assert.Empty(t, bare.Messages+bare.Tools, "content was not asked for")
		return struct {
			Settings Request
			Messages json.RawMessage `json:",omitempty"`
			Tools    json.RawMessage `json:",omitempty"`
		}{settings(r), json.RawMessage(r.Messages), json.RawMessage(r.Tools)}
	})
}

func settings(r Request) Request {
	r.Messages, r.Tools = "", ""
	return r
}

func TestStream(t *testing.T) {
	cases(t, "testdata/stream/*.txtar", func(in []byte) any {
		whole := view(read(in, len(in)))
		for range 20 {
			assert.Equal(t, whole, view(read(in, 1+rand.IntN(40))), "pieces do not matter")
		}
		crlf := bytes.ReplaceAll(in, []byte("\n"), []byte("\r\n"))
		assert.Equal(t, whole, view(read(crlf, 1)), "nor do line ends")
		assert.Equal(t, whole, view(read(bytes.ReplaceAll(in, []byte("\n"), []byte("\r")), 7)))
		return whole
	})
}

func TestParseAnswer(t *testing.T) {
	cases(t, "testdata/answer/*.txtar", func(in []byte) any {
		a, ok := ParseAnswer(in, plenty)
		if !ok {
			return "not an answer"
		}
		return view(a)
	})
}

// TestStreamedIsWhole: a server's stream says the same as its plain answer to
// the same request.
func TestStreamedIsWhole(t *testing.T) {
	recorded := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vllm", name+".response"))
		require.NoError(t, err)
		return raw
	}
	plain, ok := ParseAnswer(recorded("chat"), plenty)
	require.True(t, ok)
	require.True(t, plain.Whole())
	streamed := read(recorded("chat_stream_plain"), 11)
	require.True(t, streamed.Whole())
	assert.JSONEq(t, plain.Messages(), streamed.Messages())
	assert.Equal(t, plain.Finishes(), streamed.Finishes())

	plain, _ = ParseAnswer(recorded("chat_tools_named"), plenty)
	streamed = read(recorded("chat_tools_named_stream"), 997)
	streamed.Choices[0].Calls[0].ID = plain.Choices[0].Calls[0].ID
	assert.Len(t, plain.Choices[0].Calls, 1)
	assert.Equal(t, plain.Choices[0].Calls[0].Name, streamed.Choices[0].Calls[0].Name)
	assert.Equal(t, plain.Choices[0].Calls[0].Arguments.String(), streamed.Choices[0].Calls[0].Arguments.String())
	assert.Equal(t, plain.Usage.Output, streamed.Usage.Output)
}

func TestLimit(t *testing.T) {
	in := []byte("data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"12345678\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	for limit, truncated := range map[int]bool{0: true, 7: true, 8: false} {
		s := NewStream(limit)
		_, _ = s.Write(in)
		a := s.Answer()
		assert.Equal(t, truncated, a.Truncated, limit)
		assert.Equal(t, "x", a.ID)
		assert.True(t, a.Whole())
	}

	s := NewStream(plenty)
	for range 3 {
		_, _ = s.Write(bytes.Repeat([]byte("data: x"), maxEvent/7))
	}
	assert.LessOrEqual(t, cap(s.line), 2*maxEvent, "a line without an end is not kept")
	_, _ = s.Write([]byte("\n\n"))
	_, _ = s.Write(in)
	a := s.Answer()
	assert.True(t, a.Truncated)
	assert.Equal(t, "x", a.ID, "the stream goes on after it")

	a = &Answer{limit: plenty}
	for i := range 10 * maxChoices {
		a.event([]byte(`{"choices":[{"index":` + strings.Repeat("1", i%18+1) + string(rune('0'+i%10)) + `}]}`))
	}
	assert.LessOrEqual(t, len(a.Choices), maxChoices)
}

func read(in []byte, piece int) *Answer {
	s := NewStream(plenty)
	for len(in) > 0 {
		n := min(piece, len(in))
		buf := bytes.Clone(in[:n])
		_, _ = s.Write(buf)
		clear(buf) // nothing may be kept of it
		in = in[n:]
	}
	return s.Answer()
}

// viewed is an answer as tests compare it.
type viewed struct {
	ID, Model string
	Messages  json.RawMessage `json:",omitempty"`
	Finishes  []string        `json:",omitempty"`
	Usage     Usage
	Failure   *Failure `json:",omitempty"`
	Truncated bool     `json:",omitempty"`
	Whole     bool
}

func view(a *Answer) viewed {
	return viewed{a.ID, a.Model, json.RawMessage(a.Messages()), a.Finishes(), a.Usage, a.Failure, a.Truncated, a.Whole()}
}

// FuzzStream holds that the pieces in which a stream comes do not matter, that
// what is written is JSON, and that the content's limit holds.
func FuzzStream(f *testing.F) {
	names, err := filepath.Glob("testdata/stream/*.txtar")
	require.NoError(f, err)
	for _, name := range names {
		ar, err := txtar.ParseFile(name)
		require.NoError(f, err)
		f.Add(ar.Files[0].Data, byte(3), uint16(100))
	}
	f.Add([]byte("\xef\xbb\xbfdata:{}\r\n\rdata: [DONE]"), byte(1), uint16(0))
	f.Fuzz(func(t *testing.T, in []byte, piece byte, limit uint16) {
		whole := NewStream(int(limit))
		_, _ = whole.Write(in)
		want := view(whole.Answer())

		s := NewStream(int(limit))
		for rest := in; len(rest) > 0; {
			n := min(int(piece)+1, len(rest))
			_, _ = s.Write(rest[:n])
			rest = rest[n:]
		}
		a := s.Answer()
		require.Equal(t, want, view(a))
		if m := a.Messages(); m != "" {
			require.True(t, json.Valid([]byte(m)), m)
		}
		kept := 0
		for _, c := range a.Choices {
			kept += c.Content.Len() + c.Reasoning.Len() + c.Refusal.Len()
			for _, call := range c.Calls {
				kept += call.Arguments.Len()
			}
		}
		require.LessOrEqual(t, kept, int(limit))
	})
}

// FuzzRequest holds that what is written of a request is JSON.
func FuzzRequest(f *testing.F) {
	names, err := filepath.Glob("testdata/request/*.txtar")
	require.NoError(f, err)
	for _, name := range names {
		ar, err := txtar.ParseFile(name)
		require.NoError(f, err)
		f.Add(ar.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := ParseRequest(in, true)
		if err != nil {
			return
		}
		for _, s := range []string{r.Messages, r.Tools} {
			require.True(t, s == "" || json.Valid([]byte(s)), s)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	in, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vllm", "chat_stream_plain.response"))
	require.NoError(b, err)
	events := bytes.SplitAfter(in, []byte("\n\n"))
	b.ReportAllocs()
	for b.Loop() {
		s := NewStream(plenty)
		for _, e := range events {
			_, _ = s.Write(e)
		}
		if !s.Answer().Whole() {
			b.Fatal("not whole")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
