package parquetexporter

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const captures = "../../testdata/captures"

var now = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func lines(t *testing.T, name string, each func([]byte)) {
	f, err := os.Open(filepath.Join(captures, name))
	require.NoError(t, err)
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		each(s.Bytes())
	}
	require.NoError(t, s.Err())
}

// Spans of real agents that no processor has seen: every rollout with a root
// span becomes one trajectory, and nothing else does.
func TestPlainSpansAreAssembledByTrace(t *testing.T) {
	traces := map[string][][]string{} // file → trace ids of its rollouts
	lines(t, "truth.jsonl", func(line []byte) {
		var truth struct {
			File     string   `json:"file"`
			TraceIDs []string `json:"trace_ids"`
		}
		require.NoError(t, json.Unmarshal(line, &truth))
		traces[truth.File] = append(traces[truth.File], truth.TraceIDs)
	})
	checked := 0
	for file, rollouts := range traces {
		if slices.ContainsFunc(rollouts, func(ids []string) bool { return len(ids) > 1 }) {
			continue // fragments: only the processor joins them
		}
		td := ptrace.NewTraces()
		lines(t, file, func(line []byte) {
			part, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
			require.NoError(t, err)
			part.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
		})
		c := collect(td, "w", now)
		assert.Empty(t, c.bad, file)
		byTrace := map[string]*trajectory.Trajectory{}
		for _, tr := range c.trajectories {
			require.Len(t, tr.TraceIDs, 1)
			byTrace[tr.TraceIDs[0]] = tr
			assert.Equal(t, "w", tr.Writer)
			assert.Less(t, tr.Revision, now.Add(-50*365*24*time.Hour).UnixMicro(), "below any processor's")
			assert.Equal(t, trajectory.CloseComplete, tr.CloseReason)
		}
		for _, ids := range rollouts {
			require.Contains(t, byTrace, ids[0], file)
			assert.NotZero(t, byTrace[ids[0]].ModelCalls, file)
			checked++
		}
		assert.Len(t, c.trajectories, len(rollouts), file)
	}
	assert.Greater(t, checked, 50)
}

func TestTracesOfOneRolloutAreOneTrajectory(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range byte(3) {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, i})
		s.SetSpanID(pcommon.SpanID{2, i})
		s.Attributes().PutStr("gen_ai.operation.name", "chat")
		if i < 2 {
			s.Attributes().PutStr(trajectory.AttrRolloutID, "rollout-1")
		}
	}
	c := collect(td, "w", now)
	require.Len(t, c.trajectories, 2)
	assert.Equal(t, trajectory.IDOf("rollout-1"), c.trajectories[0].ID)
	assert.Len(t, c.trajectories[0].TraceIDs, 2)
	assert.Equal(t, trajectory.CloseIdle, c.trajectories[0].CloseReason, "its root has not ended")
}

func TestOrdinaryTracesAreSkippedWhole(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range byte(4) {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{i / 2}) // 0 is no trace
		s.SetSpanID(pcommon.SpanID{1})
		s.SetName("GET /")
	}
	spans.At(0).Attributes().PutStr("gen_ai.operation.name", "chat") // without a trace id there is nothing to assemble
	c := collect(td, "w", now)
	assert.Empty(t, c.trajectories)
	assert.Equal(t, 4, c.skipped)
}

// A span without an id is in no trace, whatever trace it names.
func TestSpansWithoutIDsAreSkipped(t *testing.T) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range byte(2) {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetSpanID(pcommon.SpanID{i})
		s.Attributes().PutStr("gen_ai.operation.name", "chat")
	}
	c := collect(td, "w", now)
	require.Len(t, c.trajectories, 1)
	assert.Equal(t, 1, c.trajectories[0].SpanCount)
	assert.Equal(t, 1, c.skipped)
	spans.RemoveIf(func(s ptrace.Span) bool { return !s.SpanID().IsEmpty() })
	assert.Empty(t, collect(td, "w", now).trajectories)
}
