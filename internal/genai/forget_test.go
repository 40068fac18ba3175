package genai_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestForget: a decoder that has forgotten reads as a new one, and what it had
// read before stays as it was.
func TestForget(t *testing.T) {
	files, err := filepath.Glob(captures + "/*__*.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	used := genai.NewDecoder(genai.Options{Shared: &genai.Shared{}})
	var want, got []*trajectory.Span
	for _, file := range files {
		traces := map[trajectory.TraceID]ptrace.Traces{}
		var order []trajectory.TraceID
		for _, td := range readCapture(t, file) {
			for _, rs := range td.ResourceSpans().All() {
				for _, ss := range rs.ScopeSpans().All() {
					for _, s := range ss.Spans().All() {
						id := trajectory.TraceID(s.TraceID())
						if _, ok := traces[id]; !ok {
							traces[id] = ptrace.NewTraces()
							order = append(order, id)
						}
						to := traces[id].ResourceSpans().AppendEmpty()
						rs.Resource().CopyTo(to.Resource())
						s.CopyTo(to.ScopeSpans().AppendEmpty().Spans().AppendEmpty())
					}
				}
			}
		}
		for _, id := range order {
			fresh := genai.NewDecoder(genai.Options{})
			for _, rs := range traces[id].ResourceSpans().All() {
				ss := rs.ScopeSpans().At(0)
				want = append(want, fresh.Decode(rs.Resource(), ss.Scope(), ss.Spans().At(0)))
				got = append(got, used.Decode(rs.Resource(), ss.Scope(), ss.Spans().At(0)))
			}
			used.Forget()
		}
	}
	require.Len(t, got, len(want))
	for i := range want {
		assert.Equal(t, want[i], got[i])
	}
}
