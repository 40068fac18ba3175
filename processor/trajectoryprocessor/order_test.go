package trajectoryprocessor

import (
	"encoding/json"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestOrderDoesNotMatter: the requests of a capture in any order, split and
// sent twice, and some of them after their trajectory was closed, give the last
// revisions that they give in order. TRACEGRAD_CORPUS names another folder of
// captures to try, with all below it.
func TestOrderDoesNotMatter(t *testing.T) {
	folders := []string{captures, "../../testdata/dialects"}
	if dir := os.Getenv("TRACEGRAD_CORPUS"); dir != "" {
		folders = append(folders, within(t, dir)...)
	}
	for _, dir := range folders {
		for name, files := range capturesIn(t, dir) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				mixed := hasOrdinary(t, otlp.Files(files...))
				want := revisions(t, plan{source: otlp.Files(files...), mixed: mixed})
				for seed := range uint64(4) {
					got := revisions(t, plan{source: otlp.Shuffle(otlp.Files(files...), seed+1), late: seed == 3, seed: seed, mixed: mixed})
					sameRevisions(t, want, got, seed)
				}
			})
		}
	}
}

// within are the folders of a folder that hold captures, itself included.
func within(t *testing.T, dir string) (folders []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), ".jsonl") && !slices.Contains(folders, filepath.Dir(path)) {
			folders = append(folders, filepath.Dir(path))
		}
		return err
	}))
	require.NotEmpty(t, folders, "captures in %s", dir)
	return folders
}

// capturesIn are the files of every capture of a folder: spans, log records.
func capturesIn(t *testing.T, dir string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, pattern := range []string{"*.jsonl", "*.jsonl.gz"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		require.NoError(t, err)
		for _, f := range files {
			name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(f), ".gz"), ".jsonl"), ".logs")
			if name != "truth" {
				out[name] = append(out[name], f)
			}
		}
	}
	require.NotEmpty(t, out, "captures in %s", dir)
	return out
}

// plan is how the requests of a capture arrive.
type plan struct {
	source otlp.Source
	late   bool // a part of them after everything was idle, within the late window
	mixed  bool // some spans are ordinary ones
	seed   uint64
	crash  bool // now and then, where everything is stored
	loose  bool // ordinary spans may be forgotten that passed before anything told that their trace is an agent's
}

// hasOrdinary says whether any span of a capture has no GenAI marker.
func hasOrdinary(t *testing.T, src otlp.Source) bool {
	t.Helper()
	for req, err := range src {
		require.NoError(t, err)
		if req.Signal == otlp.Logs {
			continue
		}
		for _, rs := range req.Traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					if !genai.Marked(ss.Scope(), s) {
						return true
					}
				}
			}
		}
	}
	return false
}

// rounds are the requests to send before everything is left to close, and then.
func (p plan) rounds(t *testing.T) iter.Seq[[]otlp.Request] {
	t.Helper()
	var now, later []otlp.Request
	rng := rand.New(rand.NewPCG(p.seed, 1))
	for req, err := range p.source {
		require.NoError(t, err)
		if p.late && rng.IntN(3) == 0 {
			later = append(later, req)
		} else {
			now = append(now, req)
		}
	}
	return slices.Values([][]otlp.Request{now, later})
}

