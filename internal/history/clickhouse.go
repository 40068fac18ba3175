package history

import (
	"strconv"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// The tables of the Collector's ClickHouse exporter, otel_traces and otel_logs,
// as ClickHouse exports them with FORMAT JSONEachRow or FORMAT Parquet.
// Attributes are text there, whatever they were: the decoders read numbers from
// text. Tables with JSON columns keep types and take names apart at their dots.

func readClickHouseSpan(r *rows, row columns) error {
	trace, err1 := traceID("TraceId", row["TraceId"])
	id, err2 := spanID("SpanId", row["SpanId"])
	parent, err3 := spanID("ParentSpanId", row["ParentSpanId"])
	start, err4 := timeOf("Timestamp", row["Timestamp"])
	duration, err5 := durationOf(row["Duration"])
	if err := first(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	events, err := clickHouseEvents(row)
	if err != nil {
		return err
	}
	s := r.span(clickHouseHome(row), func(m pcommon.Map) { putFlat(m, "", row["ResourceAttributes"]) })
	s.SetTraceID(trace)
	s.SetSpanID(id)
	s.SetParentSpanID(parent)
	s.TraceState().FromRaw(row["TraceState"].Str)
	s.SetName(row["SpanName"].Str)
	s.SetKind(kindOf(row["SpanKind"].Str))
	s.SetStartTimestamp(start)
	s.SetEndTimestamp(start + pcommon.Timestamp(duration))
	putFlat(s.Attributes(), "", row["SpanAttributes"])
	status(s.Status(), row["StatusCode"].Str, row["StatusMessage"].Str)
	for _, e := range events {
		ev := s.Events().AppendEmpty()
		ev.SetTimestamp(e.at)
		ev.SetName(e.name)
		putFlat(ev.Attributes(), "", e.attributes)
	}
	return nil
}

func readClickHouseLog(r *rows, row columns) error {
	trace, err1 := traceID("TraceId", row["TraceId"])
	id, err2 := spanID("SpanId", row["SpanId"])
	at, err3 := timeOf("Timestamp", row["Timestamp"])
	if err := first(err1, err2, err3); err != nil {
		return err
	}
	l := r.record(clickHouseHome(row), func(m pcommon.Map) { putFlat(m, "", row["ResourceAttributes"]) })
	l.SetTraceID(trace)
	l.SetSpanID(id)
	l.SetTimestamp(at)
	l.SetFlags(plog.LogRecordFlags(uint32(row["TraceFlags"].Uint()))) //nolint:gosec // a byte
	l.SetSeverityText(row["SeverityText"].Str)
	l.SetSeverityNumber(plog.SeverityNumber(int32(row["SeverityNumber"].Int()))) //nolint:gosec // a byte
	l.SetEventName(row["EventName"].Str)
	if body := row["Body"]; body.Str != "" {
		l.Body().SetStr(body.Str)
	}
	putFlat(l.Attributes(), "", row["LogAttributes"])
	if v, ok := l.Attributes().Get(score); ok && v.Type() == pcommon.ValueTypeStr {
		if n, err := strconv.ParseFloat(v.Str(), 64); err == nil {
			v.SetDouble(n)
		}
	}
	return nil
}

// score is a number by convention, and nobody reads it as text.
const score = "gen_ai.evaluation.score.value"

func clickHouseHome(row columns) home {
	return home{row["ResourceAttributes"].Raw, row["ResourceSchemaUrl"].Str, row["ScopeName"].Str, row["ScopeVersion"].Str}
}

type clickHouseEvent struct {
	at         pcommon.Timestamp
	name       string
	attributes gjson.Result
}

// clickHouseEvents reads the nested column Events, one list a field.
func clickHouseEvents(row columns) ([]clickHouseEvent, error) {
	times, names, attributes := row["Events.Timestamp"].Array(), row["Events.Name"].Array(), row["Events.Attributes"].Array()
	if len(times) != len(names) || len(names) != len(attributes) {
		return nil, bad("Events: %d times, %d names and %d attributes", len(times), len(names), len(attributes))
	}
	events := make([]clickHouseEvent, len(names))
	for i := range names {
		at, err := timeOf("Events.Timestamp", times[i])
		if err != nil {
			return nil, err
		}
		events[i] = clickHouseEvent{at, names[i].Str, attributes[i]}
	}
	return events, nil
}

// durationOf reads nanoseconds; settings decide whether ClickHouse quotes them.
func durationOf(v gjson.Result) (uint64, error) {
	text := v.Raw
	if v.Type == gjson.String {
		text = v.Str
	}
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return 0, bad("Duration %q: want nanoseconds", clip(text))
	}
	return n, nil
}

// putFlat writes attributes whose names may have been taken apart at their
// dots.
func putFlat(m pcommon.Map, prefix string, from gjson.Result) {
	from.ForEach(func(k, v gjson.Result) bool {
		switch name := prefix + k.Str; {
		case v.IsObject():
			putFlat(m, name+".", v)
		case v.Type != gjson.Null:
			put(m.PutEmpty(name), v)
		}
		return true
	})
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
