package parquetexporter

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// evaluationResult is OTel's event for what somebody found out about a reply.
const evaluationResult = "gen_ai.evaluation.result"

// feedbackScope is the scope of the feedback receiver's records. Feedback is
// what users said and is trusted more than evaluations: from others the word is
// not taken. It is a name, no proof: who may send to the pipeline is decided by
// its receivers.
const feedbackScope = trajectory.ScopeName + "/receiver/feedbackreceiver"

// maxAhead is how far in the future an observation may be: of several the newest
// counts, and one of next year would for a year.
const maxAhead = 24 * time.Hour

// factsRead is what a batch of log records holds.
type factsRead struct {
	facts   []trajectory.Fact
	bad     []badItem
	skipped int // records that are no evaluation
}

func readFacts(ld plog.Logs, now time.Time) factsRead {
	var in factsRead
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			ours := sl.Scope().Name() == feedbackScope
			for _, record := range sl.LogRecords().All() {
				if eventName(record) != evaluationResult {
					in.skipped++
					continue
				}
				f := readFact(record, ours, now)
				if reason, text := refuse(f); reason != "" {
					in.bad = append(in.bad, badItem{reason, text, recordJSON(rl.Resource(), record)})
					continue
				}
				if f.ID == "" {
					f.ID = dataset.FactID(f)
				}
				in.facts = append(in.facts, f)
			}
		}
	}
	return in
}

// eventName knows the field and the attribute that older SDKs write.
func eventName(r plog.LogRecord) string {
	if name := r.EventName(); name != "" {
		return name
	}
	return text(r.Attributes(), "event.name")
}

func readFact(r plog.LogRecord, ours bool, now time.Time) trajectory.Fact {
	a := r.Attributes()
	f := trajectory.Fact{
		ID:             text(a, trajectory.AttrFactID),
		Name:           text(a, "gen_ai.evaluation.name"),
		Value:          number(a, "gen_ai.evaluation.score.value"),
		Label:          text(a, "gen_ai.evaluation.score.label"),
		Explanation:    text(a, "gen_ai.evaluation.explanation"),
		Source:         source(text(a, trajectory.AttrFactSource), ours),
		TrajectoryID:   text(a, trajectory.AttrTrajectoryID),
		ResponseID:     text(a, "gen_ai.response.id"),
		ConversationID: text(a, "gen_ai.conversation.id"),
	}
	if f.ConversationID == "" {
		f.ConversationID = text(a, "session.id")
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
		return reasonNoName, "gen_ai.evaluation.name is missing"
	case f.TrajectoryID == "" && f.TraceID == "" && f.SpanID == "" && f.ResponseID == "" && f.ConversationID == "":
		return reasonNoSubject, "the record names no trajectory, trace, span, response or conversation"
	case f.Value != nil && (math.IsNaN(*f.Value) || math.IsInf(*f.Value, 0)):
		return reasonNotFinite, "gen_ai.evaluation.score.value is not a finite number"
	}
	return "", ""
}

func text(a pcommon.Map, key string) string {
	if v, ok := a.Get(key); ok && v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return ""
}

func number(a pcommon.Map, key string) *float64 {
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

func recordJSON(res pcommon.Resource, r plog.LogRecord) []byte {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	res.CopyTo(rl.Resource())
	r.CopyTo(rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	b, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
	if err != nil {
		return nil
	}
	return b
}
