package reroll

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// maxCalls bounds the model calls of a rollout.
const maxCalls = 32

// Policy is who is asked, and how. It decides, with prompt and index, the id of
// a rollout.
type Policy struct {
	Model    string   `json:"model"` // as the server knows it
	Seed     uint64   `json:"seed"`
	NoSeed   bool     `json:"no_seed,omitempty"` // send no seeds: rollouts do not repeat
	Sampling Sampling `json:"sampling"`          // what is set here replaces what was logged
}

// id of a rollout: 32 hex digits.
func (p Policy) id(prompt string, index int) string {
	text, err := json.Marshal([]any{"tracegrad rollout v1", p, prompt, index})
	if err != nil {
		panic("internal error: " + err.Error()) // numbers that were checked
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// seedOf does not depend on the model: two policies are asked under the same
// chance. It fits what servers take.
func (p Policy) seedOf(prompt string, index, call int) *int64 {
	if p.NoSeed {
		return nil
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "tracegrad seed v1\x00%d\x00%s\x00%d\x00%d", p.Seed, prompt, index, call))
	seed := int64(binary.BigEndian.Uint32(sum[:4]) & 0x7fffffff)
	return &seed
}

// asker answers a request; [Client] is one.
type asker interface {
	chat(ctx context.Context, r request) (answer, error)
}

// rollout is one attempt of a policy at a prompt, as far as it came.
type rollout struct {
	t      trajectory.Trajectory
	chat   []message
	input  []int32 // messages of the next call
	used   map[string]int
	before []int32 // prompt and reply of the last call, where ids are known
}

// roll asks for one rollout. An error says nothing of the prompt unless it is a
// [*RefusedError].
func roll(ctx context.Context, server asker, policy Policy, p *Prompt, index int, now func() time.Time) (*trajectory.Trajectory, error) {
	r := begin(policy, p, index, now())
	for call := range maxCalls {
		req := request{
			Model: policy.Model, Messages: r.chat, Tools: p.tools,
			Sampling: policy.Sampling.over(&p.call), Seed: policy.seedOf(p.Key, index, call),
		}
		began := now()
		a, err := server.chat(ctx, req)
		if err != nil {
			return nil, err
		}
		r.reply(p, &req, a, began, now())
		if len(a.Calls) == 0 {
			r.t.Output = a.Text
			return r.end(now(), ""), nil
		}
		if !r.answerTools(p, a.Calls, now()) {
			return r.end(now(), trajectory.ReasonNotRecorded), nil
		}
	}
	return r.end(now(), trajectory.ReasonTooManyCalls), nil
}

func begin(policy Policy, p *Prompt, index int, now time.Time) *rollout {
	of := &p.of
	r := &rollout{used: map[string]int{}, chat: slices.Clone(p.messages)}
	r.t = trajectory.Trajectory{
		ID: policy.id(p.Key, index), Writer: writerName,
		TaskKey: of.TaskKey, TaskKeySource: of.TaskKeySource, Tenant: of.Tenant, ServiceName: of.ServiceName,
		Source: trajectory.SourceReroll, Input: of.Input, Status: trajectory.StatusOK, CloseReason: trajectory.CloseComplete,
		StartedAt: now.UnixMicro(), FirstSeenAt: now.UnixMicro(), Tokens: trajectory.TokensCaptured, Trainable: true,
		Attributes: attributes(of.Attributes, policy, p, index), Messages: slices.Clone(p.shown),
	}
	if p.step.AgentName != "" {
		r.t.AgentNames = []string{p.step.AgentName}
	}
	for _, f := range p.Facts {
		f.ID, f.TrajectoryID, f.TraceID, f.SpanID, f.ResponseID, f.ConversationID = "", r.t.ID, "", "", "", ""
		f.Explanation = strings.TrimSpace(f.Explanation + " (of the task, carried over from " + of.ID + ")")
		r.t.Facts = append(r.t.Facts, f)
	}
	for i := range p.shown {
		r.input = append(r.input, int32(i))
	}
	return r
}

// Names of attributes that a rollout has beside those of the logged attempt.
const (
	AttrOf     = "tracegrad.reroll.of"     // the logged trajectory
	AttrPrompt = "tracegrad.reroll.prompt" // Prompt.Key
	AttrIndex  = "tracegrad.reroll.index"  // of the rollout, from 0
	AttrModel  = "tracegrad.reroll.model"
)

// attributes are those of the logged attempt, which rules may read, and ours.
func attributes(logged string, policy Policy, p *Prompt, index int) string {
	all := map[string]any{}
	if logged != "" {
		var own map[string]json.RawMessage
		if json.Unmarshal([]byte(logged), &own) == nil {
			for k, v := range own {
				all[k] = v
			}
		}
	}
	all[AttrOf], all[AttrPrompt], all[AttrIndex], all[AttrModel] = p.of.ID, p.Key, index, policy.Model
	text, err := json.Marshal(all)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return string(text)
}

// PromptKeyOf is the prompt that a rollout answers; "" if t is none.
func PromptKeyOf(t *trajectory.Trajectory) string {
	var own map[string]any
	if json.Unmarshal([]byte(t.Attributes), &own) != nil {
		return ""
	}
	key, _ := own[AttrPrompt].(string)
	return key
}

// reply appends what the model answered, as a step.
func (r *rollout) reply(p *Prompt, req *request, a answer, began, ended time.Time) {
	at := len(r.t.Steps)
	call := &trajectory.ModelCall{
		RequestModel: req.Model, ResponseModel: a.Model, ResponseID: a.ID, FinishReason: a.Finish,
		InputTokens: a.InputTokens, OutputTokens: a.OutputSize,
		Temperature: req.Temperature, TopP: req.TopP, TopK: req.TopK, MaxTokens: req.MaxTokens, Seed: req.Seed,
		Tools: p.call.Tools, Input: slices.Clone(r.input), Output: []int32{int32(len(r.t.Messages))},
		TokenIDs: a.Tokens, Logprobs: a.Logprobs,
	}
	call.PromptBase, call.PromptTokenIDs = r.base(a.Prompt)
	r.before = nil
	if len(a.Tokens) > 0 {
		r.before = slices.Concat(a.Prompt, a.Tokens)
	}
	if len(a.Tokens) == 0 || len(a.Logprobs) == 0 {
		r.t.Tokens = trajectory.TokensNone
	}
	step := trajectory.Step{
		Index: at, Kind: trajectory.KindModel, AgentName: p.step.AgentName, Trainable: true,
		StartedAt: began.UnixMicro(), EndedAt: ended.UnixMicro(), Model: call,
	}
	if at > 0 {
		last := at - 1
		step.Parent = &last
	}
	m := trajectory.Message{Role: trajectory.RoleAssistant, Text: a.Text, Reasoning: a.Reasoning, ToolCalls: a.Calls}
	r.say(m)
	r.t.Steps = append(r.t.Steps, step)
	r.t.ModelCalls++
}

// base finds the earlier call that a prompt's ids begin with.
func (r *rollout) base(prompt []int32) (base *int32, rest []int32) {
	if len(r.before) == 0 || len(prompt) <= len(r.before) || !slices.Equal(prompt[:len(r.before)], r.before) {
		return nil, prompt
	}
	for i := len(r.t.Steps) - 1; i >= 0; i-- {
		if r.t.Steps[i].Kind == trajectory.KindModel {
			at := int32(i)
			return &at, prompt[len(r.before):]
		}
	}
	return nil, prompt
}

// answerTools feeds back what was recorded; false if a result was not.
func (r *rollout) answerTools(p *Prompt, calls []trajectory.ToolCall, now time.Time) bool {
	cause, whole := len(r.t.Steps)-1, true
	for _, c := range calls {
		key := callKey(c.Name, c.Arguments)
		result, found := p.recorded.result(c.Name, c.Arguments, r.used[key])
		r.used[key]++
		step := trajectory.Step{
			Index: len(r.t.Steps), Kind: trajectory.KindTool, AgentName: p.step.AgentName, Parent: &cause, Trainable: found,
			StartedAt: now.UnixMicro(), EndedAt: now.UnixMicro(),
			Tool: &trajectory.ToolRun{Name: c.Name, CallID: c.ID, Arguments: c.Arguments},
		}
		if found {
			step.Tool.Result = &result
			r.say(trajectory.Message{Role: trajectory.RoleTool, Text: result, ToolCallID: c.ID})
		} else {
			step.Reasons, whole = []trajectory.Reason{trajectory.ReasonNotRecorded}, false
		}
		r.t.Steps = append(r.t.Steps, step)
		r.t.ToolCalls++
	}
	return whole
}

func (r *rollout) say(m trajectory.Message) {
	r.input = append(r.input, int32(len(r.t.Messages)))
	r.t.Messages = append(r.t.Messages, m)
	r.chat = append(r.chat, wire(&m))
}

// end closes the rollout; why is "" if it came to its end.
func (r *rollout) end(now time.Time, why trajectory.Reason) *trajectory.Trajectory {
	t := &r.t
	t.EndedAt = now.UnixMicro()
	t.Revision = t.EndedAt
	if why != "" {
		t.Trainable, t.Reasons = false, []trajectory.Reason{why}
	}
	var in, out int64
	known := true
	for i := range t.Steps {
		if m := t.Steps[i].Model; m != nil {
			if known = known && m.InputTokens != nil && m.OutputTokens != nil; known {
				in, out = in+*m.InputTokens, out+*m.OutputTokens
			}
		}
	}
	if known {
		t.InputTokens, t.OutputTokens = &in, &out
	}
	return t
}

// Finished reports that a rollout came to its end, and if not, why.
func Finished(t *trajectory.Trajectory) (bool, trajectory.Reason) {
	for _, r := range t.Reasons {
		if r == trajectory.ReasonNotRecorded || r == trajectory.ReasonTooManyCalls {
			return false, r
		}
	}
	return true, ""
}

const writerName = "tracegrad-reroll"
