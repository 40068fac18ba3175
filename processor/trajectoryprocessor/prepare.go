package trajectoryprocessor

import (
	"encoding/binary"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// prepared is a trajectory that was assembled, scored and encoded as soon as it
// was whole. It waits for stragglers; if one comes it is made anew.
type prepared struct {
	head       trajectory.Trajectory // without steps, messages, facts: what describe needs
	encoded    pcommon.ByteSlice
	revisionAt int // where it has its revision
}

// whole is a whole trace with its decoder, to which the spans belong; nil =
// they belong to others.
type whole struct {
	buffer.Whole
	decoder *genai.Decoder
}

// prepare makes trajectories of whole traces. Requests are served by several
// goroutines: it does not hold a.mu for the work.
func (a *assembler) prepare(list []whole, now int64) {
	if len(list) == 0 {
		return
	}
	kit := a.kits.Get().(*kit)
	made := make([]*prepared, len(list))
	for i := range list {
		opt := list[i].Options
		opt.Revision = now / 1000 // takes as many bytes as the revision that it will have
		t := a.trajectory(&kit.assembler, list[i].Spans, opt, now/1000)
		p := &prepared{head: headOf(t), encoded: pcommon.NewByteSlice()}
		kit.encoded, p.revisionAt = trajectory.AppendEncodeAt(kit.encoded[:0], t)
		p.encoded.FromRaw(kit.encoded)
		made[i] = p
	}
	a.kits.Put(kit)
	a.mu.Lock()
	for i, p := range made {
		a.buf.Prepare(list[i].Whole, p, int64(p.encoded.Len())+headCost)
		a.decoders.Recycle(list[i].decoder)
	}
	a.mu.Unlock()
}

// kit is what making trajectories needs besides.
type kit struct {
	assembler trajectory.Assembler
	encoded   []byte
}

// headCost is about what the head of a prepared trajectory holds.
const headCost = 1024

// headOf is what the span of a trajectory says beside the encoded trajectory.
// Its texts are copies: they must not keep all that was decoded.
func headOf(t *trajectory.Trajectory) trajectory.Trajectory {
	h := trajectory.Trajectory{
		ID: t.ID, Revision: t.Revision, TaskKey: strings.Clone(t.TaskKey), ConversationID: strings.Clone(t.ConversationID), UserID: strings.Clone(t.UserID),
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
	span := w.spansOf(p.head.ServiceName).AppendEmpty()
	p.setRevision(revision)
	describe(span, &p.head)
	w.add(int64(p.encoded.Len()))
	p.encoded.MoveTo(span.Attributes().PutEmptyBytes(trajectory.AttrTrajectory))
}

// setRevision writes the revision over the one that was there.
func (p *prepared) setRevision(revision int64) {
	var room [binary.MaxVarintLen64]byte
	bytes := trajectory.AppendRevision(room[:0], revision)
	have := trajectory.AppendRevision(nil, p.head.Revision)
	if len(bytes) != len(have) { // the clock jumped: of two, the last counts
		p.encoded.Append(bytes...)
	} else {
		for i, b := range bytes {
			p.encoded.SetAt(p.revisionAt+i, b)
		}
	}
	p.head.Revision = revision
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
