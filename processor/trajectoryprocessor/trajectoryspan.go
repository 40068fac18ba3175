package trajectoryprocessor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// trajectory appends a trajectory as one span.
func (w *writer) trajectory(t *trajectory.Trajectory) {
	span := w.spansOf(t.ServiceName).AppendEmpty()
	describe(span, t)
	w.scratch = trajectory.AppendEncode(w.scratch[:0], t)
	span.Attributes().PutEmptyBytes(trajectory.AttrTrajectory).FromRaw(w.scratch)
	w.add(int64(len(w.scratch)))
}

// describe writes what the span of a trajectory says in plain attributes.
func describe(span ptrace.Span, t *trajectory.Trajectory) {
	span.SetName("trajectory")
	if len(t.AgentNames) > 0 {
		span.SetName("trajectory " + t.AgentNames[0])
	}
	if len(t.TraceIDs) > 0 {
		var id pcommon.TraceID
		if n, err := hex.Decode(id[:], []byte(t.TraceIDs[0])); err == nil && n == len(id) {
			span.SetTraceID(id)
		}
	}
	span.SetSpanID(spanID(t))
	span.SetKind(ptrace.SpanKindInternal)
	span.SetStartTimestamp(pcommon.Timestamp(t.StartedAt * 1000)) //nolint:gosec // µs since 1970
	span.SetEndTimestamp(pcommon.Timestamp(t.EndedAt * 1000))     //nolint:gosec // µs since 1970
	if t.Status == trajectory.StatusError {
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(t.Error)
	}
	at := span.Attributes()
	at.EnsureCapacity(16 + len(t.Rewards))
	summarize(at, t)
	at.PutInt(trajectory.AttrModelCalls, int64(t.ModelCalls))
	at.PutInt(trajectory.AttrToolCalls, int64(t.ToolCalls))
	at.PutInt(trajectory.AttrSpanCount, int64(t.SpanCount))
	putText(at, "gen_ai.conversation.id", t.ConversationID)
	putText(at, "user.id", t.UserID)
	if len(t.AgentNames) > 0 {
		at.PutStr("gen_ai.agent.name", t.AgentNames[0])
	}
}

// summarize writes ids, outcome and rewards.
func summarize(at pcommon.Map, t *trajectory.Trajectory) {
	at.PutStr(trajectory.AttrID, t.ID)
	at.PutInt(trajectory.AttrRevision, t.Revision)
	putText(at, trajectory.AttrTaskKey, t.TaskKey)
	at.PutStr(trajectory.AttrCloseReason, string(t.CloseReason))
	at.PutStr(trajectory.AttrStatus, string(t.Status))
	at.PutBool(trajectory.AttrTrainable, t.Trainable)
	if len(t.Reasons) > 0 {
		list := at.PutEmptySlice(trajectory.AttrReasons)
		for _, r := range t.Reasons {
			list.AppendEmpty().SetStr(string(r))
		}
	}
	for name, v := range totals(t.Rewards) {
		at.PutDouble(trajectory.AttrRewardPrefix+name, v)
	}
}

// totals is the value of every rule: the trajectory's, or the sum over its
// steps. Nulls are left out.
func totals(list []trajectory.Reward) map[string]float64 {
	out := map[string]float64{}
	for _, r := range list {
		if r.Value != nil {
			out[r.Name] += *r.Value
		}
	}
	return out
}

func putText(at pcommon.Map, k, v string) {
	if v != "" {
		at.PutStr(k, v)
	}
}

// spanID is derived from the trajectory and its revision: the same revision
// sent twice is the same span.
func spanID(t *trajectory.Trajectory) pcommon.SpanID {
	var revision [8]byte
	binary.BigEndian.PutUint64(revision[:], uint64(t.Revision)) //nolint:gosec // bits
	sum := sha256.Sum256(append([]byte(t.ID), revision[:]...))
	return pcommon.SpanID(sum[:8])
}
