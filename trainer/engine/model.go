package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
)

// Spec is the adapter to train.
type Spec struct {
	Base string // name of the base model, as the server has it
	Rank int    // of the adapter
	Seed int64  // of its random half
	From string // state to begin with, as [Model.SaveState] returned it, or, on our worker, file:// and the folder of an adapter; "" = none

	Alpha   float64  // the adapter's scale times its rank; 0 = the server's, 32 wherever it was seen
	Targets []string // parts of the model that are trained, of attn and mlp; nil = as the server does
	Critic  bool     // a value head beside the policy, for ppo_critic; our worker only

	// Temperature that log-probabilities are of; 0 = 1. Our worker is asked for
	// it; others have one for all models, which only their operator knows.
	Temperature float64
}

// Model is an adapter in training on a server. Its methods take turns. A model
// that answered [ErrLost] answers it to everything but Close.
type Model struct {
	ID    string
	Rank  int
	Alpha float64 // 0 = the server did not say
	Base  string

	c         *Client
	normalize Normalization

	mu       sync.Mutex
	sequence int   // of the last request
	pending  int   // passes whose gradients wait for an optimizer step
	broken   error // set once, an ErrLost
}

// CreateModel makes an adapter on the server: fresh (then it answers as the base
// model does, until the first optimizer step), or from a saved state. It is an
// error if the server trains another base model or rank than the one asked for.
// A server that does not say how it normalises is measured first.
func (c *Client) CreateModel(ctx context.Context, s Spec) (*Model, error) {
	caps := c.Capabilities()
	switch {
	case s.Base == "" || s.Rank <= 0:
		return nil, fmt.Errorf("create model: a base model and a rank above 0 are needed, not %q and %d", s.Base, s.Rank)
	case len(s.Targets) > 0 && !caps.Worker:
		return nil, fmt.Errorf("create model: the engine at %s chooses what of the model is trained; leave the targets out", c.base)
	case s.Critic && !caps.Worker:
		return nil, fmt.Errorf("create model: the engine at %s has no critic beside a policy; use an algorithm without one, or the worker", c.base)
	case len(caps.Models) > 0 && !slices.Contains(caps.Models, s.Base):
		return nil, fmt.Errorf("create model: the engine at %s serves %s, not %s: start it with that model, or name its model in the configuration",
			c.base, strings.Join(caps.Models, ", "), s.Base)
	}
	if caps.Normalize == "" {
		if err := c.measure(ctx, s); err != nil {
			return nil, err
		}
	}
	m, err := c.create(ctx, s)
	if err != nil {
		return nil, err
	}
	m.normalize = c.Capabilities().Normalize
	if s.From != "" {
		if err := m.load(ctx, s.From); err != nil {
			return nil, errors.Join(fmt.Errorf("create model: %w", err), m.Close(ctx))
		}
	}
	return m, nil
}

func (c *Client) create(ctx context.Context, s Spec) (*Model, error) {
	request := c.createCall(s)
	ticket, err := c.submit(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("create model: %w", err)
	}
	got, err := c.result(ctx, "create_model", ticket.ID, small)
	if err != nil {
		return nil, fmt.Errorf("create model: %w", err)
	}
	var said struct {
		ID     string `json:"model_id"`
		Base   string `json:"base_model"`
		Config struct {
			Rank  int     `json:"rank"`
			Alpha float64 `json:"alpha"`
		} `json:"lora_config"`
		Temperature *float64 `json:"temperature"`
	}
	if err := decode("create_model", got, &said); err != nil {
		return nil, err
	}
	m := &Model{ID: said.ID, Rank: said.Config.Rank, Alpha: said.Config.Alpha, Base: said.Base, c: c}
	switch {
	case said.ID == "" || (ticket.Model != "" && ticket.Model != said.ID):
		return nil, fmt.Errorf("create model: the server names the model %q at first and %q then", ticket.Model, said.ID)
	case said.Base != s.Base:
		err = fmt.Errorf("create model: the engine at %s made an adapter of %q, not of %q: start it with that model, or name its model in the configuration", c.base, said.Base, s.Base)
	case said.Config.Rank != s.Rank:
		err = fmt.Errorf("create model: the server made an adapter of rank %d, not %d", said.Config.Rank, s.Rank)
	case s.Alpha != 0 && said.Config.Alpha != s.Alpha:
		err = fmt.Errorf("create model: the server made an adapter of alpha %v, not %v; leave alpha out to take the server's", said.Config.Alpha, s.Alpha)
	case said.Temperature != nil && *said.Temperature != cmp.Or(s.Temperature, 1):
		err = fmt.Errorf("create model: the server's log-probabilities are of temperature %v, not %v", *said.Temperature, cmp.Or(s.Temperature, 1))
	default:
		return m, nil
	}
	return nil, errors.Join(err, m.Close(ctx))
}

