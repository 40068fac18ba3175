package history

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Phoenix exports spans in three forms: its REST API (GET
// /v1/projects/…/spans: {"data": […]}), OTLP in JSON of its own
// (…/spans/otlpv1), and the dataframe of its client as Parquet, a column an
// attribute. In none of them is a resource or a scope; times are µs.

// readPhoenixSpan reads a span of the REST API.
func readPhoenixSpan(r *rows, row columns) error {
	return phoenixSpan(r, row, row["context"].Get("trace_id"), row["context"].Get("span_id"), func(m pcommon.Map) {
		f := flattener{m: m}
		row["attributes"].ForEach(func(k, v gjson.Result) bool { f.put(k.Str, v); return true })
		f.close()
	})
}

// readPhoenixFrame reads a row of the dataframe. Pandas makes a number of
// every integer column that has a gap.
func readPhoenixFrame(r *rows, row columns) error {
	return phoenixSpan(r, row, row["context.trace_id"], row["context.span_id"], func(m pcommon.Map) {
		f := flattener{m: m, whole: true}
		for _, k := range slices.Sorted(maps.Keys(row)) {
			if name, ok := strings.CutPrefix(k, "attributes."); ok {
				f.put(name, row[k])
			}
		}
		f.close()
	})
}

func phoenixSpan(r *rows, row columns, traceOf, spanOf gjson.Result, attributes func(pcommon.Map)) error {
	trace, err1 := traceID("context.trace_id", traceOf)
	id, err2 := spanID("context.span_id", spanOf)
	parent, err3 := spanID("parent_id", row["parent_id"])
	start, err4 := timeOf("start_time", row["start_time"])
	end, err5 := timeOf("end_time", row["end_time"])
	if err := first(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	events := row["events"].Array()
	times := make([]pcommon.Timestamp, len(events))
	for i, e := range events {
		var err error
		if times[i], err = timeOf("events.timestamp", e.Get("timestamp")); err != nil {
			return err
		}
	}
	s := r.span(home{}, func(pcommon.Map) {})
	s.SetTraceID(trace)
	s.SetSpanID(id)
	s.SetParentSpanID(parent)
	s.SetName(row["name"].Str)
	s.SetKind(ptrace.SpanKindInternal)
	s.SetStartTimestamp(start)
	s.SetEndTimestamp(end)
	status(s.Status(), row["status_code"].Str, row["status_message"].Str)
	attributes(s.Attributes())
	if _, ok := s.Attributes().Get(spanKind); !ok {
		if kind := row["span_kind"].Str; kind != "" && kind != "UNKNOWN" {
			s.Attributes().PutStr(spanKind, kind)
		}
	}
	for i, e := range events {
		ev := s.Events().AppendEmpty()
		ev.SetName(e.Get("name").Str)
		ev.SetTimestamp(times[i])
		putAll(ev.Attributes(), e.Get("attributes"))
	}
	return nil
}

// spanKind is OpenInference's; Phoenix keeps it in a column of its own.
const spanKind = "openinference.span.kind"

// jsonTexts are the attributes that OpenInference writes as JSON text and that
// Phoenix takes apart.
var jsonTexts = []string{"metadata", "tool.parameters", "llm.prompt_template.variables"}

// flattener writes attributes with the names that they had before Phoenix made
// lists and objects of them.
type flattener struct {
	m     pcommon.Map
	whole bool // numbers without a fraction are integers
	texts [3]tree
}

func (f *flattener) put(name string, v gjson.Result) {
	for i, text := range jsonTexts {
		if rest, ok := strings.CutPrefix(name, text); ok && (rest == "" && v.IsObject() || strings.HasPrefix(rest, ".")) {
			f.texts[i].put(strings.TrimPrefix(rest, "."), v)
			return
		}
	}
	switch {
	case v.IsObject():
		v.ForEach(func(k, v gjson.Result) bool { f.put(name+"."+k.Str, v); return true })
	case v.IsArray() && objects(v):
		i := 0
		v.ForEach(func(_, e gjson.Result) bool {
			f.put(name+"."+strconv.Itoa(i), e)
			i++
			return true
		})
	case v.Type == gjson.Null:
	case f.whole && v.Type == gjson.Number && v.Num == math.Trunc(v.Num) && math.Abs(v.Num) < 1<<53:
		f.m.PutInt(name, int64(v.Num))
	default:
		put(f.m.PutEmpty(name), v)
	}
}

// close writes the JSON texts.
func (f *flattener) close() {
	for i, name := range jsonTexts {
		if t := &f.texts[i]; t.some() {
			f.m.PutStr(name, string(t.appendJSON(nil)))
		}
	}
}

// objects says whether a list holds objects.
func objects(list gjson.Result) bool {
	found := false
	list.ForEach(func(_, e gjson.Result) bool { found = e.IsObject(); return false })
	return found
}

// tree puts names that were joined by dots together again.
type tree struct {
	raw   string // a leaf: JSON
	names []string
	under []*tree
}

func (t *tree) some() bool { return t.raw != "" || len(t.names) > 0 }

func (t *tree) put(path string, v gjson.Result) {
	if path == "" && v.IsObject() {
		v.ForEach(func(k, v gjson.Result) bool { t.child(k.Str).put("", v); return true })
		return
	}
	if path == "" {
		if v.Type != gjson.Null {
			t.raw = v.Raw
		}
		return
	}
	name, rest, _ := strings.Cut(path, ".")
	t.child(name).put(rest, v)
}

func (t *tree) child(name string) *tree {
	if i := slices.Index(t.names, name); i >= 0 {
		return t.under[i]
	}
	t.names, t.under = append(t.names, name), append(t.under, &tree{})
	return t.under[len(t.under)-1]
}

func (t *tree) appendJSON(b []byte) []byte {
	if t.raw != "" {
		return append(b, t.raw...)
	}
	b = append(b, '{')
	for i, name := range t.names {
		if !t.under[i].some() {
			continue // null
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(gjson.AppendJSONString(b, name), ':')
		b = t.under[i].appendJSON(b)
	}
	return append(b, '}')
}
