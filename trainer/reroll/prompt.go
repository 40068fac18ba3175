package reroll

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Prompt is a logged prompt. Attempts that were sent the same messages and tools
// share one.
type Prompt struct {
	Key      string // hash of tenant, messages and tools
	Attempts int    // logged trajectories that began with it

	// Facts that are about the task, not about an attempt at it: every rollout
	// gets them.
	Facts []trajectory.Fact

	of       trajectory.Trajectory // the attempt that stands for it, without messages and steps
	step     trajectory.Step       // its first model call
	call     trajectory.ModelCall
	shown    []trajectory.Message // what the call was sent
	messages []message            // the same on the wire
	tools    json.RawMessage      // nil = none
	recorded recordings
}

// Of is the id of the logged trajectory that stands for the prompt.
func (p *Prompt) Of() string { return p.of.ID }

// Reasons why a logged trajectory has no prompt to ask again.
const (
	LeftNoCall      = "no_model_call"
	LeftNoInput     = "input_missing"
	LeftContent     = "content_not_text"     // images and the like
	LeftConstrained = "constrained"          // a grammar, a penalty or a forced tool choice bent the reply: the dataset does not hold it
	LeftTools       = "tools_not_understood" // their definitions are in no known form
)

// PromptOf reads the prompt of a trajectory, or says why there is none. It keeps
// texts of t.
func PromptOf(t *trajectory.Trajectory) (*Prompt, string) {
	at := slices.IndexFunc(t.Steps, func(s trajectory.Step) bool { return s.Kind == trajectory.KindModel && s.Model != nil })
	if at < 0 {
		return nil, LeftNoCall
	}
	p := &Prompt{Attempts: 1, of: *t, step: t.Steps[at], call: *t.Steps[at].Model}
	p.of.Messages, p.of.Steps, p.of.Rewards, p.of.Facts, p.step.Model = nil, nil, nil, nil, nil
	for _, r := range p.step.Reasons {
		if slices.Contains(unseen, r) {
			return nil, string(r)
		}
	}
	if p.call.Constrained != nil && *p.call.Constrained {
		return nil, LeftConstrained
	}
	for _, i := range p.call.Input {
		m := t.Messages[i]
		switch {
		case m.Injected != "":
			continue // a bundle's: the policy that is asked is not the bundle's
		case m.Parts != "":
			return nil, LeftContent
		}
		p.shown = append(p.shown, m)
		p.messages = append(p.messages, wire(&m))
	}
	if len(p.messages) == 0 {
		return nil, LeftNoInput
	}
	if p.tools = toolsOf(p.call.Tools); p.tools == nil && p.call.Tools != "" && p.call.Tools != "[]" {
		return nil, LeftTools
	}
	p.Key = p.key()
	p.recorded.add(t)
	return p, ""
}

// unseen are reasons of a step that leave in doubt what the call was sent.
var unseen = []trajectory.Reason{
	trajectory.ReasonNoInput, trajectory.ReasonTruncated, trajectory.ReasonDropped, trajectory.ReasonRedacted,
}

func (p *Prompt) key() string {
	text, err := json.Marshal([]any{"tracegrad prompt v1", p.of.Tenant, p.messages, p.tools})
	if err != nil {
		panic("internal error: " + err.Error()) // texts and JSON that was read
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// Gather makes one prompt of attempts that began with the same one. The attempt
// with the smallest id stands for it; what is recorded of the others' tools is
// added to its own. The order is that of the keys.
func Gather(prompts []*Prompt) []*Prompt {
	prompts = slices.Clone(prompts)
	slices.SortFunc(prompts, func(a, b *Prompt) int {
		if a.Key != b.Key {
			return compare(a.Key, b.Key)
		}
		return compare(a.of.ID, b.of.ID)
	})
	var out []*Prompt
	for _, p := range prompts {
		if n := len(out); n > 0 && out[n-1].Key == p.Key {
			out[n-1].Attempts += p.Attempts
			out[n-1].recorded.merge(p.recorded)
			out[n-1].take(p.Facts)
			continue
		}
		out = append(out, p)
	}
	return out
}

// take adds facts whose names are not known yet.
func (p *Prompt) take(facts []trajectory.Fact) {
	known := map[string]bool{}
	for _, f := range p.Facts {
		known[f.Name] = true
	}
	for _, f := range facts {
		if !known[f.Name] {
			p.Facts = append(slices.Clip(p.Facts), f)
		}
	}
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
