package trajectoryprocessor

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const captures = "../../testdata/captures"

// truth is what really happened, by capture: the traces of every attempt.
func truth(t *testing.T) map[string][][]string {
	t.Helper()
	f, err := os.Open(filepath.Join(captures, "truth.jsonl"))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	out := map[string][][]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var row struct {
			File     string   `json:"file"`
			TraceIDs []string `json:"trace_ids"`
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &row))
		slices.Sort(row.TraceIDs)
		out[row.File] = append(out[row.File], row.TraceIDs)
	}
	require.NoError(t, lines.Err())
	return out
}

// TestCaptures sends what real agents sent, in order and the way a bad network
// would deliver it: every attempt comes out as one trajectory that holds
// exactly its traces.
func TestCaptures(t *testing.T) {
	for file, attempts := range truth(t) {
		for _, seed := range []uint64{0, 1, 2, 3} {
			name := strings.TrimSuffix(file, ".jsonl") + "/in order"
			source := otlp.Files(filepath.Join(captures, file))
			if seed > 0 {
				name = strings.TrimSuffix(file, ".jsonl") + "/shuffled"
				source = otlp.Shuffle(source, seed)
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var got [][]string
					for _, tr := range replayed(t, source) {
						slices.Sort(tr.TraceIDs)
						got = append(got, tr.TraceIDs)
					}
					assert.ElementsMatch(t, attempts, got)
				})
			})
		}
	}
}

// replayed returns the newest revision of every trajectory of a capture.
func replayed(t *testing.T, source otlp.Source) map[string]*trajectory.Trajectory {
	t.Helper()
	cfg := defaults()
	p := start(t, cfg, nopSettings(), nil)
	for req, err := range source {
		require.NoError(t, err)
		require.NoError(t, p.ConsumeTraces(t.Context(), req.Traces))
		time.Sleep(300 * time.Millisecond)
	}
	time.Sleep(cfg.Idle + time.Second)
	synctest.Wait()
	p.stop(t)
	newest := map[string]*trajectory.Trajectory{}
	for _, tr := range trajectories(t, p.sink.AllTraces()) {
		require.NoError(t, tr.Valid())
		assert.NotEqual(t, trajectory.CloseShutdown, tr.CloseReason)
		if have := newest[tr.ID]; have == nil || have.Revision < tr.Revision {
			newest[tr.ID] = tr
		}
	}
	return newest
}