// revisions are the last revisions of all trajectories that come out, by what
// they say.
func revisions(t *testing.T, p plan) map[string]*trajectory.Trajectory {
	t.Helper()
	last := map[string]*trajectory.Trajectory{}
	synctest.Test(t, func(t *testing.T) {
		if p.crash {
			last = p.lives(t)
			return
		}
		cfg := defaults()
		set := nopSettings()
		f := NewFactory() // one, so that logs reach the trajectories of the traces
		sink := new(consumertest.TracesSink)
		inner, err := f.CreateTraces(t.Context(), set, cfg, sink)
		require.NoError(t, err)
		require.NoError(t, inner.Start(t.Context(), componenttest.NewNopHost()))
		traces := running{inner, sink}
		logs, err := f.CreateLogs(t.Context(), set, cfg, new(consumertest.LogsSink))
		require.NoError(t, err)
		require.NoError(t, logs.Start(t.Context(), componenttest.NewNopHost()))
		for round := range p.rounds(t) {
			for _, req := range round {
				if req.Signal == otlp.Logs {
					require.NoError(t, logs.ConsumeLogs(t.Context(), req.Logs))
				} else {
					require.NoError(t, traces.ConsumeTraces(t.Context(), req.Traces))
				}
				time.Sleep(50 * time.Millisecond)
			}
			time.Sleep(cfg.Idle + time.Second)
			synctest.Wait()
		}
		require.NoError(t, logs.Shutdown(t.Context()))
		traces.stop(t)
		last = p.live(t, trajectories(t, traces.sink.AllTraces()))
	})
	return last
}

// live are the last revisions of trajectories, by what they say.
func (p plan) live(t *testing.T, list []*trajectory.Trajectory) map[string]*trajectory.Trajectory {
	t.Helper()
	newest := map[string]*trajectory.Trajectory{}
	for _, tr := range list {
		if have := newest[tr.ID]; have == nil || have.Revision < tr.Revision {
			newest[tr.ID] = tr
		}
	}
	last := map[string]*trajectory.Trajectory{}
	for _, tr := range newest {
		require.NoError(t, tr.Valid())
		if tr.Continues != "" && slices.Contains(tr.Reasons, trajectory.ReasonDuplicate) {
			continue // what came out alone before what joins it came; the whole names it
		}
		key := p.saying(t, tr)
		if have := last[key]; have != nil {
			t.Errorf("%s came out twice, as %s and %s", tr.TraceIDs, have.ID, tr.ID)
		}
		last[key] = tr
	}
	return last
}

// saying is what a trajectory says: all but when and how it arrived. The id is
// that of the trace that was seen first, and of a trace's ordinary spans those
// that came before its first GenAI span are known as structure alone.
func (p plan) saying(t *testing.T, tr *trajectory.Trajectory) string {
	t.Helper()
	c := *tr
	c.ID, c.Revision, c.Writer, c.FirstSeenAt, c.CloseReason = "", 0, "", 0, ""
	if p.loose {
		c.SpanCount, c.StartedAt, c.EndedAt, c.Trainable = 0, 0, 0, false
		c.Reasons = slices.DeleteFunc(slices.Clone(c.Reasons), func(r trajectory.Reason) bool { return r == trajectory.ReasonOrphans })
		if len(c.Reasons) == 0 {
			c.Reasons = nil
		}
		c.AgentNames, c.Steps = nil, slices.Clone(c.Steps)
		for i := range c.Steps {
			c.Steps[i].AgentName = ""
		}
	}
	if p.mixed {
		c.ConversationID, c.UserID, c.Dialects, c.Attributes = "", "", nil, ""
	}
	raw, err := json.MarshalIndent(c, "", " ")
	require.NoError(t, err)
	return string(raw)
}

// sameRevisions reports the first trajectory that differs, beside its nearest.
func sameRevisions(t *testing.T, want, got map[string]*trajectory.Trajectory, seed uint64) {
	t.Helper()
	lost := only(want, got)
	if len(lost) == 0 && len(want) == len(got) {
		return
	}
	more := only(got, want)
	t.Errorf("seed %d: %d of %d trajectories differ, %d came out that do not in order", seed, len(lost), len(want), len(more))
	for _, w := range lost {
		for _, g := range more {
			if slices.ContainsFunc(want[w].TraceIDs, func(id string) bool { return slices.Contains(got[g].TraceIDs, id) }) {
				assert.Equal(t, w, g)
				return
			}
		}
	}
}

// only are the keys of a that b lacks, in order.
func only(a, b map[string]*trajectory.Trajectory) (out []string) {
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if b[k] == nil {
			out = append(out, k)
		}
	}
	return out
}
