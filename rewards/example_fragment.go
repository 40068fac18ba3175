package rewards

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// fragment is the trajectory of an example. The keys are the names that rules
// use; what is not written is missing.
type fragment struct {
	Input        *string           `yaml:"input"`
	Output       *string           `yaml:"output"`
	Status       string            `yaml:"status"` // "" = ok, or error where there is one
	Error        string            `yaml:"error"`
	TaskKey      string            `yaml:"task_key"`
	Agents       []string          `yaml:"agents"` // none = those of the steps
	Service      string            `yaml:"service"`
	CloseReason  string            `yaml:"close_reason"` // "" = complete
	ModelCalls   *int              `yaml:"model_calls"`  // nil = as many as there are steps of that kind
	ToolCalls    *int              `yaml:"tool_calls"`
	InputTokens  *int64            `yaml:"input_tokens"` // nil = the sum, where all model steps have some
	OutputTokens *int64            `yaml:"output_tokens"`
	Duration     *float64          `yaml:"duration"`
	Attributes   map[string]any    `yaml:"attributes"`
	Steps        []fragmentStep    `yaml:"steps"`
	Messages     []fragmentMessage `yaml:"messages"` // none = the input and the texts of the steps
}

type fragmentStep struct {
	Kind         string         `yaml:"kind"` // "" = tool with a name, else model
	Agent        string         `yaml:"agent"`
	Thread       int            `yaml:"thread"`
	Error        string         `yaml:"error"`
	Duration     *float64       `yaml:"duration"`
	Attributes   map[string]any `yaml:"attributes"`
	Name         string         `yaml:"name"`
	Arguments    any            `yaml:"arguments"` // JSON text, or what it is made of
	Result       any            `yaml:"result"`
	Model        string         `yaml:"model"`
	Text         *string        `yaml:"text"`
	FinishReason string         `yaml:"finish_reason"`
	InputTokens  *int64         `yaml:"input_tokens"`
	OutputTokens *int64         `yaml:"output_tokens"`
}

type fragmentMessage struct {
	Role       string         `yaml:"role"`
	Text       string         `yaml:"text"`
	Name       string         `yaml:"name"`
	ToolCallID string         `yaml:"tool_call_id"`
	ToolCalls  []fragmentCall `yaml:"tool_calls"`
}

type fragmentCall struct {
	ID        string `yaml:"id"`
	Name      string `yaml:"name"`
	Arguments any    `yaml:"arguments"`
}

type fragmentFact struct {
	Feedback    string   `yaml:"feedback"` // its name; or
	Evaluation  string   `yaml:"evaluation"`
	Value       *float64 `yaml:"value"`
	Label       string   `yaml:"label"`
	Explanation string   `yaml:"explanation"`
	Step        *int     `yaml:"step"` // nil = about the trajectory
}

// fragment reads the trajectory of an example.
func (d *document) fragment(n *yaml.Node, path string) *trajectory.Trajectory {
	var f fragment
	before := len(d.problems)
	if d.decode(n, path, &f); len(d.problems) > before {
		return new(trajectory.Trajectory)
	}
	t, err := f.trajectory()
	if err != nil {
		d.fail(n, path, err.Error(), "")
		return new(trajectory.Trajectory)
	}
	return t
}

func (f *fragment) trajectory() (*trajectory.Trajectory, error) {
	t := &trajectory.Trajectory{
		ID: "example", Input: text(f.Input), Output: text(f.Output), Status: trajectory.Status(f.Status), Error: f.Error,
		TaskKey: f.TaskKey, AgentNames: f.Agents, ServiceName: f.Service, CloseReason: trajectory.CloseReason(f.CloseReason),
		InputTokens: f.InputTokens, OutputTokens: f.OutputTokens,
	}
	if f.Output == nil {
		t.Reasons = append(t.Reasons, trajectory.ReasonNoOutput)
	}
	if t.Status == "" {
		if t.Status = trajectory.StatusOK; f.Error != "" {
			t.Status = trajectory.StatusError
		}
	}
	if t.CloseReason == "" {
		t.CloseReason = trajectory.CloseComplete
	}
	var err error
	if t.StartedAt, t.EndedAt, err = period(f.Duration); err != nil {
		return nil, err
	}
	if t.Attributes, err = jsonText(f.Attributes); err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	if err := f.messages(t); err != nil {
		return nil, err
	}
	for i := range f.Steps {
		if err := f.Steps[i].add(t); err != nil {
			return nil, fmt.Errorf("steps[%d]: %w", i, err)
		}
	}
	f.count(t)
	return t, nil
}

// count fills in what follows from the steps.
func (f *fragment) count(t *trajectory.Trajectory) {
	in, out := new(int64), new(int64)
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.Model == nil {
			t.ToolCalls++
			continue
		}
		t.ModelCalls++
		in, out = plus(in, s.Model.InputTokens), plus(out, s.Model.OutputTokens)
	}
	if t.ModelCalls > 0 && t.InputTokens == nil {
		t.InputTokens = in
	}
	if t.ModelCalls > 0 && t.OutputTokens == nil {
		t.OutputTokens = out
	}
	if f.ModelCalls != nil {
		t.ModelCalls = *f.ModelCalls
	}
	if f.ToolCalls != nil {
		t.ToolCalls = *f.ToolCalls
	}
}

