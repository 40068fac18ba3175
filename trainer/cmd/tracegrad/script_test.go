package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/trainer/query"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tracegrad": main})
}

// TestScript runs the command lines in testdata/script. $ENDPOINT is an
// OTLP/HTTP server that accepts everything, $BUSY/$BROKEN are servers that do
// not; $MODELS is one that answers prompts; $ROOT is the root of the repository.
func TestScript(t *testing.T) {
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	servers := map[string]string{}
	for name, code := range map[string]int{"ENDPOINT": http.StatusOK, "REFUSING": http.StatusBadRequest, "ELSEWHERE": http.StatusNotFound} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		t.Cleanup(s.Close)
		servers[name] = s.URL
	}
	models := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(models.Close)
	servers["MODELS"] = models.URL
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "dataset": writeDataset},
		Condition: func(name string) (bool, error) {
			if name != "duckdb" {
				return false, errors.New("unknown condition " + name)
			}
			dir := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, fmt.Sprintf("v%d", dataset.Version)), 0o755))
			db, err := query.Open(t.Context(), dir, query.Options{})
			if err != nil {
				return false, ignore(err, query.ErrNoCgo)
			}
			return true, db.Close()
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			for name, url := range servers {
				env.Setenv(name, url)
			}
			return nil
		},
	})
}

// answer is what a server of OpenAI's protocol says; it knows one model.
func answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.URL.Path == "/v1/models":
		fmt.Fprint(w, `{"data":[{"id":"base"}]}`)
	case !strings.Contains(string(body), `"model":"base"`):
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":{"message":"The model does not exist. Valid aliases: base."}}`)
	default:
		fmt.Fprint(w, `{"id":"chatcmpl-1","model":"base","choices":[{"message":{"content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}`)
	}
}

// exits runs a command that must end with the given code: exits CODE PROGRAM ARGS…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else if err != nil {
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s exited with %d, want %s", args[1], code, args[0])
	}
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}
