package history

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/otlp"
)

// rows gathers spans and log records. Rows that name the same resource and
// scope as the row before share them.
type rows struct {
	traces ptrace.Traces
	logs   plog.Logs
	spans  ptrace.SpanSlice
	list   plog.LogRecordSlice
	home   home
	some   bool // traces or logs hold something
}

// home is a resource and a scope, as a row names them.
type home struct{ resource, schema, scope, version string }

// take hands over what was gathered.
func (r *rows) take(signal otlp.Signal) (td ptrace.Traces, ld plog.Logs) {
	td, ld = r.traces, r.logs
	*r = rows{}
	if signal == otlp.Traces && td == (ptrace.Traces{}) {
		td = ptrace.NewTraces()
	}
	if signal == otlp.Logs && ld == (plog.Logs{}) {
		ld = plog.NewLogs()
	}
	return td, ld
}

// span adds an empty span; fill writes the resource, where it is another than
// that of the row before.
func (r *rows) span(h home, fill func(pcommon.Map)) ptrace.Span {
	if r.traces == (ptrace.Traces{}) {
		r.traces, r.some = ptrace.NewTraces(), false
	}
	if !r.some || r.home != h {
		rs := r.traces.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl(h.schema)
		fill(rs.Resource().Attributes())
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName(h.scope)
		ss.Scope().SetVersion(h.version)
		r.spans, r.home, r.some = ss.Spans(), h.clone(), true
	}
	return r.spans.AppendEmpty()
}

// record adds an empty log record, like span.
func (r *rows) record(h home, fill func(pcommon.Map)) plog.LogRecord {
	if r.logs == (plog.Logs{}) {
		r.logs, r.some = plog.NewLogs(), false
	}
	if !r.some || r.home != h {
		rl := r.logs.ResourceLogs().AppendEmpty()
		rl.SetSchemaUrl(h.schema)
		fill(rl.Resource().Attributes())
		sl := rl.ScopeLogs().AppendEmpty()
		sl.Scope().SetName(h.scope)
		sl.Scope().SetVersion(h.version)
		r.list, r.home, r.some = sl.LogRecords(), h.clone(), true
	}
	return r.list.AppendEmpty()
}

// clone copies the texts: those of a row last as long as the row.
func (h home) clone() home {
	return home{h.resource, h.schema, h.scope, h.version}
}

// traceID and spanID read ids in hex; an empty one is none.
func traceID(column string, v gjson.Result) (id pcommon.TraceID, err error) {
	if n, e := hex.Decode(id[:], fits(v.Str, len(id))); v.Str != "" && (e != nil || n != len(id)) {
		return id, bad("%s %q: want 32 hex digits", column, clip(v.String()))
	}
	return id, nil
}

func spanID(column string, v gjson.Result) (id pcommon.SpanID, err error) {
	if n, e := hex.Decode(id[:], fits(v.Str, len(id))); v.Str != "" && (e != nil || n != len(id)) {
		return id, bad("%s %q: want 16 hex digits", column, clip(v.String()))
	}
	return id, nil
}

// fits is s where it has the digits of an id of n bytes.
func fits(s string, n int) []byte {
	if len(s) != 2*n {
		return nil
	}
	return []byte(s)
}

func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}

// timeLayouts are how the systems write times; one without a zone is UTC.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"}

// timeOf reads a time: text, or seconds since the epoch. Null is none.
func timeOf(column string, v gjson.Result) (pcommon.Timestamp, error) {
	text := v.Str
	switch v.Type {
	case gjson.Null:
		return 0, nil
	case gjson.Number:
		text = v.Raw
	case gjson.String:
		for _, layout := range timeLayouts {
			if t, err := time.Parse(layout, text); err == nil {
				return stamp(column, t)
			}
		}
	default:
		text = v.Raw
	}
	if ns, ok := seconds(text); ok {
		return ns, nil
	}
	return 0, bad("%s %q: want a time", column, clip(text))
}

func stamp(column string, t time.Time) (pcommon.Timestamp, error) {
	if y := t.Year(); y < 1970 || y > 2261 {
		return 0, bad("%s: the year %d is none of telemetry's", column, y)
	}
	return pcommon.NewTimestampFromTime(t), nil
}

// seconds reads decimal seconds since the epoch without rounding them to a
// float.
func seconds(text string) (pcommon.Timestamp, bool) {
	whole, part, _ := strings.Cut(text, ".")
	s, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || s >= math.MaxInt64/uint64(time.Second) {
		f, err := strconv.ParseFloat(text, 64) // 1.79e9
		if err != nil || f < 0 || f >= math.MaxInt64/float64(time.Second) {
			return 0, false
		}
		return pcommon.Timestamp(f * float64(time.Second)), true
	}
	if part == "" {
		return pcommon.Timestamp(s * uint64(time.Second)), true
	}
	part = (part + "000000000")[:9]
	ns, err := strconv.ParseUint(part, 10, 63)
	return pcommon.Timestamp(s*uint64(time.Second) + ns), err == nil
}

// put writes a JSON value as an attribute's. Numbers without a fraction are
// integers.
func put(v pcommon.Value, from gjson.Result) {
	switch from.Type {
	case gjson.Null:
	case gjson.True, gjson.False:
		v.SetBool(from.Bool())
	case gjson.Number:
		if n, err := strconv.ParseInt(from.Raw, 10, 64); err == nil {
			v.SetInt(n)
		} else {
			v.SetDouble(from.Num)
		}
	case gjson.String:
		v.SetStr(from.Str)
	case gjson.JSON:
		if from.IsArray() {
			list := v.SetEmptySlice()
			from.ForEach(func(_, e gjson.Result) bool { put(list.AppendEmpty(), e); return true })
		} else {
			putAll(v.SetEmptyMap(), from)
		}
	}
}

// putAll writes the members of an object as attributes, those that are null
// left out.
func putAll(m pcommon.Map, from gjson.Result) {
	from.ForEach(func(k, v gjson.Result) bool {
		if v.Type != gjson.Null {
			put(m.PutEmpty(k.Str), v)
		}
		return true
	})
}

// status reads how a span ended: OK, Error, STATUS_CODE_ERROR.
func status(s ptrace.Status, code, message string) {
	switch strings.ToUpper(strings.TrimPrefix(strings.ToUpper(code), "STATUS_CODE_")) {
	case "OK", "1":
		s.SetCode(ptrace.StatusCodeOk)
	case "ERROR", "2":
		s.SetCode(ptrace.StatusCodeError)
	}
	s.SetMessage(message)
}

var kinds = map[string]ptrace.SpanKind{
	"INTERNAL": ptrace.SpanKindInternal, "SERVER": ptrace.SpanKindServer, "CLIENT": ptrace.SpanKindClient,
	"PRODUCER": ptrace.SpanKindProducer, "CONSUMER": ptrace.SpanKindConsumer,
}

// kindOf reads Client, SPAN_KIND_CLIENT and the like.
func kindOf(text string) ptrace.SpanKind {
	return kinds[strings.TrimPrefix(strings.ToUpper(text), "SPAN_KIND_")]
}
