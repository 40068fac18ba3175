package engine

import (
	"fmt"
	"slices"

	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// datum is a row as it is sent: shifted by one and scaled for its server. The
// lists are of one length, index t about targets[t], the token after input[t];
// those that are nil are not sent.
type datum struct {
	input, targets       []int32
	weights              []float32
	logprobs, advantages []float32
	values, returns      []float32
}

// shift is what every pass sends: the row and which tokens count.
func shift(r *Row) (d datum, generated int) {
	d = datum{input: r.Tokens[:len(r.Tokens)-1], targets: r.Tokens[1:], weights: make([]float32, len(r.Tokens)-1)}
	for t, counts := range r.Mask[1:] {
		if counts {
			d.weights[t] = 1
			generated++
		}
	}
	return d, generated
}

// loss is the function to ask a server for so that it computes l. A server that
// divides a row's loss by the row's weights can give no token a weight of its
// own, so cross_entropy is asked of it as cispo with the ratio held at 1, which
// is the same function with advantages in the place of weights.
func (n Normalization) loss(l grpo.Loss, known []string) (grpo.Loss, error) {
	asked := l
	if n == RowMean {
		switch l.Fn {
		case grpo.FnCrossEntropy:
			asked = grpo.Loss{Fn: grpo.FnCISPO, Low: 1, High: 1}
		case grpo.FnCritic:
			return l, fmt.Errorf("loss %s: this server divides by the sum of a row's weights, so that rows cannot be weighed; use the worker", l.Fn)
		}
	}
	if known != nil && !slices.Contains(known, string(asked.Fn)) {
		return l, fmt.Errorf("loss %s: the server has only %v; importance_sampling with coefficients computed here gives the same gradient", asked.Fn, known)
	}
	return asked, nil
}

// datum is the row as one of rows of an optimizer step.
func (n Normalization) datum(r *Row, rows int, l grpo.Loss) datum {
	d, generated := shift(r)
	gain := r.Weight
	if n == RowMean {
		gain *= float64(rows) * float64(generated)
	}
	switch {
	case l.Fn == grpo.FnCritic:
		d.values, d.returns = r.Values[1:], r.Returns[1:]
		for t := range d.weights {
			d.weights[t] *= float32(gain)
		}
	case l.Fn == grpo.FnCrossEntropy && n != RowMean:
		d.weights = scale(r.Advantages[1:], gain)
	case l.Fn == grpo.FnCrossEntropy:
		d.logprobs, d.advantages = make([]float32, len(d.targets)), scale(r.Advantages[1:], gain)
	default:
		d.logprobs, d.advantages = r.Logprobs[1:], scale(r.Advantages[1:], gain)
	}
	return d
}

func scale(values []float32, by float64) []float32 {
	out := make([]float32, len(values))
	for t, v := range values {
		out[t] = float32(float64(v) * by)
	}
	return out
}

// inputs are the lists of d by their names on the wire, without targets, in a
// fixed order.
func (d *datum) inputs(yield func(name string, values []float32) bool) {
	for _, list := range []struct {
		name   string
		values []float32
	}{{"weights", d.weights}, {"logprobs", d.logprobs}, {"advantages", d.advantages}, {"values", d.values}, {"returns", d.returns}} {
		if list.values != nil && !yield(list.name, list.values) {
			return
		}
	}
}
