package genai

import (
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// streamed reads a reply out of the events that show the chunks of its stream,
// as the server sent them: event prefixN holds chunk N, as JSON. Where all of
// them are there they count more than what the instrumentation made of them.
func (d *Decoder) streamed(s *trajectory.Span, span ptrace.Span, prefix, attribute string) {
	chunks := chunksOf(span, prefix, attribute)
	if len(chunks) == 0 {
		return
	}
	if span.DroppedEventsCount() > 0 || slices.Contains(chunks, "") {
		s.Missing = addReason(s.Missing, trajectory.ReasonTruncated)
		return
	}
	var whole stream
	for _, raw := range chunks {
		if !whole.take(parse(raw)) {
			return // of a form that is not known: what the span shows stands
		}
	}
	c := s.Call
	if m := whole.message(d); says(m) {
		c.Reply = []*trajectory.Message{d.memo.shared(m)}
	}
	if whole.finish != "" {
		c.FinishReason = d.memo.name(whole.finish)
	}
}

// chunksOf are the chunks by number, "" for one that is not there.
func chunksOf(span ptrace.Span, prefix, attribute string) []string {
	total := span.Events().Len()
	var chunks []string
	for _, e := range span.Events().All() {
		number, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= total {
			return []string{""} // a chunk beyond the number of events: some are gone
		}
		if i >= len(chunks) {
			chunks = append(chunks, make([]string, i+1-len(chunks))...)
		}
		chunks[i] = attr(e.Attributes(), attribute)
	}
	return chunks
}

// stream is a streamed chat completion in the making.
type stream struct {
	text, reasoning strings.Builder
	calls           []streamedCall
	finish          string
}

type streamedCall struct {
	id, name  string
	arguments strings.Builder
}

// take adds a chunk; false when it is none of a chat completion.
func (s *stream) take(chunk members) bool {
	if object := chunk.get("object").view(); object != "chat.completion.chunk" {
		return false
	}
	choice := firstOf(chunk.get("choices"))
	if i := choice.get("index").asText(); i != "" && i != "0" {
		return true // the agent goes on with the first
	}
	delta := choice.get("delta")
	s.text.WriteString(delta.member("content").view())
	s.reasoning.WriteString(delta.first("reasoning_content", "reasoning").view())
	if f := choice.get("finish_reason").view(); f != "" {
		s.finish = f
	}
	calls := delta.member("tool_calls")
	if !strings.HasPrefix(calls.raw, "[") {
		return true
	}
	c := scanner{s: calls.raw}
	for more := c.enter('['); more; more = c.next(']') {
		if !s.call(parse(c.value().raw)) {
			return false
		}
	}
	return true
}

// call adds a piece of a tool call. Their numbers follow one another.
func (s *stream) call(piece members) bool {
	i := int(piece.get("index").integer())
	if !piece.get("index").isNumber() || i < 0 || i > len(s.calls) {
		return false
	}
	if i == len(s.calls) {
		s.calls = append(s.calls, streamedCall{})
	}
	c, f := &s.calls[i], piece.get("function")
	if id := piece.get("id").view(); id != "" {
		c.id = id
	}
	c.name += f.member("name").view()
	c.arguments.WriteString(f.member("arguments").view())
	return true
}

// message is what was said.
func (s *stream) message(d *Decoder) *trajectory.Message {
	m := &trajectory.Message{Role: trajectory.RoleAssistant, Text: s.text.String(), Reasoning: s.reasoning.String()}
	for i := range s.calls {
		c := &s.calls[i]
		m.ToolCalls = append(m.ToolCalls, trajectory.ToolCall{ID: c.id, Name: d.memo.name(c.name), Arguments: c.arguments.String()})
	}
	return m
}
