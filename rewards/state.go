package rewards

import (
	"encoding/json"
	"strings"

	"github.com/expr-lang/expr/vm"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards/measure"
)

// state is what one Score works with. It is pooled: reset drops every
// reference to the trajectory.
type state struct {
	vm      vm.VM
	top     trajectoryView
	at      stepView
	step    []step  // what the lists point to
	seconds float64 // what top.Duration points to

	messages  []message
	calls     []toolCall
	facts     factIndex
	current   int // the step that feedback and evaluation are about
	json      map[textKey]parsedJSON
	jsonBytes int
	worked    int // by functions of the library, in the rule at hand

	out    []trajectory.Reward
	values []float64 // of out
}

// load prepares what the rules read of t.
func (s *state) load(t *trajectory.Trajectory, facts []trajectory.Fact, u uses, steps bool) {
	if s.facts == nil {
		s.facts = factIndex{}
	}
	if u&usesFacts != 0 {
		s.facts.fill(t, t.Facts)
		s.facts.fill(t, facts)
	}
	s.top.State, s.at.State, s.current = s, s, wholeTrajectory
	s.loadTrajectory(t)
	if u&usesAttributes != 0 {
		s.top.Attributes = object(t.Attributes)
	}
	if steps {
		s.loadSteps(t, u)
	}
	if u&usesMessages != 0 && len(t.Messages) <= MaxListed {
		s.loadMessages(t.Messages)
	}
	v := &s.top
	s.at.Trajectory, s.at.Steps, s.at.Tools, s.at.Messages = v, v.Steps, v.Tools, v.Messages
	s.at.Input, s.at.Output, s.at.Status, s.at.TaskKey = v.Input, v.Output, v.Status, v.TaskKey
	s.at.Agents, s.at.ModelCalls, s.at.ToolCalls = v.Agents, v.ModelCalls, v.ToolCalls
}

func (s *state) reset() {
	if cap(s.step) > 2*MaxListed || len(s.json) > MaxListed {
		*s = state{} // a pool of rare giants would hold their memory
		return
	}
	// the machine keeps its last operands: drop them with the rest
	clear(s.vm.Stack[:cap(s.vm.Stack)])
	clear(s.vm.Variables)
	clear(s.step)
	clear(s.messages)
	clear(s.calls)
	clear(s.top.Steps)
	clear(s.top.Tools)
	clear(s.top.Messages)
	clear(s.facts)
	clear(s.json)
	clear(s.out)
	s.top = trajectoryView{Steps: s.top.Steps[:0], Tools: s.top.Tools[:0], Messages: s.top.Messages[:0]}
	s.at, s.out, s.values, s.jsonBytes = stepView{}, s.out[:0], s.values[:0], 0
}

func (s *state) loadTrajectory(t *trajectory.Trajectory) {
	v := &s.top
	v.Input, v.Output = &t.Input, &t.Output
	if t.Input == "" {
		v.Input = nil
	}
	if t.Output == "" && unseen(t.Reasons) {
		v.Output = nil
	}
	v.Status, v.Error, v.TaskKey = string(t.Status), t.Error, t.TaskKey
	v.Agents, v.Service, v.CloseReason = t.AgentNames, t.ServiceName, string(t.CloseReason)
	v.ModelCalls, v.ToolCalls = t.ModelCalls, t.ToolCalls
	v.InputTokens, v.OutputTokens = t.InputTokens, t.OutputTokens
	if t.StartedAt > 0 && t.EndedAt >= t.StartedAt {
		s.seconds = float64(t.EndedAt-t.StartedAt) / 1e6
		v.Duration = &s.seconds
	}
}

// unseen reports whether an empty text may be one that the telemetry hides.
func unseen(reasons []trajectory.Reason) bool {
	for _, r := range reasons {
		switch r {
		case trajectory.ReasonNoOutput, trajectory.ReasonTruncated, trajectory.ReasonDropped,
			trajectory.ReasonRedacted, trajectory.ReasonOrphans:
			return true
		}
	}
	return false
}

