package doctor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// evaluation is OTel's event for what somebody found out about a reply.
const evaluation = "gen_ai.evaluation.result"

// logs decodes the records that say something of a call, and notes verdicts.
func (r *Reader) logs(ld plog.Logs) error {
	var spans []span
	same := map[trajectory.SpanID]int{} // records of this request that say the same at the same time
	for _, rl := range ld.ResourceLogs().All() {
		service := text(rl.Resource().Attributes(), "service.name")
		for _, sl := range rl.ScopeLogs().All() {
			if _, ok := r.exam.logs[service]; ok || len(r.exam.logs) < maxValues {
				r.exam.logs[service] += sl.LogRecords().Len()
			}
			for _, rec := range sl.LogRecords().All() {
				switch {
				case isEvaluation(rec):
					r.exam.judged(sl.Scope().Name(), rec)
				case genai.Recorded(rec):
					id := genai.RecordID(rec)
					s := r.dec.DecodeRecord(rl.Resource(), sl.Scope(), rec, same[id])
					same[id]++
					if s == nil || s.TraceID == (trajectory.TraceID{}) {
						continue
					}
					r.hold(s)
					spans = append(spans, span{Span: s, origin: originOf(rl.Resource(), sl.Scope())})
				}
			}
		}
	}
	return r.exam.add(spans)
}

func isEvaluation(r plog.LogRecord) bool {
	return r.EventName() == evaluation || text(r.Attributes(), "event.name") == evaluation
}

// feedbackScope is the scope of our feedback receiver's records.
const feedbackScope = trajectory.ScopeName + "/receiver/feedbackreceiver"

type fact struct{ name, source string }

// judged notes what a verdict is about. Whatever id it has may tie it to a run.
func (e *Exam) judged(scope string, r plog.LogRecord) {
	f := fact{text(r.Attributes(), "gen_ai.evaluation.name"), "evaluation"}
	if scope == feedbackScope {
		f.source = "feedback"
	}
	about := []string{text(r.Attributes(), trajectory.AttrTrajectoryID), text(r.Attributes(), "gen_ai.response.id"), text(r.Attributes(), "gen_ai.conversation.id")}
	if !r.TraceID().IsEmpty() {
		about = append(about, r.TraceID().String())
	}
	for _, id := range about {
		if id != "" && f.name != "" && len(e.verdict) < maxTraces {
			e.verdict[id] = f
		}
	}
}

// facts are the verdicts on a run, each once.
func (e *Exam) facts(tr *trajectory.Trajectory) []fact {
	var out []fact
	add := func(f fact) {
		if f.name != "" && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	for _, f := range tr.Facts {
		add(fact{f.Name, f.Source})
	}
	if len(e.verdict) == 0 {
		return out
	}
	add(e.verdict[tr.ID])
	add(e.verdict[tr.ConversationID])
	for _, id := range tr.TraceIDs {
		add(e.verdict[id])
	}
	for i := range tr.Steps {
		if m := tr.Steps[i].Model; m != nil {
			add(e.verdict[m.ResponseID])
		}
	}
	return out
}