// plus is nil where one of the numbers is.
func plus(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	sum := *a + *b
	return &sum
}

func (f *fragment) messages(t *trajectory.Trajectory) error {
	if f.Messages == nil && f.Input != nil {
		t.Messages = []trajectory.Message{{Role: trajectory.RoleUser, Text: *f.Input}}
	}
	for i, m := range f.Messages {
		to := trajectory.Message{Role: m.Role, Text: m.Text, Name: m.Name, ToolCallID: m.ToolCallID}
		for _, c := range m.ToolCalls {
			arguments, err := jsonText(c.Arguments)
			if err != nil {
				return fmt.Errorf("messages[%d].tool_calls: %w", i, err)
			}
			to.ToolCalls = append(to.ToolCalls, trajectory.ToolCall{ID: c.ID, Name: c.Name, Arguments: arguments})
		}
		t.Messages = append(t.Messages, to)
	}
	return nil
}

// add appends the step, and the message that its text is.
func (s *fragmentStep) add(t *trajectory.Trajectory) (err error) {
	to := trajectory.Step{Index: len(t.Steps), Kind: trajectory.Kind(s.Kind), AgentName: s.Agent, Thread: s.Thread, Error: s.Error, SpanID: spanOf(len(t.Steps))}
	if to.StartedAt, to.EndedAt, err = period(s.Duration); err != nil {
		return err
	}
	if to.Attributes, err = jsonText(s.Attributes); err != nil {
		return fmt.Errorf("attributes: %w", err)
	}
	if s.Kind == "" {
		if to.Kind = trajectory.KindModel; s.Name != "" {
			to.Kind = trajectory.KindTool
		}
	}
	if s.Agent != "" && !slices.Contains(t.AgentNames, s.Agent) {
		t.AgentNames = append(t.AgentNames, s.Agent)
	}
	switch to.Kind {
	case trajectory.KindTool:
		to.Tool, err = s.tool()
	case trajectory.KindModel:
		to.Model = s.model(t)
	default:
		err = fmt.Errorf("kind %q: use model or tool", s.Kind)
	}
	t.Steps = append(t.Steps, to)
	return err
}

func (s *fragmentStep) tool() (*trajectory.ToolRun, error) {
	run := &trajectory.ToolRun{Name: s.Name}
	var err error
	if run.Arguments, err = jsonText(s.Arguments); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	if s.Result != nil {
		result, err := jsonText(s.Result)
		if err != nil {
			return nil, fmt.Errorf("result: %w", err)
		}
		run.Result = &result
	}
	return run, nil
}

func (s *fragmentStep) model(t *trajectory.Trajectory) *trajectory.ModelCall {
	call := &trajectory.ModelCall{RequestModel: s.Model, FinishReason: s.FinishReason, InputTokens: s.InputTokens, OutputTokens: s.OutputTokens}
	if s.Text == nil {
		return call
	}
	at := -1
	for i := range t.Messages {
		if t.Messages[i].Role == trajectory.RoleAssistant && t.Messages[i].Text == *s.Text {
			at = i
		}
	}
	if at < 0 {
		at = len(t.Messages)
		t.Messages = append(t.Messages, trajectory.Message{Role: trajectory.RoleAssistant, Text: *s.Text})
	}
	call.Output = []int32{int32(at)}
	return call
}

// exampleFacts reads the facts of an example.
func (d *document) exampleFacts(n *yaml.Node, path string, t *trajectory.Trajectory) (out []trajectory.Fact) {
	var list []fragmentFact
	if !d.decode(n, path, &list) {
		return nil
	}
	for i, f := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		fact := trajectory.Fact{
			ID: fmt.Sprintf("%06d", i), Name: f.Feedback, Source: "feedback", Value: f.Value, Label: f.Label, Explanation: f.Explanation,
			ObservedAt: int64(i), TrajectoryID: t.ID,
		}
		if f.Evaluation != "" {
			fact.Name, fact.Source = f.Evaluation, "evaluation"
		}
		if (f.Feedback == "") == (f.Evaluation == "") {
			d.fail(n.Content[i], at, "must name one feedback or one evaluation", "write feedback: solved, or evaluation: correctness")
		}
		if f.Step != nil {
			if *f.Step < 0 || *f.Step >= len(t.Steps) {
				d.fail(n.Content[i], at+".step", fmt.Sprintf("there is no step %d", *f.Step), "steps count from 0")
				continue
			}
			fact.SpanID = spanOf(*f.Step)
		}
		out = append(out, fact)
	}
	return out
}

func spanOf(step int) string { return fmt.Sprintf("%016x", step+1) }

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// period is a start and an end, in µs, that lie so many seconds apart.
func period(seconds *float64) (from, to int64, err error) {
	if seconds == nil {
		return 0, 0, nil
	}
	if math.IsNaN(*seconds) || *seconds < 0 || *seconds > 1e9 {
		return 0, 0, fmt.Errorf("duration %g: use seconds", *seconds)
	}
	return 1e6, 1e6 + int64(math.Round(*seconds*1e6)), nil
}

// jsonText is a text as it stands, and anything else as JSON; "" = nothing.
func jsonText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case map[string]any:
		if v == nil {
			return "", nil
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("cannot be written as JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return string(b), nil
}
