package genai

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// feedbackScope is the scope of the feedback receiver's records. Feedback is
// what users said and is trusted more than evaluations: from others the word is
// not taken. It is a name, no proof: who may send to the pipeline is decided by
// its receivers.
const feedbackScope = trajectory.ScopeName + "/receiver/feedbackreceiver"

// maxAhead is how far in the future an observation may be: of several the newest
// counts, and one of next year would for a year.
const maxAhead = 24 * time.Hour

// Why a verdict is no fact.
const (
	NoName    = "no_name"
	NoSubject = "no_subject"
	NotFinite = "not_finite"
)

// Verdict is a log record that says what somebody found out about a reply: a
// fact, or why it could never be joined or counted.
type Verdict struct {
	Fact          trajectory.Fact // ID may be ""
	Reason, Error string          // "" = it is a fact

	Resource pcommon.Resource
	Record   plog.LogRecord
}

// Verdicts reads the evaluations among the log records of a request, at the
// time now; others counts the rest.
func Verdicts(ld plog.Logs, now time.Time) (list []Verdict, others int) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			ours := sl.Scope().Name() == feedbackScope
			for _, r := range sl.LogRecords().All() {
				if eventName(r) != evaluationEvent {
					others++
					continue
				}
				v := Verdict{Fact: readFact(r, ours, now), Resource: rl.Resource(), Record: r}
				v.Reason, v.Error = refuse(v.Fact)
				list = append(list, v)
			}
		}
	}
	return list, others
}

func readFact(r plog.LogRecord, ours bool, now time.Time) trajectory.Fact {
	a := r.Attributes()
	f := trajectory.Fact{
		ID:             textOf(a, trajectory.AttrFactID),
		Name:           textOf(a, "gen_ai.evaluation.name"),
		Value:          scoreOf(a, "gen_ai.evaluation.score.value"),
		Label:          textOf(a, "gen_ai.evaluation.score.label"),
		Explanation:    textOf(a, "gen_ai.evaluation.explanation"),
		Source:         source(textOf(a, trajectory.AttrFactSource), ours),
		TrajectoryID:   textOf(a, trajectory.AttrTrajectoryID),
		ResponseID:     textOf(a, "gen_ai.response.id"),
		ConversationID: textOf(a, "gen_ai.conversation.id"),
	}
	if f.ConversationID == "" {
		f.ConversationID = textOf(a, "session.id")
	}
	if id := r.TraceID(); !id.IsEmpty() {
		f.TraceID = id.String()
	}
	if id := r.SpanID(); !id.IsEmpty() {
		f.SpanID = id.String()
	}
	f.ObservedAt = int64(observed(r, now) / 1000) //nolint:gosec // divided, it fits
	return f
}

// source is who said it, of those that docs/dataset.md knows.
func source(said string, ours bool) string {
	if said == "annotation" || said == "feedback" && ours {
		return said
	}
	return "evaluation"
}

// observed is when a record was observed: its own word, if that can be.
func observed(r plog.LogRecord, now time.Time) pcommon.Timestamp {
	latest := pcommon.NewTimestampFromTime(now.Add(maxAhead))
	switch at, seen := r.Timestamp(), r.ObservedTimestamp(); {
	case at > 0 && at <= latest:
		return at
	case seen <= latest:
		return seen
	}
	return pcommon.NewTimestampFromTime(now)
}

// refuse says why a fact could never be joined or counted.
func refuse(f trajectory.Fact) (reason, text string) {
	switch {
	case f.Name == "":
		return NoName, "gen_ai.evaluation.name is missing"
	case f.TrajectoryID == "" && f.TraceID == "" && f.SpanID == "" && f.ResponseID == "" && f.ConversationID == "":
		return NoSubject, "the record names no trajectory, trace, span, response or conversation"
	case f.Value != nil && (math.IsNaN(*f.Value) || math.IsInf(*f.Value, 0)):
		return NotFinite, "gen_ai.evaluation.score.value is not a finite number"
	}
	return "", ""
}

func textOf(a pcommon.Map, key string) string {
	if v, ok := a.Get(key); ok && v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return ""
}

func scoreOf(a pcommon.Map, key string) *float64 {
	v, ok := a.Get(key)
	if !ok {
		return nil
	}
	switch v.Type() {
	case pcommon.ValueTypeDouble:
		return new(v.Double())
	case pcommon.ValueTypeInt:
		return new(float64(v.Int()))
	case pcommon.ValueTypeBool:
		if v.Bool() {
			return new(1.0)
		}
		return new(0.0)
	}
	return nil
}
