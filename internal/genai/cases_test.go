package genai_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestCases decodes one span a case. A case is a txtar file: the comment says
// what it is about, `span.json` holds {name, scope, attributes, events,
// status, dropped}, `want` what the decoder read. A case of a log record has
// `record.json` instead: {name, scope, attributes, body}.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			require.NoError(t, err)
			require.NotEmpty(t, strings.TrimSpace(string(a.Comment)), "say what the case is about")
			var in spanCase
			require.NoError(t, json.Unmarshal(a.Files[0].Data, &in))
			d := genai.NewDecoder(genai.Options{TaskKey: []string{"task"}, Attributes: []string{"region"}})
			marked, got := in.decode(t, d, a.Files[0].Name == "record.json")
			if *update {
				a.Files = []txtar.File{a.Files[0], {Name: "want", Data: []byte(got)}}
				require.NoError(t, os.WriteFile(file, txtar.Format(a), 0o600))
			}
			require.Len(t, a.Files, 2)
			assert.Equal(t, string(a.Files[1].Data), got)
			assert.Equal(t, in.Marked == nil || *in.Marked, marked)
		})
	}
}

type spanCase struct {
	Name       string
	Scope      string // instrumentation scope
	Attributes map[string]any
	Resource   map[string]any
	Kind       int32    // of the span, as in OTLP
	Links      []string // trace ids, one digit each
	Events     []struct {
		Name       string
		Attributes map[string]any
	}
	Status   *string // error status with this message
	Body     any
	Dropped  uint32
	Untraced bool // a record that names no trace
	Marked   *bool
}

func (c *spanCase) decode(t *testing.T, d *genai.Decoder, record bool) (marked bool, got string) {
	t.Helper()
	if record {
		res, r := c.record(t)
		s := d.DecodeRecord(res, c.scope(), r, 0)
		if s == nil {
			return genai.Recorded(r), "nothing\n"
		}
		return genai.Recorded(r), dump(s)
	}
	res, span := c.build(t)
	return genai.Marked(c.scope(), span), dump(d.Decode(res, c.scope(), span))
}

func (c *spanCase) record(t *testing.T) (pcommon.Resource, plog.LogRecord) {
	t.Helper()
	res, r := pcommon.NewResource(), plog.NewLogRecord()
	require.NoError(t, res.Attributes().FromRaw(c.Resource))
	require.NoError(t, r.Attributes().FromRaw(c.Attributes))
	require.NoError(t, r.Body().FromRaw(c.Body))
	r.SetEventName(c.Name)
	if !c.Untraced {
		r.SetTraceID(pcommon.TraceID{1})
		r.SetSpanID(pcommon.SpanID{2})
	}
	r.SetTimestamp(5)
	return res, r
}

func (c *spanCase) scope() pcommon.InstrumentationScope {
	scope := pcommon.NewInstrumentationScope()
	scope.SetName(c.Scope)
	return scope
}

func (c *spanCase) build(t *testing.T) (pcommon.Resource, ptrace.Span) {
	t.Helper()
	res, span := pcommon.NewResource(), ptrace.NewSpan()
	require.NoError(t, res.Attributes().FromRaw(c.Resource))
	span.SetName(c.Name)
	span.SetTraceID(pcommon.TraceID{1})
	span.SetSpanID(pcommon.SpanID{2})
	require.NoError(t, span.Attributes().FromRaw(c.Attributes))
	for _, e := range c.Events {
		ev := span.Events().AppendEmpty()
		ev.SetName(e.Name)
		require.NoError(t, ev.Attributes().FromRaw(e.Attributes))
	}
	span.SetKind(ptrace.SpanKind(c.Kind))
	for _, id := range c.Links {
		l := span.Links().AppendEmpty()
		l.SetTraceID(pcommon.TraceID{id[0] - '0'})
		l.SetSpanID(pcommon.SpanID{7})
	}
	if c.Status != nil {
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(*c.Status)
	}
	span.SetDroppedAttributesCount(c.Dropped)
	return res, span
}

