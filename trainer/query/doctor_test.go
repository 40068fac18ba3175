//go:build cgo

package query

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/doctor"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestSeenIsWhatTheSpansShow: a dataset and the capture that it was made of are
// counted alike, as far as a dataset goes.
func TestSeenIsWhatTheSpansShow(t *testing.T) {
	const capture = "../../testdata/captures/openai-python__otel-genai-agent.jsonl"
	e := doctor.NewExam()
	r := doctor.NewReader(e)
	spans := map[trajectory.TraceID][]*trajectory.Span{}
	for req, err := range otlp.Files(capture) {
		require.NoError(t, err)
		require.NoError(t, r.Take(req))
		for _, rs := range req.Traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					d := genai.NewDecoder(genai.Options{}).Decode(rs.Resource(), ss.Scope(), s)
					spans[d.TraceID] = append(spans[d.TraceID], d)
				}
			}
		}
	}
	var list []*trajectory.Trajectory
	for _, s := range spans {
		list = append(list, trajectory.Assemble(s, trajectory.Options{Writer: "test", CloseReason: trajectory.CloseComplete, Revision: 1, FirstSeenAt: start.UnixMicro()}))
	}
	root := t.TempDir()
	write(t, root, list)

	want := e.Seen()
	require.Len(t, want.Services, 1)
	seen, err := open(t, root).Seen(t.Context())
	require.NoError(t, err)
	require.Len(t, seen.Services, 1)
	got, w := seen.Services[0], want.Services[0]
	delete(w.Shows, doctor.Roots) // a dataset does not know them
	w.Emitters, w.Attributes = nil, got.Attributes
	got.Emitters = nil
	assert.Equal(t, w, got)
}

// TestSeen counts facts, reasons, runs without any call, and several services.
func TestSeen(t *testing.T) {
	root := t.TempDir()
	a, b, c, d := attempt(1, "x"), attempt(2, "x"), attempt(3, "y"), attempt(4, "z")
	a.ServiceName, b.ServiceName, c.ServiceName, d.ServiceName = "shop", "shop", "bank", "shop"
	b.Trainable, b.Reasons, b.TraceIDs = false, []trajectory.Reason{trajectory.ReasonNoOutput}, append(b.TraceIDs, "00000000000000000000000000000abc")
	b.Steps[2].Model.Output = nil
	c.Status, c.Error = trajectory.StatusError, "boom"
	c.Steps[1].Error, c.Steps[1].Tool.Result = "timeout", nil
	d.Steps, d.Messages, d.ModelCalls, d.ToolCalls = nil, nil, 0, 0
	write(t, root, []*trajectory.Trajectory{a, b, c, d}, trajectory.Fact{ID: "f", Name: "solved", Source: "feedback", Value: ptr(1.0), TraceID: a.TraceIDs[0]})
	seen, err := open(t, root).Seen(t.Context())
	require.NoError(t, err)
	require.Len(t, seen.Services, 2)
	shop, bank := seen.Services[0], seen.Services[1]
	assert.Equal(t, "shop", shop.Name)
	assert.Equal(t, []int{2, 1, 1, 1, 2}, []int{shop.Runs, shop.Idle, shop.Trainable, shop.Tasks, shop.Repeated})
	assert.Equal(t, 1, shop.Joined.BySession)
	assert.Equal(t, map[string]int{"output_missing": 1}, shop.Reasons)
	assert.Equal(t, doctor.Count{Have: 3, Of: 4}, *shop.Shows[doctor.Reply])
	assert.Equal(t, doctor.Count{Have: 2, Of: 4}, *shop.Shows[doctor.TokenIDs])
	assert.Equal(t, doctor.Count{Have: 1, Of: 2}, *shop.Shows[doctor.Verdicts])
	assert.Equal(t, map[string]*doctor.FactCount{"solved": {Source: "feedback", Runs: 1}}, shop.Facts)
	assert.Equal(t, []int{1, 1}, []int{bank.Failures.Runs, bank.Failures.Tools})
	assert.Equal(t, map[string]*doctor.ToolCount{"lookup": {Runs: 1, Failed: 1}}, bank.Tools)
	assert.Nil(t, bank.Shows[doctor.ToolResults], "the only tool run failed")
	assert.Equal(t, []string{"semconv"}, bank.Emitters[0].Dialects)
}

// TestSeenOfNothing: an empty dataset has no services.
func TestSeenOfNothing(t *testing.T) {
	seen, err := open(t, t.TempDir()).Seen(t.Context())
	require.NoError(t, err)
	assert.Empty(t, seen.Services)
}
