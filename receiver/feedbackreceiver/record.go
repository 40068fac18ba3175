package feedbackreceiver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/receiver/feedbackreceiver/internal/metadata"
)

// The semantic conventions' names of an evaluation.
const (
	eventName        = "gen_ai.evaluation.result"
	attrName         = "gen_ai.evaluation.name"
	attrValue        = "gen_ai.evaluation.score.value"
	attrLabel        = "gen_ai.evaluation.score.label"
	attrExplanation  = "gen_ai.evaluation.explanation"
	attrResponse     = "gen_ai.response.id"
	attrConversation = "gen_ai.conversation.id"
)

// source is tracegrad.fact.source: what tells feedback from the evaluations
// that others send under the same event name. The Parquet exporter believes it
// of records in this receiver's scope only: its name is a part of the contract.
const source = "feedback"

// records makes one log record per item. An item without observed_at was
// observed now.
func records(items []feedback, now time.Time) plog.Logs {
	logs := plog.NewLogs()
	scope := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	scope.Scope().SetName(metadata.ScopeName)
	out := scope.LogRecords()
	out.EnsureCapacity(len(items))
	for i := range items {
		items[i].record(out.AppendEmpty(), now)
	}
	return logs
}

func (f *feedback) record(to plog.LogRecord, now time.Time) {
	observed := f.observedAt
	if observed.IsZero() {
		observed = now
	}
	to.SetEventName(eventName)
	to.SetTimestamp(pcommon.NewTimestampFromTime(observed))
	to.SetObservedTimestamp(pcommon.NewTimestampFromTime(now))
	to.SetTraceID(f.traceID)
	to.SetSpanID(f.spanID)
	a := to.Attributes()
	a.EnsureCapacity(9)
	a.PutStr(attrName, f.name)
	a.PutDouble(attrValue, f.value)
	for _, text := range []struct{ key, value string }{
		{attrLabel, f.label},
		{attrExplanation, f.explanation},
		{attrResponse, f.responseID},
		{attrConversation, f.conversationID},
		{trajectory.AttrTrajectoryID, f.trajectoryID},
	} {
		if text.value != "" {
			a.PutStr(text.key, text.value)
		}
	}
	a.PutStr(trajectory.AttrFactID, f.id)
	a.PutStr(trajectory.AttrFactSource, source)
}

// hash is the id of an item that has none: what was observed, about what, and
// when (without observed_at: when it came). True, false and true again are three
// facts, of which the last counts. Every part is preceded by its length.
func (f *feedback) hash(now time.Time) string {
	observed := strconv.FormatInt(now.UnixNano(), 10)
	if !f.observedAt.IsZero() {
		observed = strconv.FormatInt(f.observedAt.UnixNano(), 10)
	}
	h := sha256.New()
	for _, part := range []string{
		f.name, strconv.FormatFloat(f.value, 'g', -1, 64), f.label, f.explanation, f.trajectoryID,
		string(f.traceID[:]), string(f.spanID[:]), f.responseID, f.conversationID, observed,
	} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
