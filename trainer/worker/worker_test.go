package worker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tracegrad/tracegrad/trainer/sequence"
	"github.com/tracegrad/tracegrad/trainer/worker"
	"github.com/tracegrad/tracegrad/trainer/worker/workertest"
)

func TestWorker(t *testing.T) {
	model := workertest.Model(t)
	w := workertest.Start(t, model, t.TempDir())
	t.Run("serves with the token only", func(t *testing.T) {
		for _, c := range []struct {
			path, token string
			want        int
		}{
			{"healthz", "", 200}, {"get_server_capabilities", w.Token(), 200},
			{"get_server_capabilities", "", 401}, {"get_server_capabilities", w.Token() + "x", 401}, {"nothing", w.Token(), 404},
		} {
			request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL()+"/api/v1/"+c.path, nil)
			request.Header.Set("Authorization", "Bearer "+c.token)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != c.want {
				t.Errorf("%s with token %q: %d, want %d", c.path, c.token, response.StatusCode, c.want)
			}
		}
	})
	t.Run("renders", func(t *testing.T) { testRender(t, w) })
	t.Run("ends", func(t *testing.T) {
		if w.Err() != nil {
			t.Fatal(w.Err())
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := http.Get(w.URL() + "/api/v1/healthz"); err == nil {
			t.Error("it still serves")
		}
	})
}

func testRender(t *testing.T, w *worker.Worker) {
	ask := []sequence.Message{{Role: "user", Content: "the quick"}}
	call := sequence.Message{Role: "assistant", ToolCalls: []sequence.ToolCall{{ID: "1", Type: "function", Function: sequence.Function{Name: "get_weather", Arguments: json.RawMessage(`{"city":"Paris"}`)}}}}
	tools := json.RawMessage(`[{"type":"function","function":{"name":"get_weather"}}]`)
	chats := []sequence.Chat{
		{Messages: ask, Tools: tools, Generate: true},
		{Messages: append(ask[:1:1], call), Tools: tools},
		{Messages: []sequence.Message{{Role: "user"}}, Tools: json.RawMessage(`"no list"`)},
	}
	for range 300 { // more than one request
		chats = append(chats, chats[0])
	}
	got, err := w.Render(t.Context(), chats)
	if err != nil || len(got) != len(chats) {
		t.Fatal(len(got), err)
	}
	prompt, whole := got[0], got[1]
	if prompt.Error != "" || whole.Error != "" || len(whole.Assistant) != len(whole.IDs) || len(whole.IDs) <= len(prompt.IDs) {
		t.Fatalf("prompt %+v\nwhole %+v", prompt, whole)
	}
	for i, id := range prompt.IDs {
		if whole.IDs[i] != id || whole.Assistant[i] {
			t.Fatalf("token %d: the prompt is no prefix, or marked as the assistant's", i)
		}
	}
	const endOfTurn = 2
	for i := len(prompt.IDs); i < len(whole.IDs); i++ {
		if want := i < len(whole.IDs)-1; whole.Assistant[i] != want { // the line break after it is the template's
			t.Errorf("token %d (%d): assistant %v", i, whole.IDs[i], whole.Assistant[i])
		}
	}
	if whole.IDs[len(whole.IDs)-2] != endOfTurn {
		t.Errorf("the turn ends with %d", whole.IDs[len(whole.IDs)-2])
	}
}

func TestDiesWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w, err := worker.Start(ctx, worker.Options{Model: workertest.Model(t), Checkpoints: t.TempDir(), Device: "cpu", Threads: 1, Environment: workertest.Environment(t)})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-w.Done():
	case <-time.After(time.Minute):
		t.Fatal("it lives on")
	}
	if w.Err() == nil {
		t.Error("no error, although nobody closed it")
	}
}

// TestDiesWithParent kills a process that has a worker, so that nothing of it
// can clean up.
func TestDiesWithParent(t *testing.T) {
	model := os.Getenv("TRACEGRAD_TEST_PARENT_MODEL")
	if model != "" {
		fmt.Printf("serves at %s\n", workertest.Start(t, model, t.TempDir()).URL())
		select {}
	}
	parent := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDiesWithParent$")
	parent.Env = append(os.Environ(), "TRACEGRAD_TEST_PARENT_MODEL="+workertest.Model(t))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	url := ""
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		url, _ = strings.CutPrefix(lines.Text(), "serves at ")
		if url == lines.Text() {
			url = ""
		}
	}
	if url == "" {
		t.Fatal("the parent has no worker")
	}
	response, err := http.Get(url + "/api/v1/healthz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for range 600 {
		response, err := http.Get(url + "/api/v1/healthz")
		if err != nil {
			return
		}
		response.Body.Close()
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the worker lives on")
}

func TestNoModel(t *testing.T) {
	_, err := worker.Start(t.Context(), worker.Options{Model: filepath.Join(t.TempDir(), "none"), Checkpoints: t.TempDir(), Environment: workertest.Environment(t)})
	if err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("error %v does not name the folder", err)
	}
}

func TestNoPython(t *testing.T) {
	t.Setenv("TRACEGRAD_WORKER_PYTHON", "")
	old := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho 3.9.2\necho version 3.9.2 >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{old: "version 3.9.2", filepath.Join(t.TempDir(), "none"): "none was found"} {
		_, err := worker.Environment{Python: name, Cache: t.TempDir()}.Provision(t.Context(), t.Output())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "3.11") {
			t.Errorf("error %v, want one with %q and 3.11", err, want)
		}
	}
}
