package bundle

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the expected outputs in testdata")

// TestApply runs testdata/apply: bundle.json says what the bundle is, and
// target.json who asks; request.json goes in, want.json (with injected.json) or
// skip comes out. Requests are compared byte for byte.
func TestApply(t *testing.T) {
	cases, err := filepath.Glob("testdata/apply/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			require.NoError(t, err)
			files := map[string][]byte{}
			for _, f := range ar.Files {
				files[f.Name] = f.Data
			}
			got := map[string][]byte{}
			runApply(t, files, got)
			if *update {
				ar.Files = ar.Files[:0]
				for _, name := range []string{"bundle.json", "target.json", "request.json", "want.json", "injected.json", "skip", "error"} {
					data := got[name]
					if data == nil {
						data = files[name]
					}
					if len(data) > 0 && (got[name] != nil || !isOutput(name)) {
						ar.Files = append(ar.Files, txtar.File{Name: name, Data: data})
					}
				}
				require.NoError(t, os.WriteFile(name, txtar.Format(ar), 0o600))
				return
			}
			for _, name := range []string{"want.json", "injected.json", "skip", "error"} {
				assert.Equal(t, string(files[name]), string(got[name]), name)
			}
		})
	}
}

func isOutput(name string) bool {
	return name == "want.json" || name == "injected.json" || name == "skip" || name == "error"
}

func runApply(t *testing.T, files, got map[string][]byte) {
	t.Helper()
	b := caseBundle(t, files["bundle.json"])
	var target Target
	if raw := files["target.json"]; raw != nil {
		require.NoError(t, json.Unmarshal(raw, &target))
	}
	body := files["request.json"]
	before := bytes.Clone(body)
	a, err := b.Apply(body, target)
	require.Equal(t, before, body, "the given body is not changed")
	if err != nil {
		require.Equal(t, before, a.Body)
		got["error"] = []byte(err.Error() + "\n")
		return
	}
	if a.Skip != SkipNone {
		require.Equal(t, before, a.Body)
		require.Empty(t, a.Injected)
		got["skip"] = []byte(string(a.Skip) + "\n")
		return
	}
	got["want.json"] = a.Body
	in, err := marshalIndent(a.Injected)
	require.NoError(t, err)
	got["injected.json"] = in

	again, err := b.Apply(a.Body, target)
	require.NoError(t, err)
	require.Equal(t, SkipPresent, again.Skip, "a request is not given the same section twice")
}

// caseBundle writes a real bundle of a case and opens it.
func caseBundle(tb testing.TB, raw []byte) *Bundle {
	tb.Helper()
	var c struct {
		Agents         []string
		BaseModel      string `json:"base_model"`
		Intro          string
		Items          []Item
		Demonstrations []Demonstration
	}
	require.NoError(tb, json.Unmarshal(raw, &c))
	m := Manifest{
		Kind: KindPrompt, Name: "case", Status: StatusCandidate,
		CreatedAt: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
		Agents:    c.Agents, BaseModel: c.BaseModel,
	}
	files, err := PromptFiles(m, Prompt{Intro: c.Intro, Items: c.Items, Demonstrations: c.Demonstrations})
	require.NoError(tb, err)
	dir := filepath.Join(tb.TempDir(), "b")
	_, err = Write(dir, m, files)
	require.NoError(tb, err)
	b, err := Open(dir)
	require.NoError(tb, err)
	return b
}

func TestApplyWithoutPrompt(t *testing.T) {
	body := []byte(`{"messages":[{"role":"user","content":"hi"}]}`)
	a, err := (&Bundle{}).Apply(body, Target{})
	require.NoError(t, err)
	assert.Equal(t, SkipEmpty, a.Skip)
	assert.Same(t, &body[0], &a.Body[0])
}