// createCall asks other servers for no more than they were recorded to take.
func (c *Client) createCall(s Spec) call {
	lora := map[string]any{"rank": s.Rank, "seed": s.Seed}
	in := map[string]any{"session_id": c.session, "base_model": s.Base, "lora_config": lora, "type": "create_model"}
	if !c.Capabilities().Worker {
		return jsonCall("create_model", in)
	}
	in["model_seq_id"] = c.count()
	if s.Critic {
		in["value_head"] = true
	}
	if cmp.Or(s.Temperature, 1) != 1 {
		in["temperature"] = s.Temperature
	}
	if s.Alpha != 0 {
		lora["alpha"] = s.Alpha
	}
	if len(s.Targets) > 0 {
		lora["train_attn"], lora["train_mlp"] = slices.Contains(s.Targets, "attn"), slices.Contains(s.Targets, "mlp")
	}
	request := jsonCall("create_model", in)
	request.again = true
	return request
}

// count numbers the models of a session.
func (c *Client) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.models++
	return c.models
}

// adapterFolder begins the state of an adapter without an optimizer.
const adapterFolder = "file:///"

// load is possible only as a model's first request.
func (m *Model) load(ctx context.Context, state string) error {
	request := jsonCall("load_weights", map[string]any{"model_id": m.ID, "path": state, "optimizer": !strings.HasPrefix(state, adapterFolder), "type": "load_weights"})
	if err := m.run(ctx, request); err != nil {
		return fmt.Errorf("load state %s: %w", state, err)
	}
	return nil
}

// run sends a JSON request of the model and waits for its result.
func (m *Model) run(ctx context.Context, request call) error {
	ticket, err := m.c.submit(ctx, request)
	if err != nil {
		return err
	}
	_, err = m.c.result(ctx, request.path, ticket.ID, small)
	return err
}

// SaveState saves adapter and optimizer on the server under a name that it has
// not had, and returns the path for [Spec].From. Gradients that wait for an
// optimizer step are not part of it.
func (m *Model) SaveState(ctx context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	said, err := m.save(ctx, "save_weights", "training", name)
	if err != nil {
		return "", fmt.Errorf("save state: %w", m.fail(err, false))
	}
	return said, nil
}

// save is safe to send twice: the second one is refused because of the first.
func (m *Model) save(ctx context.Context, endpoint, kind, name string) (string, error) {
	if m.broken != nil {
		return "", m.broken
	}
	if name == "" || name != path.Base(path.Clean("/"+name)) || strings.ContainsAny(name, `\?#%`) {
		return "", fmt.Errorf("%q is not a name for a checkpoint", name)
	}
	in := map[string]any{"model_id": m.ID, "path": name, "type": endpoint}
	if m.c.Capabilities().Worker {
		m.sequence++
		in["seq_id"] = m.sequence
	}
	request := jsonCall(endpoint, in)
	request.again = true
	ticket, err := m.c.submit(ctx, request)
	var refused *StatusError
	if errors.As(err, &refused) && refused.Status == http.StatusConflict && refused.tries > 1 {
		return m.saved(ctx, kind, name)
	}
	if err != nil {
		return "", err
	}
	result, err := m.c.result(ctx, endpoint, ticket.ID, small)
	if err != nil {
		return "", err
	}
	var said struct {
		Path string `json:"path"`
	}
	if err := decode(endpoint, result, &said); err != nil {
		return "", err
	}
	if said.Path == "" {
		return "", fmt.Errorf("%s: the answer has no path", endpoint)
	}
	return said.Path, nil
}

// saved waits for a checkpoint that an earlier try of ours asked for.
func (m *Model) saved(ctx context.Context, kind, name string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.c.options.Timeout, fmt.Errorf("checkpoint %s is not there after %s", name, m.c.options.Timeout))
	defer cancel()
	for ctx.Err() == nil {
		var said struct {
			Checkpoints []struct {
				ID   string `json:"checkpoint_id"`
				Kind string `json:"checkpoint_type"`
				Path string `json:"tinker_path"`
			} `json:"checkpoints"`
		}
		if err := m.c.get(ctx, "training_runs/"+m.ID+"/checkpoints", &said); err != nil {
			return "", err
		}
		for _, c := range said.Checkpoints {
			if c.ID == name && c.Kind == kind && c.Path != "" {
				return c.Path, nil
			}
		}
		sleep(ctx, m.c.options.Backoff)
	}
	return "", context.Cause(ctx)
}

// Close frees the model on the server; its saved states stay.
func (m *Model) Close(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	request := jsonCall("unload_model", map[string]any{"model_id": m.ID, "type": "unload_model"})
	request.again = true
	var refused *StatusError
	if err := m.run(ctx, request); err != nil && (!errors.As(err, &refused) || refused.Status != http.StatusNotFound) {
		return fmt.Errorf("close model %s: %w", m.ID, err)
	}
	m.broken = fmt.Errorf("model %s is closed", m.ID)
	return nil
}
