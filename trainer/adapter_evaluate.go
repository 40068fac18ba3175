package trainer

import (
	"context"
	"fmt"
	"math"

	"github.com/tracegrad/tracegrad/trainer/sequence"
)

// Evaluated is evaluate.json: what the policy after the update says of what was
// trained on and of what was held out. It decides nothing: an adapter is judged
// by what it generates.
type Evaluated struct {
	Warning string     `json:"warning,omitempty"` // that belongs to the verdict
	Train   Shift      `json:"train"`
	Holdout Shift      `json:"holdout"`
	Logged  *OffPolicy `json:"off_policy"` // of the holdout; null: Why says why
	Why     string     `json:"off_policy_missing,omitempty"`
}

// Shift is how far a policy moved on some rollouts.
type Shift struct {
	Rollouts int     `json:"rollouts"`
	Tokens   int     `json:"tokens"`
	Moved    float64 `json:"moved"` // KL(old ‖ now), nats per token
}

// OffPolicy estimates the return under the new policy from logged attempts, each
// weighed with what the new policy would have done of it (self-normalised
// importance weights of whole attempts). It is of attempts whose log-probabilities
// were recorded when they were served.
type OffPolicy struct {
	Attempts  int     `json:"attempts"`
	Mean      float64 `json:"mean"`     // return as it was
	Estimate  float64 `json:"estimate"` // under the new policy
	Effective float64 `json:"ess"`      // attempts that the estimate rests on
}

type evaluated = artifact[Evaluated, none]

func (n *adapterNight) evaluateStage(ctx context.Context, sc scores, s sequences, f said, u updated) (evaluated, error) {
	inputs := []any{n.digestOf("score"), n.digestOf("sequence"), n.digestOf("forward")}
	return stage(n.run, "evaluate", inputs, func() (evaluated, error) {
		now, _, err := n.ask(ctx, "evaluate", u.Head.State, s, false)
		if err != nil {
			return evaluated{}, err
		}
		var out Evaluated
		w := weigher{returns: returnsByID(sc)}
		for i := range s.Rows {
			row, old := s.Rows[i], doubles(f.Rows[i].Old)
			if row.Split == Train {
				out.Train.add(old, now[i])
				continue
			}
			out.Holdout.add(old, now[i])
			if err := w.add(row.Rollout, old, now[i]); err != nil {
				return evaluated{}, err
			}
		}
		out.Train.mean()
		out.Holdout.mean()
		out.Logged, out.Why = w.estimate()
		if limit := n.Config.Algorithm.Stop.MaxKL; limit > 0 && out.Train.Moved > limit {
			out.Warning = fmt.Sprintf("the last step moved the policy to %.4g nats per token, beyond algorithm.stop.max_kl (%.4g)", out.Train.Moved, limit)
		}
		return evaluated{Head: out}, nil
	})
}

func (s *Shift) add(old, now []float64) {
	s.Rollouts++
	s.Tokens += len(old)
	for t := range old {
		d := old[t] - now[t]
		s.Moved += math.Exp(min(-d, 20)) + d - 1
	}
}

func (s *Shift) mean() { s.Moved /= float64(max(s.Tokens, 1)) }

// weigher gathers logarithms of the weights of attempts. Those without recorded
// log-probabilities have none: what generated them is not known exactly.
type weigher struct {
	returns    map[string]*Scored
	unrecorded int
	logs       []float64
	values     []float64
}

func (w *weigher) add(r *sequence.Rollout, old, now []float64) error {
	scored := w.returns[r.ID]
	if scored == nil || scored.Return == nil {
		return nil
	}
	for _, s := range r.Spans {
		if !s.Logprobs {
			w.unrecorded++
			return nil
		}
	}
	behaviour, err := r.Behaviour(old)
	if err != nil {
		return err
	}
	var sum float64
	for t := range now {
		sum += now[t] - behaviour[t]
	}
	w.logs, w.values = append(w.logs, sum), append(w.values, *scored.Return)
	return nil
}

func (w *weigher) estimate() (*OffPolicy, string) {
	switch {
	case len(w.values) == 0 && w.unrecorded > 0:
		return nil, "no held-out attempt has log-probabilities that were recorded when it was served"
	case len(w.values) == 0:
		return nil, "no held-out trajectory has a row and a return"
	}
	top := math.Inf(-1)
	for _, l := range w.logs {
		top = max(top, l)
	}
	var sum, squares, weighted, plain float64
	for i, l := range w.logs {
		x := math.Exp(l - top)
		sum, squares, weighted, plain = sum+x, squares+x*x, weighted+x*w.values[i], plain+w.values[i]
	}
	return &OffPolicy{Attempts: len(w.values), Mean: plain / float64(len(w.values)), Estimate: weighted / sum, Effective: sum * sum / squares}, ""
}