// FuzzApply holds the promises of Apply on any body: it never panics; what it
// leaves alone is the same slice; what it edits is the input with one run of
// bytes inserted, is JSON if and only if the input is, means the same but for
// the first message, and is not edited again.
func FuzzApply(f *testing.F) {
	cases, err := filepath.Glob("testdata/apply/*.txtar")
	require.NoError(f, err)
	for _, name := range cases {
		ar, err := txtar.ParseFile(name)
		require.NoError(f, err)
		for _, file := range ar.Files {
			if file.Name == "request.json" {
				f.Add(file.Data)
			}
		}
	}
	f.Add([]byte(`{"messages":[{"content":"\ud83d","role":"system"}],"messages ":1}`))
	b := writeVector(f, func(m *Manifest, _ *Prompt) { m.Agents = nil })
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := b.Apply(body, Target{})
		if (err == nil) != json.Valid(body) && !deep(body) {
			t.Fatalf("error %v, but json.Valid = %v", err, json.Valid(body))
		}
		if err != nil || a.Skip != SkipNone {
			require.Equal(t, body, a.Body)
			return
		}
		requireOneInsertion(t, body, a.Body)
		require.True(t, json.Valid(a.Body))
		requireSameMeaning(t, body, a)
		again, err := b.Apply(a.Body, Target{})
		require.NoError(t, err)
		require.Equal(t, SkipPresent, again.Skip)
	})
}

func deep(body []byte) bool {
	return bytes.Count(body, []byte{'['})+bytes.Count(body, []byte{'{'}) > maxDepth
}

func requireOneInsertion(t *testing.T, in, out []byte) {
	t.Helper()
	n := 0
	for n < len(in) && in[n] == out[n] {
		n++
	}
	require.True(t, bytes.HasSuffix(out, in[n:]), "more than one place was edited")
}

func requireSameMeaning(t *testing.T, body []byte, a Applied) {
	t.Helper()
	var in, out map[string]any
	for text, v := range map[string]*map[string]any{string(body): &in, string(a.Body): &out} {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		require.NoError(t, dec.Decode(v))
	}
	was, is := in["messages"].([]any), out["messages"].([]any)
	require.Len(t, a.Injected, 1)
	got := a.Injected[0]
	require.Zero(t, got.Message)
	first := is[0].(map[string]any)
	switch got.Placement {
	case PlacementInsert:
		require.Equal(t, map[string]any{"role": "system", "content": got.Text}, first)
		is = is[1:]
	case PlacementPart:
		parts := first["content"].([]any)
		require.Equal(t, map[string]any{"type": "text", "text": got.Text}, parts[len(parts)-1])
		first["content"] = parts[:len(parts)-1]
	case PlacementAppend:
		text, ok := strings.CutSuffix(first["content"].(string), got.Text)
		require.True(t, ok)
		first["content"] = text
	}
	require.Equal(t, was, is)
	delete(in, "messages")
	delete(out, "messages")
	require.Equal(t, in, out)
}

// FuzzScanner holds that the scanner accepts what encoding/json accepts.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{`{}`, `[1,-0.5e+3,"\u00e9\n",true,null]`, `01`, `1.`, `"\x"`, "\"\t\"", `{"a" : [ ] , "b":{}} `, `[1,]`, `{"a":1,}`, ``, `-`, `nul`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := &scanner{text: text}
		v, err := s.document()
		if deep(text) {
			return
		}
		require.Equal(t, json.Valid(text), err == nil, "%v", err)
		if err == nil {
			require.Equal(t, bytes.TrimSpace(text), text[v.from:v.to])
		}
	})
}

func BenchmarkApply(b *testing.B) {
	bundle := writeVector(b, func(m *Manifest, _ *Prompt) { m.Agents = nil })
	turn := `{"role":"user","content":"` + strings.Repeat("a long conversation, ", 100) + `"},`
	body := []byte(`{"model":"m","messages":[{"role":"system","content":"Be brief."},` + strings.Repeat(turn, 50) + turn[:len(turn)-1] + `]}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if a, err := bundle.Apply(body, Target{}); err != nil || a.Skip != SkipNone {
			b.Fatal(a.Skip, err)
		}
	}
}
