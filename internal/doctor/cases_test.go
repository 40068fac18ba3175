package doctor

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/otlp"
)

var update = flag.Bool("update", false, "write the goldens anew")

// TestCases tells the findings on the telemetry in testdata/cases. A line of
// spans or logs is one of them, in the form of item.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			require.NoError(t, err)
			e := NewExam()
			r := NewReader(e)
			for _, f := range a.Files {
				for line := range strings.Lines(string(f.Data)) {
					if req, ok := request(t, f.Name, line); ok {
						require.NoError(t, r.Take(req))
					}
				}
			}
			checkFindings(t, file, a, Diagnose(e.Seen()))
		})
	}
}

// checkFindings compares the findings with those in the case: as text, and as
// JSON where the case has it.
func checkFindings(t *testing.T, path string, a *txtar.Archive, f *Findings) {
	t.Helper()
	for i, want := range a.Files {
		var got bytes.Buffer
		switch want.Name {
		case "want":
			require.NoError(t, f.Write(&got, Style{}))
		case "want.json":
			enc := json.NewEncoder(&got)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			require.NoError(t, enc.Encode(f))
		default:
			continue
		}
		if *update {
			a.Files[i].Data = got.Bytes()
			continue
		}
		assert.Equal(t, string(want.Data), got.String(), want.Name)
	}
	if *update {
		require.NoError(t, os.WriteFile(path, txtar.Format(a), 0o644))
	}
}

// item is a span or a log record of a case.
type item struct {
	Service, Scope, Version, Language string
	Trace, ID, Parent, Name           string
	Start, End                        int64 // ms
	Error                             string
	Dropped                           uint32
	Attrs                             map[string]any
	Body                              map[string]any
	Repeat                            int // so many times in traces of their own; 0 = once
}

// request makes a request of a line.
func request(t *testing.T, file, line string) (otlp.Request, bool) {
	t.Helper()
	if file != "spans" && file != "logs" || strings.TrimSpace(line) == "" {
		return otlp.Request{}, false
	}
	var it item
	dec := json.NewDecoder(strings.NewReader(line))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&it), line)
	if file == "logs" {
		return otlp.Request{Signal: otlp.Logs, Logs: it.logs(t)}, true
	}
	td := ptrace.NewTraces()
	for i := range max(it.Repeat, 1) {
		it.span(t, td, byte(i))
	}
	return otlp.Request{Signal: otlp.Traces, Traces: td}, true
}

func (it *item) resource(res pcommon.Resource, scope pcommon.InstrumentationScope) {
	if it.Service != "" {
		res.Attributes().PutStr("service.name", it.Service)
	}
	if it.Language != "" {
		res.Attributes().PutStr("telemetry.sdk.language", it.Language)
	}
	scope.SetName(it.Scope)
	scope.SetVersion(it.Version)
}

func (it *item) span(t *testing.T, td ptrace.Traces, nth byte) {
	t.Helper()
	rs := td.ResourceSpans().AppendEmpty()
	ss := rs.ScopeSpans().AppendEmpty()
	it.resource(rs.Resource(), ss.Scope())
	s := ss.Spans().AppendEmpty()
	s.SetTraceID(traceOf(it.Trace, nth))
	s.SetSpanID(spanOf(it.ID))
	if it.Parent != "" {
		s.SetParentSpanID(spanOf(it.Parent))
	}
	s.SetName(it.Name)
	s.SetStartTimestamp(pcommon.Timestamp(1e18 + it.Start*1e6))
	s.SetEndTimestamp(pcommon.Timestamp(1e18 + it.End*1e6))
	s.SetDroppedAttributesCount(it.Dropped)
	if it.Error != "" {
		s.Status().SetCode(ptrace.StatusCodeError)
		s.Status().SetMessage(it.Error)
	}
	fill(t, s.Attributes(), it.Attrs)
}

func (it *item) logs(t *testing.T) plog.Logs {
	t.Helper()
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	sl := rl.ScopeLogs().AppendEmpty()
	it.resource(rl.Resource(), sl.Scope())
	r := sl.LogRecords().AppendEmpty()
	r.SetEventName(it.Name)
	r.SetTimestamp(pcommon.Timestamp(1e18 + it.Start*1e6))
	if it.Trace != "" {
		r.SetTraceID(traceOf(it.Trace, 0))
	}
	if it.ID != "" {
		r.SetSpanID(spanOf(it.ID))
	}
	fill(t, r.Attributes(), it.Attrs)
	if it.Body != nil {
		require.NoError(t, r.Body().FromRaw(raw(it.Body)))
	}
	return ld
}

func traceOf(name string, nth byte) (id pcommon.TraceID) {
	copy(id[:15], name)
	id[15] = nth
	return id
}

func spanOf(name string) (id pcommon.SpanID) {
	copy(id[:], name)
	return id
}

func fill(t *testing.T, m pcommon.Map, attrs map[string]any) {
	t.Helper()
	for k, v := range attrs {
		require.NoError(t, m.PutEmpty(k).FromRaw(raw(v)))
	}
}

// raw turns numbers of JSON into those of OTLP. What is called json is its text.
func raw(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = raw(v[i])
		}
		return out
	case map[string]any:
		if inner, ok := v["json"]; ok && len(v) == 1 {
			text, _ := json.Marshal(inner)
			return string(text)
		}
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = raw(v[k])
		}
		return out
	}
	return v
}
