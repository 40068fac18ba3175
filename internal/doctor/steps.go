package doctor

import (
	"encoding/hex"
	"slices"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// steps counts what the steps of a run show.
func (t *tally) steps(e *Exam, tr *trajectory.Trajectory) {
	from := make([]*Emitter, len(tr.Steps))
	for i := range tr.Steps {
		from[i] = t.emitterOf(e, tr, i, from)
		switch s := &tr.Steps[i]; s.Kind {
		case trajectory.KindModel:
			t.ModelCalls++
			if n := name(s.Model); n != "" {
				bump(t.Models, n)
			}
			t.call(from[i].Shows, tr, s)
		case trajectory.KindTool:
			t.ToolRuns++
			t.tool(from[i].Shows, s)
		}
	}
}

// emitterOf is who emitted the span of a step. A tool run that only the next
// prompt shows is the telemetry of the call that asked for it.
func (t *tally) emitterOf(e *Exam, tr *trajectory.Trajectory, i int, from []*Emitter) *Emitter {
	s := &tr.Steps[i]
	key := spanKey{traceID(s.TraceID), spanID(s.SpanID)}
	if note, ok := e.home[key]; ok {
		return t.emitter(e, note.origin)
	}
	if origin, ok := e.hosts[key]; ok && s.SpanID != "" {
		return t.emitter(e, origin)
	}
	if s.Parent != nil && *s.Parent < i {
		return from[*s.Parent]
	}
	return t.emitter(e, e.origin(Origin{Service: tr.ServiceName}))
}

func (t *tally) call(shows Shows, tr *trajectory.Trajectory, s *trajectory.Step) {
	m := s.Model
	shows.add(Prompt, len(m.Input) > 0)
	shows.add(SystemPrompt, slices.ContainsFunc(m.Input, func(i int32) bool {
		role := tr.Messages[i].Role
		return role == trajectory.RoleSystem || role == "developer"
	}))
	if tr.ToolCalls > 0 {
		shows.add(ToolDefinitions, m.Tools != "")
	}
	if s.Error != "" {
		t.Failures.Calls++
		return
	}
	shows.add(Reply, len(m.Output) > 0)
	shows.add(ResponseIDs, m.ResponseID != "")
	shows.add(TokenCounts, m.InputTokens != nil && m.OutputTokens != nil)
	shows.add(TokenIDs, len(m.TokenIDs) > 0 && len(m.Logprobs) == len(m.TokenIDs))
}

func (t *tally) tool(shows Shows, s *trajectory.Step) {
	shows.add(ToolArguments, s.Tool.Arguments != "")
	shows.add(ToolCallIDs, s.Tool.CallID != "")
	shows.add(ToolSpans, s.SpanID != "")
	c := t.Tools[s.Tool.Name]
	if c == nil && len(t.Tools) < maxValues {
		c = &ToolCount{}
		t.Tools[s.Tool.Name] = c
	}
	if c != nil {
		c.Runs++
	}
	if s.Error != "" {
		t.Failures.Tools++
		if c != nil {
			c.Failed++
		}
		return
	}
	shows.add(ToolResults, s.Tool.Result != nil)
}

func name(m *trajectory.ModelCall) string {
	if m.ResponseModel != "" {
		return m.ResponseModel
	}
	return m.RequestModel
}

func traceID(text string) (id trajectory.TraceID) {
	_, _ = hex.Decode(id[:], []byte(text)) // ours: hex of the right length or empty
	return id
}

func spanID(text string) (id trajectory.SpanID) {
	_, _ = hex.Decode(id[:], []byte(text))
	return id
}