// dump shows what was read, one line a fact, nothing for what is unknown.
func dump(s *trajectory.Span) string {
	var b strings.Builder
	line := func(k string, v any) {
		if text := fmt.Sprint(v); text != "" && text != "[]" && text != "<nil>" && text != "map[]" {
			fmt.Fprintf(&b, "%s: %s\n", k, strings.ReplaceAll(text, "\n", "\\n"))
		}
	}
	line("role", [...]string{"other", "agent", "model", "tool"}[s.Role])
	line("record", [...]string{"", "message", "details", "event", "request", "response"}[s.Record])
	if s.Order > 0 {
		line("order", s.Order)
	}
	line("dialect", s.Dialect)
	line("service", s.Service)
	line("agent", s.Agent)
	if s.Graph > 0 {
		line("graph", strconv.Itoa(int(s.Graph)))
	}
	line("conversation", s.Conversation)
	line("user", s.User)
	line("previous", s.Previous)
	line("rollout", s.Rollout)
	line("task", s.TaskKey)
	line("attributes", s.Attributes)
	if s.Link != nil {
		line("link", fmt.Sprint(s.Link.TraceID, " ", s.Link.SpanID, " message=", s.Link.Message))
	}
	line("turn", s.Turn)
	line("agent id", s.AgentID)
	line("request", s.Request)
	line("starts", s.Starts)
	line("reports", s.Reports)
	for _, flag := range []struct {
		name string
		set  bool
	}{{"relay", s.Relay}, {"piece", s.Piece}, {"hosts records", s.Hosts}} {
		if flag.set {
			line(flag.name, true)
		}
	}
	if took := s.End - s.Start; s.Record != trajectory.RecordNone && took > 0 {
		line("took", time.Duration(took))
	}
	line("error", s.Error)
	line("missing", s.Missing)
	line("in", s.In)
	line("out", s.Out)
	if s.Tool != nil {
		line("tool", s.Tool.Name)
		line("call id", s.Tool.CallID)
		line("arguments", s.Tool.Arguments)
		line("result", text(s.Tool.Result))
	}
	if c := s.Call; c != nil {
		raw, _ := json.Marshal(c.ModelCall)
		var fields map[string]any
		_ = json.Unmarshal(raw, &fields)
		keys := make([]string, 0, len(fields))
		for k := range fields {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			line("  "+k, fields[k])
		}
		if c.Outline {
			line("outline", true)
		}
		for _, m := range c.Prompt {
			line("prompt", describe(m))
		}
		for _, m := range c.Reply {
			line("reply", describe(m))
		}
	}
	for _, f := range s.Facts {
		line("fact", fmt.Sprintf("%s=%s %s %s", f.Name, text(f.Value), f.Label, f.Explanation))
	}
	return b.String()
}

func text[T any](p *T) string {
	if p == nil {
		return ""
	}
	return fmt.Sprint(*p)
}

func describe(m *trajectory.Message) string {
	out := m.Role + " " + m.Text
	if m.Reasoning != "" {
		out += " reasoning=" + m.Reasoning
	}
	for _, c := range m.ToolCalls {
		out += fmt.Sprintf(" %s(%s)#%s", c.Name, c.Arguments, c.ID)
	}
	if m.ToolCallID != "" {
		out += " answers #" + m.ToolCallID
	}
	if m.Parts != "" {
		out += " parts=" + m.Parts
	}
	return out
}

// FuzzDecode: no attributes, however broken, may panic the decoder or make it
// invent a role for a span without markers.
func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/cases/*.txtar")
	seen := map[string]bool{} // attributes: a few seeds, so that there is time for what is new
	for _, file := range files {
		if a, err := txtar.ParseFile(file); err == nil {
			var c spanCase
			if json.Unmarshal(a.Files[0].Data, &c) == nil {
				for _, k := range slices.Sorted(maps.Keys(c.Attributes)) {
					if seen[k] {
						continue
					}
					v := c.Attributes[k]
					seen[k] = true
					f.Add(k, fmt.Sprint(v), "gen_ai.operation.name", "chat")
					for _, kind := range []string{
						"mastra.span.type", "langfuse.observation.type", "langsmith.span.kind", "mlflow.spanType", "lmnr.span.type",
						"genkit:metadata:subtype", "gen_ai.span.kind",
					} {
						if word, ok := c.Attributes[kind]; ok {
							f.Add(k, fmt.Sprint(v), kind, fmt.Sprint(word))
						}
					}
				}
			}
		}
	}
	for _, raw := range []string{"[", "[]", `[{"role":"user","parts":[{"type":"text"`, `"[{\"role\":1}]"`, `[1,"a",null,{}]`, `{"messages":[[]]}`} {
		f.Add("gen_ai.input.messages", raw, "gen_ai.operation.name", "chat")
		f.Add("ai.prompt.messages", raw, "ai.operationId", "ai.generateText.doGenerate")
		f.Add("input.value", raw, "openinference.span.kind", "LLM")
	}
	f.Add("llm.input_messages.99999999999.message.role", "user", "openinference.span.kind", "LLM")
	f.Fuzz(func(t *testing.T, k, v, markerKey, marker string) {
		span := ptrace.NewSpan()
		span.Attributes().PutStr(markerKey, marker)
		span.Attributes().PutStr(k, v)
		d := genai.NewDecoder(genai.Options{})
		first := d.Decode(pcommon.NewResource(), pcommon.NewInstrumentationScope(), span)
		second := d.Decode(pcommon.NewResource(), pcommon.NewInstrumentationScope(), span)
		if dump(first) != dump(second) {
			t.Fatalf("the second reading differs:\n%s\n%s", dump(first), dump(second))
		}
		if !first.GenAI && first.Role != trajectory.RoleOther {
			t.Fatalf("role %d without a marker", first.Role)
		}
		trajectory.Assemble([]*trajectory.Span{first, second}, trajectory.Options{})
	})
}
