package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"

	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// Result is what a pass with gradients came to.
type Result struct {
	// Loss is Σ Weight × Σ token losses, computed here from the server's
	// answers, and checked against the token losses that it sent.
	Loss float64

	// Logprobs are those of the policy as it was, for ppo_critic Values those of
	// the critic: one list a row, index by index about Tokens; 0 where Mask is
	// false.
	Logprobs [][]float32
	Values   [][]float32

	Metrics  map[string]float64 // of the server, of the last request
	Requests int                // that the batch was cut into
}

// Output is what a model says of one row, index by index about its tokens; 0
// where Mask is false.
type Output struct {
	Logprobs []float32 `json:"logprobs"`         // nats
	Values   []float32 `json:"values,omitempty"` // of the critic; nil = there is none
}

// Forward is what the model says of the rows, of which only tokens and mask
// matter. Nothing on the server changes.
func (m *Model) Forward(ctx context.Context, rows []Row) ([]Output, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(rows); err != nil {
		return nil, fmt.Errorf("forward: %w", err)
	}
	out := make([]Output, 0, len(rows))
	p := pass{model: m.ID, forward: true, loss: string(grpo.FnCrossEntropy)}
	_, err := m.passes(ctx, p, rows, func(r *Row) datum { d, _ := shift(r); return d }, func(r *Row, _ *datum, o *outputs) error {
		said, err := o.of(r)
		out = append(out, said)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("forward: %w", m.fail(err, false))
	}
	return out, nil
}

// ForwardBackward adds the gradient of the rows to what waits for the next
// optimizer step. For ppo_critic, loss.Low is how far a value may move from
// [Row].Values before its loss is held (value_clip; 0 = any way). Servers that average over rows need all rows of a step in one
// call. If it fails after rows were sent, gradients of some may be on the server:
// the error is [ErrLost].
func (m *Model) ForwardBackward(ctx context.Context, rows []Row, loss grpo.Loss) (Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out, err := m.backward(ctx, rows, loss)
	if err != nil {
		return Result{}, fmt.Errorf("forward and backward: %w", err)
	}
	return out, nil
}

func (m *Model) backward(ctx context.Context, rows []Row, loss grpo.Loss) (Result, error) {
	asked, err := m.normalize.loss(loss, m.c.Capabilities().Losses)
	switch {
	case err != nil:
		return Result{}, err
	case m.normalize == RowMean && m.pending > 0:
		return Result{}, errors.New("this server averages over all rows of a step: pass them in one call")
	}
	if err := m.trainable(rows, loss); err != nil {
		return Result{}, err
	}
	var out Result
	p := pass{model: m.ID, loss: string(asked.Fn), config: config(asked)}
	read := func(r *Row, d *datum, o *outputs) error { return out.add(r, d, o, loss, asked) }
	sent, err := m.passes(ctx, p, rows, func(r *Row) datum { return m.normalize.datum(r, len(rows), loss) }, read)
	if err != nil {
		return Result{}, m.fail(err, sent.landed)
	}
	m.pending++
	out.Metrics, out.Requests = sent.metrics, sent.requests
	return out, nil
}

// config is loss_fn_config.
func config(l grpo.Loss) map[string]float64 {
	if l.Fn == grpo.FnCritic {
		return map[string]float64{"value_clip": l.Low}
	}
	return l.Config()
}

// fail makes an error after which gradients may be on the server final.
func (m *Model) fail(err error, landed bool) error {
	var refused *StatusError
	gone := errors.As(err, &refused) && refused.Status == http.StatusNotFound // the model, after a restart
	if !landed && !gone && !errors.Is(err, ErrLost) {
		return err
	}
	if !errors.Is(err, ErrLost) {
		err = fmt.Errorf("%w: %w", err, ErrLost)
	}
	m.broken = fmt.Errorf("model %s failed before: %w", m.ID, err)
	return err
}

func (m *Model) ready(rows []Row) error {
	if m.broken != nil {
		return m.broken
	}
	if len(rows) == 0 {
		return errors.New("no rows")
	}
	vocabulary := m.c.Capabilities().Vocabulary
	for i := range rows {
		if err := rows[i].Valid(vocabulary); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) trainable(rows []Row, loss grpo.Loss) error {
	if err := m.ready(rows); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		switch {
		case loss.Fn == grpo.FnCritic && (r.Values == nil || r.Returns == nil):
			return fmt.Errorf("row of rollout %s: %s needs values and returns", r.Rollout, loss.Fn)
		case loss.Fn == grpo.FnGSPO && r.Rollout != "" && seen[r.Rollout]:
			return fmt.Errorf("rollout %s has several rows, and servers compute %s row by row: send coefficients with %s", r.Rollout, loss.Fn, grpo.FnImportance)
		}
		seen[r.Rollout] = true
	}
	return nil
}

// of is what a server said of a row in a forward pass.
func (o *outputs) of(r *Row) (out Output, err error) {
	if out.Logprobs, err = o.policy(r); err == nil && o.values != nil {
		out.Values, err = aligned(r, o.values, "values")
	}
	return out, err
}

// policy is the log-probabilities, which are none above 0 but by rounding.
func (o *outputs) policy(r *Row) ([]float32, error) {
	out, err := aligned(r, o.logprobs, "logprobs")
	for _, l := range out {
		if l > 0.01 {
			return nil, fmt.Errorf("the server answered %v as a log-probability", l)
		}
	}
	return out, err
}

// aligned is what a server said of a row's targets, about its tokens.
func aligned(r *Row, values []float32, name string) ([]float32, error) {
	if len(values) != len(r.Tokens)-1 {
		return nil, fmt.Errorf("the server answered %d %s for a row of %d targets", len(values), name, len(r.Tokens)-1)
	}
	out := make([]float32, len(r.Tokens))
	for t, v := range values {
		switch {
		case !r.Mask[t+1]:
		case math.IsNaN(float64(v)) || math.IsInf(float64(v), 0):
			return nil, fmt.Errorf("the server answered %v as one of the %s", v, name)
		default:
			out[t+1] = v
		}
	}
	return out, nil
}

// add takes in the outputs of one row.
func (out *Result) add(r *Row, d *datum, o *outputs, loss, asked grpo.Loss) error {
	if loss.Fn == grpo.FnCritic {
		return out.addCritic(r, o, loss.Low)
	}
	now, err := o.policy(r)
	if err != nil {
		return err
	}
	out.Logprobs = append(out.Logprobs, now)
	tokens, _ := loss.Tokens(doubles(now, r.Mask), doubles(r.Logprobs, r.Mask), doubles(r.Advantages, r.Mask))
	for _, l := range tokens {
		out.Loss += r.Weight * l
	}
	if o.losses == nil {
		return nil
	}
	return agree(d, now[1:], o.losses, asked)
}

// addCritic takes in what a server said of a row's values.
func (out *Result) addCritic(r *Row, o *outputs, clip float64) error {
	values, err := aligned(r, o.values, "values")
	if err != nil {
		return err
	}
	out.Values = append(out.Values, values)
	losses, _ := grpo.ValueLoss(doubles(values, r.Mask), doubles(r.Values, r.Mask), doubles(r.Returns, r.Mask), clip)
	var sum float64
	for _, l := range losses {
		sum += r.Weight * l
	}
	out.Loss += sum
	var said float64
	for _, l := range o.losses {
		said += float64(l)
	}
	if o.losses != nil && !(math.Abs(said-sum) <= 0.01*math.Abs(sum)+1e-6) {
		return fmt.Errorf("the server computes another %s than was asked for: a row's loss is %.6g, not %.6g", grpo.FnCritic, said, sum)
	}
	return nil
}

// agree holds the server's token losses against those that it was asked for: a
// server that ignores a setting or a list says so here.
func agree(d *datum, now, said []float32, asked grpo.Loss) error {
	if len(said) != len(d.targets) {
		return fmt.Errorf("the server answered %d token losses for a row of %d targets", len(said), len(d.targets))
	}
	mask := make([]bool, len(d.targets))
	for t, w := range d.weights {
		mask[t] = w != 0
	}
	old, advantages := d.logprobs, d.advantages
	if old == nil { // cross_entropy: the weights are all there is
		old = now
		advantages = make([]float32, len(now))
		for t := range advantages {
			advantages[t] = 1
		}
	}
	want, _ := asked.Tokens(doubles(now, mask), doubles(old, mask), doubles(advantages, mask))
	var off, size float64
	weights, got := doubles(d.weights, mask), doubles(said, mask)
	for i, w := range want {
		w *= weights[i]
		off += math.Abs(w - got[i])
		size += math.Abs(w)
	}
	if !(off <= 0.01*size+1e-6) { // NaN too
		return fmt.Errorf("the server computes another %s than was asked for: its token losses are off by %.3g of %.3g", asked.Fn, off, size)
	}
	return nil
}

// doubles are the values where mask is true.
func doubles(values []float32, mask []bool) []float64 {
	out := make([]float64, 0, len(values))
	for t, v := range values {
		if mask[t] {
			out = append(out, float64(v))
		}
	}
	return out
}
