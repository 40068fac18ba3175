package sequence

import (
	"errors"
	"fmt"
	"math"

	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// Source says where a call's token ids are from.
type Source string

// The sources of token ids.
const (
	Captured       Source = "captured"        // prompt and reply were recorded when the call was served
	PromptRendered Source = "prompt_rendered" // the reply was; the prompt is rendered from its messages
	Retokenised    Source = "retokenised"     // both are rendered from messages: marked in the report
)

// Span is a run of generated tokens: Tokens[From:To] of a row.
type Span struct {
	Row      int    `json:"row"`
	From     int    `json:"from"`
	To       int    `json:"to"`
	Step     int    `json:"step"` // of the trajectory
	Agent    string `json:"agent,omitempty"`
	Source   Source `json:"source"`
	Logprobs bool   `json:"logprobs,omitempty"` // recorded, and comparable with the engine's; else they are 0 and must be computed
}

// Rollout is a trajectory in rows. It is owned by whoever built it.
//
// What is computed per generated token is kept in flat lists, in the order of
// Spans, which is the order in which the tokens were generated, whatever the
// rows: lists of [Rollout.Trained] values.
type Rollout struct {
	ID       string         `json:"rollout"`
	Rows     []engine.Row   `json:"rows,omitempty"`
	Spans    []Span         `json:"spans,omitempty"`
	Recorded []float32      `json:"recorded,omitempty"` // flat: log-probabilities of the policy that generated the tokens, see Span.Logprobs
	Skipped  string         `json:"skipped,omitempty"`  // why there are no rows; "" = there are
	LeftOut  map[string]int `json:"left_out,omitempty"` // model calls that are not trained on, by reason
}

// Trained is the number of generated tokens.
func (r *Rollout) Trained() int {
	n := 0
	for _, s := range r.Spans {
		n += s.To - s.From
	}
	return n
}

// Agents is the number of calls trained on by agent, as [grpo.PerAgent] counts
// steps.
func (r *Rollout) Agents() map[string]int {
	out := map[string]int{}
	for i, s := range r.Spans {
		if i == 0 || r.Spans[i-1].Step != s.Step {
			out[s.Agent]++
		}
	}
	return out
}

// Flat gathers the values of generated tokens. rows has a list per row, index by
// index for its tokens.
func (r *Rollout) Flat(rows [][]float32) ([]float64, error) {
	if len(rows) != len(r.Rows) {
		return nil, fmt.Errorf("gather values of rollout %s: %d lists for %d rows", r.ID, len(rows), len(r.Rows))
	}
	for i, values := range rows {
		if len(values) != len(r.Rows[i].Tokens) {
			return nil, fmt.Errorf("gather values of rollout %s: row %d has %d tokens, but %d values", r.ID, i, len(r.Rows[i].Tokens), len(values))
		}
	}
	out := make([]float64, 0, r.Trained())
	for _, s := range r.Spans {
		for _, v := range rows[s.Row][s.From:s.To] {
			out = append(out, float64(v))
		}
	}
	return out, nil
}

// PerSpan is a flat list in which the tokens of a span share a value, such as an
// advantage.
func (r *Rollout) PerSpan(value func(Span) float64) []float64 {
	out := make([]float64, 0, r.Trained())
	for _, s := range r.Spans {
		v := value(s)
		for range s.To - s.From {
			out = append(out, v)
		}
	}
	return out
}

// Behaviour is the flat log-probabilities of the policy that generated the
// tokens: the recorded ones, and, where there are none, those of old, the policy
// before the update: nothing is corrected that is not known.
func (r *Rollout) Behaviour(old []float64) ([]float64, error) {
	if len(old) != r.Trained() {
		return nil, fmt.Errorf("read log-probabilities of rollout %s: %d values for %d generated tokens", r.ID, len(old), r.Trained())
	}
	out := append([]float64(nil), old...)
	at := 0
	for _, s := range r.Spans {
		for range s.To - s.From {
			if s.Logprobs {
				out[at] = float64(r.Recorded[at])
			}
			at++
		}
	}
	return out, nil
}

// Known is a flat list: where [Rollout.Behaviour] is what was recorded.
func (r *Rollout) Known() []bool {
	out := make([]bool, 0, r.Trained())
	for _, s := range r.Spans {
		for range s.To - s.From {
			out = append(out, s.Logprobs)
		}
	}
	return out
}

// PerReply is a flat list with a value at the last token of each call's reply,
// such as a step's reward, and 0 elsewhere. A trajectory's own reward belongs to
// the last call trained on.
func (r *Rollout) PerReply(value func(step int) float64) []float64 {
	out := make([]float64, r.Trained())
	at := 0
	for i, s := range r.Spans {
		at += s.To - s.From
		if i+1 == len(r.Spans) || r.Spans[i+1].Step != s.Step {
			out[at-1] = value(s.Step)
		}
	}
	return out
}

// Apply writes one optimizer step into the rows: the coefficients of a rule as
// advantages, and the policy of this step as the one that the ratio is with, for
// the loss importance_sampling ([grpo.Rule.Coefficients]).
func (r *Rollout) Apply(rule grpo.Rule, x grpo.Logs) (grpo.Metrics, error) {
	coefficients, m, err := rule.Coefficients(x)
	if err == nil {
		err = errors.Join(r.SetAdvantages(coefficients), r.SetLogprobs(x.Now))
	}
	if err != nil {
		return grpo.Metrics{}, fmt.Errorf("apply rule to rollout %s: %w", r.ID, err)
	}
	return m, nil
}

// SetAdvantages writes a flat list into the rows; tokens that were not generated
// keep 0.
func (r *Rollout) SetAdvantages(flat []float64) error {
	return r.set("advantages", flat, func(row *engine.Row) *[]float32 { return &row.Advantages })
}

// SetLogprobs writes a flat list into the rows: the policy that the loss's ratio
// is with. What was recorded stays in Recorded.
func (r *Rollout) SetLogprobs(flat []float64) error {
	return r.set("log-probabilities", flat, func(row *engine.Row) *[]float32 { return &row.Logprobs })
}

// SetValues writes the critic's values before the update and what it should have
// said.
func (r *Rollout) SetValues(values, returns []float64) error {
	return errors.Join(
		r.set("values", values, func(row *engine.Row) *[]float32 { return &row.Values }),
		r.set("returns", returns, func(row *engine.Row) *[]float32 { return &row.Returns }))
}

func (r *Rollout) set(what string, flat []float64, list func(*engine.Row) *[]float32) error {
	if len(flat) != r.Trained() {
		return fmt.Errorf("set %s of rollout %s: %d values for %d generated tokens", what, r.ID, len(flat), r.Trained())
	}
	for _, v := range flat {
		if f := float32(v); math.IsNaN(v) || math.IsInf(float64(f), 0) {
			return fmt.Errorf("set %s of rollout %s: %v is not a number that can be trained with", what, r.ID, v)
		}
	}
	for i := range r.Rows {
		into := list(&r.Rows[i])
		if *into == nil {
			*into = make([]float32, len(r.Rows[i].Tokens))
		}
	}
	for _, s := range r.Spans {
		into := (*list(&r.Rows[s.Row]))[s.From:s.To]
		for t := range into {
			into[t], flat = float32(flat[0]), flat[1:]
		}
	}
	return nil
}

// Weigh sets the weight of every row for one optimizer step over the rollouts.
// length is that of [grpo.Constant].
func Weigh(rollouts []*Rollout, how grpo.Reduction, length int) error {
	tokens := make([][]int, len(rollouts))
	for i, r := range rollouts {
		tokens[i] = make([]int, len(r.Rows))
		for _, s := range r.Spans {
			tokens[i][s.Row] += s.To - s.From
		}
	}
	weights, err := how.Weights(tokens, length)
	if err != nil {
		return err
	}
	for i, r := range rollouts {
		for j := range r.Rows {
			r.Rows[j].Weight = weights[i][j]
		}
	}
	return nil
}
