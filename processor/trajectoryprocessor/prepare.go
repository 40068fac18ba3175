package trajectoryprocessor

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// prepared is a trajectory that was assembled, scored and encoded as soon as it
// was whole. It waits for stragglers; if one comes it is made anew.
type prepared struct {
	head    trajectory.Trajectory // without steps, messages, facts: what describe needs
	encoded pcommon.ByteSlice     // without the revision
}

// prepare makes trajectories of whole traces. Requests are served by several
// goroutines: it does not hold a.mu for the work.
func (a *assembler) prepare(whole []buffer.Whole, now int64) {
	if len(whole) == 0 {
		return
	}
	scratch := a.scratch.Get().(*[]byte)
	made := make([]*prepared, len(whole))
	for i := range whole {
		t := a.trajectory(whole[i].Spans, whole[i].Options, now/1000)
		*scratch = trajectory.AppendEncode((*scratch)[:0], t)
		p := &prepared{head: headOf(t), encoded: pcommon.NewByteSlice()}
		p.encoded.EnsureCapacity(len(*scratch) + trajectory.MaxEncodedRevision)
		p.encoded.FromRaw(*scratch)
		made[i] = p
	}
	a.scratch.Put(scratch)
	a.mu.Lock()
	for i, p := range made {
		a.buf.Prepare(whole[i], p, int64(p.encoded.Len())+headCost)
	}
	a.mu.Unlock()
}

// headCost is about what the head of a prepared trajectory holds.
const headCost = 1024

// headOf is what the span of a trajectory says beside the encoded trajectory.
// Its texts are copies: they must not keep all that was decoded.
func headOf(t *trajectory.Trajectory) trajectory.Trajectory {
	h := trajectory.Trajectory{
		ID: t.ID, TaskKey: strings.Clone(t.TaskKey), ConversationID: strings.Clone(t.ConversationID), UserID: strings.Clone(t.UserID),
		ServiceName: strings.Clone(t.ServiceName), CloseReason: t.CloseReason, Status: t.Status, Error: strings.Clone(t.Error),
		StartedAt: t.StartedAt, EndedAt: t.EndedAt, SpanCount: t.SpanCount, ModelCalls: t.ModelCalls, ToolCalls: t.ToolCalls,
		Trainable: t.Trainable, Reasons: t.Reasons, Rewards: t.Rewards,
	}
	if len(t.TraceIDs) > 0 {
		h.TraceIDs = t.TraceIDs[:1:1]
	}
	if len(t.AgentNames) > 0 {
		h.AgentNames = []string{strings.Clone(t.AgentNames[0])}
	}
	return h
}

// prepared appends a prepared trajectory as one span.
func (w *writer) prepared(p *prepared, revision int64) {
	p.head.Revision = revision
	span := w.spansOf(p.head.ServiceName).AppendEmpty()
	describe(span, &p.head)
	p.encoded.Append(trajectory.AppendRevision(w.scratch[:0], revision)...)
	w.add(int64(p.encoded.Len()))
	p.encoded.MoveTo(span.Attributes().PutEmptyBytes(trajectory.AttrTrajectory))
}

// spansOf is where trajectories of a service go to in the batch.
func (w *writer) spansOf(service string) ptrace.SpanSlice {
	if spans, ok := w.byService[service]; ok {
		return spans
	}
	rs := w.td.ResourceSpans().AppendEmpty()
	if service != "" {
		rs.Resource().Attributes().PutStr("service.name", service)
	}
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName(trajectory.ScopeName)
	w.byService[service] = ss.Spans()
	return ss.Spans()
}

// add counts one trajectory more.
func (w *writer) add(encoded int64) {
	w.trajectories++
	w.bytes += encoded + 512
}
