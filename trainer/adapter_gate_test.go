//go:build cgo

package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/worker/workertest"
)

// inference stands for vLLM: it loads adapters, and answers as good says.
type inference struct {
	*httptest.Server
	mu     sync.Mutex
	down   func(asked int) bool // whether it is broken by now
	good   func(model string, seed int64) bool
	loaded map[string]string
	asked  map[string]int // by model
	all    int
}

func serveInference(t *testing.T) *inference {
	s := &inference{loaded: map[string]string{}, asked: map[string]int{}, down: func(int) bool { return false }}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *inference) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var body struct {
		Model string `json:"model"`
		Seed  int64  `json:"seed"`
		Name  string `json:"lora_name"`
		Path  string `json:"lora_path"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	switch {
	case s.down(s.all):
		w.WriteHeader(http.StatusConflict) // none that is asked again
	case r.URL.Path == "/v1/models":
		fmt.Fprint(w, `{"data":[{"id":"tiny"}]}`)
	case r.URL.Path == "/tokenize":
		w.WriteHeader(http.StatusNotFound) // not every server renders chats
	case r.URL.Path == "/v1/load_lora_adapter":
		s.loaded[body.Name] = body.Path
	case r.URL.Path == "/v1/unload_lora_adapter":
		delete(s.loaded, body.Name)
	case r.URL.Path != "/v1/chat/completions":
		w.WriteHeader(http.StatusNotFound)
	default:
		if body.Model != "tiny" && s.loaded[body.Model] == "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		s.asked[body.Model]++
		s.all++
		text := "no idea"
		if s.good(body.Model, body.Seed) {
			text = "see [doc:7]"
		}
		fmt.Fprintf(w, `{"id":"c-%d","model":%q,"choices":[{"message":{"content":%q},"finish_reason":"stop"}]}`, s.all, body.Model, text)
	}
}

func TestAdapterGate(t *testing.T) {
	model := workertest.Model(t)
	root, worker := t.TempDir(), shared(workertest.Start(t, model, t.TempDir()))
	writeDemo(t, root)
	server := serveInference(t)
	server.good = func(model string, seed int64) bool { return model != "tiny" || seed%4 == 0 }
	c := adapterConfig(t, root, model)
	c.Rewards.File = filepath.Join(t.TempDir(), "rewards.yaml")
	require.NoError(t, os.WriteFile(c.Rewards.File, []byte("rewards:\n  - name: cites\n    expr: 'feedback(\"solved\") ?? (output contains \"[doc:7]\" ? 1 : 0)'\n"), 0o600))
	c.Where = "hash(trajectory_id) % 3 = 0" // the gate wants eight prompts
	c.Gate.Server, c.Gate.Rollouts, c.Gate.Holdout, c.Gate.HoldoutBy = server.URL, 3, 0.4, "input"

	engines := 0
	counted := func(ctx context.Context, c Config) (Server, error) {
		engines++
		return worker(ctx, c)
	}
	server.down = func(asked int) bool { return asked >= 10 }
	_, err := Run(t.Context(), c, Options{Now: clock, Engine: counted})
	var waits *PendingError
	require.ErrorAs(t, err, &waits)
	assert.ErrorContains(t, err, "gate pending: ")
	assert.ErrorContains(t, err, "the same command goes on with run "+waits.Run)
	left, err := os.ReadDir(c.Bundles)
	require.True(t, err == nil || errors.Is(err, os.ErrNotExist))
	assert.Empty(t, left, "nothing is half released")
	before := server.all

	server.down = func(int) bool { return false }
	r, err := Run(t.Context(), c, Options{Now: clock, Engine: counted})
	require.NoError(t, err)
	assert.Equal(t, waits.Run, r.ID, "the same run")
	assert.Equal(t, 1, engines, "nobody trains again")
	j := r.Adapter.Judged
	require.NotNil(t, j)
	assert.True(t, j.Passed, j.Reason)
	assert.Equal(t, 2*3*j.Prompts, server.all, "no rollout is asked for twice")
	assert.Greater(t, server.all, before)
	assert.Equal(t, j.Prompts, j.Compared.Support)
	assert.Equal(t, 1.0, j.Compared.Candidate)
	assert.Greater(t, j.Compared.Low, 0.0)
	assert.Empty(t, server.loaded, "the adapter is taken off the server")

	b, err := bundle.Open(r.Bundle.Dir)
	require.NoError(t, err)
	require.NoError(t, bundle.Verify(b))
	assert.Equal(t, bundle.StatusReleased, b.Manifest.Status)
	g := b.Manifest.Gate
	assert.Equal(t, []float64{j.Compared.Difference, j.Compared.Low, j.Compared.High, j.Compared.Base, j.Compared.Candidate}, []float64{*g.Estimate, *g.CILow, *g.CIHigh, *g.BaseMean, *g.CandidateMean})
	assert.Equal(t, j.Prompts, g.Support)
	assert.Nil(t, g.ESS, "nobody recorded log-probabilities")
	assert.Contains(t, readAll(t, filepath.Join(b.Dir, bundle.ReadmeFile)), "Mean return: ")
	page := readAll(t, r.Report)
	assert.Contains(t, page, "The gate passed: the adapter is released")
	assert.Contains(t, page, j.Candidate.Model)

	t.Run("a candidate that is no better", func(t *testing.T) {
		worse := c
		worse.Runs, worse.Bundles = t.TempDir(), t.TempDir()
		server.good = func(string, int64) bool { return true }
		r, err := Run(t.Context(), worse, Options{Now: clock, Engine: worker})
		require.NoError(t, err)
		assert.False(t, r.Adapter.Judged.Passed)
		assert.Equal(t, bundle.StatusCandidate, r.Bundle.Status)
		assert.Contains(t, r.Verdict.Reason, "interval is not above 0")
		assert.Equal(t, [2]float64{0, 0}, [2]float64{r.Adapter.Judged.Compared.Low, r.Adapter.Judged.Compared.High})
	})
	t.Run("the next night is held against the last", func(t *testing.T) {
		next := c
		next.MaxUses, next.Base = 2, r.Bundle.ID
		server.good = func(model string, _ int64) bool { return !strings.HasSuffix(model, r.Bundle.ID[:12]) }
		second, err := Run(t.Context(), next, Options{Now: clock, Engine: worker})
		require.NoError(t, err)
		assert.Equal(t, gateName(r.Bundle.ID[:12]), second.Adapter.Judged.Base.Model)
		assert.True(t, second.Adapter.Judged.Passed)
	})
}
