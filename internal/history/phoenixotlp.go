package history

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// readPhoenixOTLP reads a span of Phoenix's …/spans/otlpv1: OTLP with names in
// snake case, every kind of value spelled out and all but one of them null.
func readPhoenixOTLP(r *rows, row columns) error {
	trace, err1 := traceID("trace_id", row["trace_id"])
	id, err2 := spanID("span_id", row["span_id"])
	parent, err3 := spanID("parent_span_id", row["parent_span_id"])
	start, err4 := nanoseconds("start_time_unix_nano", row["start_time_unix_nano"])
	end, err5 := nanoseconds("end_time_unix_nano", row["end_time_unix_nano"])
	if err := first(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	events := row["events"].Array()
	times := make([]pcommon.Timestamp, len(events))
	for i, e := range events {
		var err error
		if times[i], err = nanoseconds("events.time_unix_nano", e.Get("time_unix_nano")); err != nil {
			return err
		}
	}
	s := r.span(home{}, func(pcommon.Map) {})
	s.SetTraceID(trace)
	s.SetSpanID(id)
	s.SetParentSpanID(parent)
	s.SetFlags(uint32(row["flags"].Uint())) //nolint:gosec // 32 bits
	s.SetName(row["name"].Str)
	s.SetKind(kindOf(row["kind"].Str))
	s.SetStartTimestamp(start)
	s.SetEndTimestamp(end)
	status(s.Status(), row["status"].Get("code").String(), row["status"].Get("message").Str)
	pairs(s.Attributes(), row["attributes"])
	for i, e := range events {
		ev := s.Events().AppendEmpty()
		ev.SetName(e.Get("name").Str)
		ev.SetTimestamp(times[i])
		pairs(ev.Attributes(), e.Get("attributes"))
	}
	return nil
}

func nanoseconds(column string, v gjson.Result) (pcommon.Timestamp, error) {
	if v.Type == gjson.Null {
		return 0, nil
	}
	n, err := strconv.ParseUint(strings.Trim(v.Raw, `"`), 10, 63)
	if err != nil {
		return 0, bad("%s %q: want nanoseconds", column, clip(v.Raw))
	}
	return pcommon.Timestamp(n), nil
}

// pairs reads a list of {key, value}.
func pairs(m pcommon.Map, list gjson.Result) {
	list.ForEach(func(_, p gjson.Result) bool {
		anyValue(m.PutEmpty(p.Get("key").Str), p.Get("value"))
		return true
	})
}

// anyValue reads the one kind of value that is not null.
func anyValue(to pcommon.Value, from gjson.Result) {
	from.ForEach(func(kind, v gjson.Result) bool {
		switch {
		case v.Type == gjson.Null:
			return true
		case kind.Str == "array_value":
			list := to.SetEmptySlice()
			v.Get("values").ForEach(func(_, e gjson.Result) bool { anyValue(list.AppendEmpty(), e); return true })
		case kind.Str == "kvlist_value":
			pairs(to.SetEmptyMap(), v.Get("values"))
		case kind.Str == "bytes_value":
			if b, err := base64.StdEncoding.DecodeString(v.Str); err == nil {
				to.SetEmptyBytes().FromRaw(b)
			}
		case kind.Str == "double_value":
			to.SetDouble(v.Num)
		case kind.Str == "int_value" && v.Type == gjson.String:
			n, _ := strconv.ParseInt(v.Str, 10, 64)
			to.SetInt(n)
		default:
			put(to, v)
		}
		return false
	})
}