func (s *state) loadSteps(t *trajectory.Trajectory, u uses) {
	s.step = resize(s.step, len(t.Steps))
	v := &s.top
	for i := range t.Steps {
		from, to := &t.Steps[i], &s.step[i]
		*to = step{
			Index: from.Index, Kind: string(from.Kind), Agent: from.AgentName, Thread: from.Thread,
			Error: from.Error,
		}
		if from.StartedAt > 0 && from.EndedAt >= from.StartedAt {
			to.seconds = float64(from.EndedAt-from.StartedAt) / 1e6
			to.Duration = &to.seconds
		}
		if u&usesAttributes != 0 {
			to.Attributes = object(from.Attributes)
		}
		v.Steps = append(v.Steps, to)
		switch {
		case from.Tool != nil:
			loadTool(to, from.Tool, u)
			v.Tools = append(v.Tools, to)
		case from.Model != nil:
			loadModel(to, from.Model, t.Messages, u)
		}
	}
	if u&usesRepeated != 0 {
		markRepeated(v.Tools)
	}
}

func loadTool(to *step, from *trajectory.ToolRun, u uses) {
	to.Name, to.Result = from.Name, from.Result
	if from.Arguments == "" {
		return
	}
	to.Arguments = &from.Arguments
	if u&usesArgs != 0 {
		if to.parsed = object(from.Arguments); to.parsed != nil {
			to.Args = &to.parsed
		}
	}
}

func loadModel(to *step, from *trajectory.ModelCall, messages []trajectory.Message, u uses) {
	if to.Model = from.ResponseModel; to.Model == "" {
		to.Model = from.RequestModel
	}
	to.FinishReason, to.InputTokens, to.OutputTokens = from.FinishReason, from.InputTokens, from.OutputTokens
	if u&usesText == 0 || len(from.Output) == 0 {
		return
	}
	texts := make([]string, 0, 1)
	for _, i := range from.Output {
		if i >= 0 && int(i) < len(messages) && messages[i].Text != "" {
			texts = append(texts, messages[i].Text)
		}
	}
	to.reply = strings.Join(texts, "\n")
	to.Text = &to.reply
}

// markRepeated marks the tool runs that tell nothing new: the same tool with
// the same arguments has answered before. Of runs whose arguments are missing
// nobody knows.
func markRepeated(tools []*step) {
	runs := make([]measure.Run, len(tools))
	for i, t := range tools {
		runs[i] = runOf(t)
	}
	marks := measure.Redundant(runs)
	for i, t := range tools {
		if runs[i].Known {
			t.Repeated = &marks[i]
		}
	}
}

func (s *state) loadMessages(from []trajectory.Message) {
	s.messages = resize(s.messages, len(from))
	s.calls = s.calls[:0]
	total := 0
	for i := range from {
		total += len(from[i].ToolCalls)
	}
	s.calls = resize(s.calls, total)
	next := 0
	for i := range from {
		m := &from[i]
		calls := s.calls[next : next+len(m.ToolCalls) : next+len(m.ToolCalls)]
		next += len(m.ToolCalls)
		for j, c := range m.ToolCalls {
			calls[j] = toolCall{ID: c.ID, Name: c.Name, Arguments: c.Arguments}
		}
		s.messages[i] = message{Role: m.Role, Text: m.Text, Name: m.Name, ToolCallID: m.ToolCallID, ToolCalls: calls}
		s.top.Messages = append(s.top.Messages, &s.messages[i])
	}
}

// resize gives a slice of n elements whose addresses stay, reusing s.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// object parses a JSON object, nil if it is none.
func object(text string) map[string]any {
	if text == "" {
		return nil
	}
	var m map[string]any
	if json.Unmarshal([]byte(text), &m) != nil {
		return nil
	}
	return m
}
