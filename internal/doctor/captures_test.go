package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/otlp"
)

const captures = "../../testdata/captures"

func quiet(*Exam) {}

// TestCaptures tells the findings on the captures of real agents.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob(captures + "/*__*.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run(name, func(t *testing.T) {
			seen, err := Captures(t.Context(), []string{file}, quiet)
			require.NoError(t, err)
			f := Diagnose(seen)
			var text bytes.Buffer
			require.NoError(t, f.Write(&text, Style{}))
			golden(t, filepath.Join("testdata/captures", name+".txt"), text.Bytes())
			if name == "openai__openinference-chat" {
				data, err := json.MarshalIndent(f, "", "  ")
				require.NoError(t, err)
				golden(t, filepath.Join("testdata/captures", name+".json"), append(data, '\n'))
			}
		})
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), path)
}

// TestOrderDoesNotMatter: requests that come in any order, in parts and twice
// give the same findings.
func TestOrderDoesNotMatter(t *testing.T) {
	file := captures + "/openai-python__otel-genai-agent.jsonl"
	findings := func(src otlp.Source) string {
		e := NewExam()
		r := NewReader(e)
		for req, err := range src {
			require.NoError(t, err)
			require.NoError(t, r.Take(req))
		}
		data, err := json.MarshalIndent(Diagnose(e.Seen()), "", "  ")
		require.NoError(t, err)
		return string(data)
	}
	want := findings(otlp.Files(file))
	for seed := range uint64(3) {
		assert.Equal(t, want, findings(otlp.Shuffle(otlp.Files(file), seed)), "seed %d", seed)
	}
}

// TestFolders: what is no capture is noted, hidden files are none of ours, and a
// folder without any is an error.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	capture, err := os.ReadFile(captures + "/openai__openinference-traceAgent-interleaved.jsonl")
	require.NoError(t, err)
	put := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	put("notes.md", "hello\n")
	put(".git/config", "hidden\n")
	_, err = Captures(t.Context(), []string{dir}, quiet)
	require.ErrorContains(t, err, "notes.md")
	assert.NotContains(t, err.Error(), ".git")

	put("a/spans.jsonl", string(capture))
	put("a/spans.logs.jsonl", "{\"resourceLogs\":[]}\n")
	seen, err := Captures(t.Context(), []string{dir}, quiet)
	require.NoError(t, err)
	require.Len(t, seen.Services, 1)
	assert.Equal(t, 11, seen.Services[0].Runs)
	require.Len(t, seen.Lost, 1)
	assert.Contains(t, seen.Lost[0], "notes.md")

	seen, err = Captures(t.Context(), []string{filepath.Join(dir, "a/spans.jsonl")}, quiet)
	require.NoError(t, err)
	require.Len(t, seen.Lost, 1)
	assert.Contains(t, seen.Lost[0], "spans.logs.jsonl lies beside")

	_, err = Captures(t.Context(), []string{filepath.Join(dir, "nothing")}, quiet)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestListen: what an SDK sends over the network gives what its capture gives.
func TestListen(t *testing.T) {
	file := captures + "/openai__openinference-traceAgent-interleaved.jsonl"
	want, err := Captures(t.Context(), []string{file}, quiet)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() {
		defer cancel() // Ctrl-C
		_, err := otlp.Replay(ctx, otlp.Files(file), otlp.Options{Endpoint: "http://" + l.Addr().String(), KeepTimes: true, Concurrency: 9})
		sent <- err
	}()
	seen, err := Listen(ctx, l, Wait{}, quiet)
	require.NoError(t, err)
	require.NoError(t, <-sent)
	assert.Equal(t, want.Services, seen.Services)
}

// TestWhenItIsOver: a doctor that listens ends when it has heard enough.
func TestWhenItIsOver(t *testing.T) {
	begin := time.Now()
	wait := Wait{Most: time.Hour, Quiet: time.Minute, Whole: 5 * time.Second}
	hear := func(requests int) *hearing {
		h := &hearing{exam: NewExam()}
		h.reader = NewReader(h.exam)
		for req, err := range otlp.Files(captures + "/openai-python__otel-genai-agent.jsonl") {
			require.NoError(t, err)
			if requests--; requests < 0 {
				break
			}
			h.take(req)
		}
		h.last = begin
		return h
	}
	for name, c := range map[string]struct {
		requests int
		after    time.Duration
		over     bool
	}{
		"nothing came":                  {0, 50 * time.Minute, false},
		"nothing came for long":         {0, time.Hour, true},
		"it talks":                      {100, 4 * time.Second, false},
		"every run is whole":            {100, 5 * time.Second, true},
		"a run is going on":             {1, 50 * time.Second, false},
		"a run that nobody will finish": {1, time.Minute, true},
	} {
		assert.Equal(t, c.over, hear(c.requests).over(begin.Add(c.after), begin, wait, quiet), name)
	}
}

// TestListenForAWhile: without an agent it ends when it is told to.
func TestListenForAWhile(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	seen, err := Listen(t.Context(), l, Wait{Most: time.Millisecond, Quiet: time.Millisecond}, quiet)
	require.NoError(t, err)
	assert.Empty(t, seen.Services)
}

// TestEnough: an exam that is full says so, and tells what it has seen.
func TestEnough(t *testing.T) {
	e := newExam(60_000)
	r := NewReader(e)
	enough := 0
	for req, err := range otlp.Files(captures + "/openai-python__otel-genai-agent.jsonl") {
		require.NoError(t, err)
		if err := r.Take(req); err != nil {
			require.ErrorIs(t, err, ErrEnough)
			enough++
		}
	}
	assert.Positive(t, enough)
	f := Diagnose(e.Seen())
	require.Len(t, f.Services, 1)
	assert.Positive(t, f.Services[0].ModelCalls)
	require.Len(t, f.Notes, 1)
	assert.Contains(t, f.Notes[0], "are enough for advice")
}

// TestNamesAreVisible: a service cannot write to the terminal by its name.
func TestNamesAreVisible(t *testing.T) {
	s := NewService("shop\x1b[2J\a\u009b1m")
	s.Runs = 1
	var out bytes.Buffer
	require.NoError(t, Diagnose(NewSeen([]*Service{s})).Write(&out, Style{}))
	assert.Contains(t, out.String(), "shop\ufffd[2J\ufffd\ufffd1m: 1 run")
}
