package history

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Agent Lightning 0.3 keeps spans as its own Span model: JSON of each span, or
// the pages of its store's GET /v1/agl/spans ({"items": […]}). It has no scope
// and no span kind, times are float seconds, and the rollout stands beside.

func readLightningSpan(r *rows, row columns) error {
	trace, err1 := traceID("trace_id", row["trace_id"])
	id, err2 := spanID("span_id", row["span_id"])
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
	s := r.span(lightningHome(row), func(m pcommon.Map) {
		putAll(m, row["resource"].Get("attributes"))
		for _, k := range []string{"rollout_id", "attempt_id"} {
			if v := row[k].Str; v != "" {
				m.PutStr("agentlightning."+k, v)
			}
		}
	})
	s.SetTraceID(trace)
	s.SetSpanID(id)
	s.SetParentSpanID(parent)
	if row["parent"].Get("is_remote").Bool() {
		s.SetFlags(remoteParent)
	}
	s.SetName(row["name"].Str)
	s.SetKind(ptrace.SpanKindInternal)
	s.SetStartTimestamp(start)
	s.SetEndTimestamp(end)
	status(s.Status(), row["status"].Get("status_code").Str, row["status"].Get("description").Str)
	putAll(s.Attributes(), row["attributes"])
	for i, e := range events {
		ev := s.Events().AppendEmpty()
		ev.SetName(e.Get("name").Str)
		ev.SetTimestamp(times[i])
		putAll(ev.Attributes(), e.Get("attributes"))
	}
	return nil
}

// remoteParent are OTLP's flags for: it is known where the parent runs, and
// that is another process.
const remoteParent = 0x300

// agentOpsChat is the scope in which AgentOps writes what a model asked for, as
// tool_call.<name> spans: no tool ran there, and without the scope they look
// like runs.
const agentOpsChat = "agentops.instrumentation.providers.openai.wrappers.chat"

func lightningHome(row columns) home {
	h := home{resource: row["rollout_id"].Raw + row["attempt_id"].Raw + row["resource"].Get("attributes").Raw, schema: row["resource"].Get("schema_url").Str}
	if strings.HasPrefix(row["name"].Str, "tool_call.") && row["attributes"].Get(`tool\.call\.id`).Exists() {
		h.scope = agentOpsChat
	}
	return h
}
