package genai_test

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// FuzzStream: the chunks of a stream, however broken, may not panic the decoder
// nor make it say more than they hold.
func FuzzStream(f *testing.F) {
	chunk := `{"object":"chat.completion.chunk","choices":[{"index":0,"delta":%s,"finish_reason":null}]}`
	for _, delta := range []string{
		`{"role":"assistant","content":"Hi"}`, `{"content":null,"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}`,
		`{"tool_calls":[{"index":-1}]}`, `{"tool_calls":[{"index":9999999}]}`, `{"tool_calls":{}}`, `[]`, `{"reasoning_content":"x"}`,
	} {
		f.Add(fmt.Sprintf(chunk, delta), fmt.Sprintf(chunk, `{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}`), "1")
	}
	f.Add("", "null", "99999999999")
	f.Fuzz(func(t *testing.T, first, second, number string) {
		span := ptrace.NewSpan()
		span.Attributes().PutStr("mlflow.spanType", `"CHAT_MODEL"`)
		for i, c := range []struct{ name, value string }{{"0", first}, {number, second}} {
			e := span.Events().AppendEmpty()
			e.SetName("mlflow.chunk.item." + c.name)
			e.SetTimestamp(pcommon.Timestamp(i)) //nolint:gosec // a small number
			e.Attributes().PutStr("mlflow.chunk.value", c.value)
		}
		s := genai.NewDecoder(genai.Options{}).Decode(pcommon.NewResource(), pcommon.NewInstrumentationScope(), span)
		said := 0
		for _, m := range s.Call.Reply {
			said += len(m.Text) + len(m.Reasoning)
			for _, c := range m.ToolCalls {
				said += len(c.ID) + len(c.Name) + len(c.Arguments)
			}
		}
		if said > 3*(len(first)+len(second)) { // an invalid byte can become three
			t.Fatalf("%d bytes said of %d", said, len(first)+len(second))
		}
		trajectory.Assemble([]*trajectory.Span{s}, trajectory.Options{})
	})
}
