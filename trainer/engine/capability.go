package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Wire is a generation of the protocol.
type Wire string

// The generations.
const (
	JSON     Wire = "json"     // SkyRL 0.3.0, our worker
	Protobuf Wire = "protobuf" // SkyRL 0.4.0 and later: passes over rows are protobuf
)

// Normalization is what a server makes of the summed token losses of the rows
// that come before an optimizer step.
type Normalization string

// The normalizations. n is the sum of a row's weights on the wire.
const (
	Sum     Normalization = "sum"      // Σ over rows: our worker, SkyRL on Megatron and FSDP
	RowMean Normalization = "row_mean" // 1/N Σ over N rows of (sum / n): SkyRL on JAX
)

// Capabilities are what is known of a server.
type Capabilities struct {
	Models []string // that it can train
	Wire   Wire

	Context int // tokens of a row that the model takes, of several the least; 0 = not known

	// Our worker says these of itself; of other servers they are measured with
	// the first model.
	Normalize  Normalization // "" = not known yet
	Idempotent bool          // the same (model, sequence number) twice is one request

	// Worker says that the server is our worker, with its extensions: a critic,
	// clipped gradients, a scale of the adapter. The rest is known of it only.
	Worker      bool
	Losses      []string // nil = not known
	Vocabulary  int      // of the base model; 0 = not known
	Fingerprint string   // of the base model; "" = not known
	Tokenizer   string   // SHA-256 of its tokenizer; "" = not known
	Device      string   // "" = not known
}

// Capabilities of the server.
func (c *Client) Capabilities() Capabilities {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.caps
	out.Models, out.Losses = slices.Clone(out.Models), slices.Clone(out.Losses)
	return out
}

// capabilities is the answer to get_server_capabilities. The part under
// tracegrad is our worker's.
type capabilities struct {
	Models []struct {
		Name    string `json:"model_name"`
		Context int    `json:"max_context_length"`
	} `json:"supported_models"`
	Own *struct {
		Normalize   Normalization `json:"normalisation"`
		Losses      []string      `json:"loss_fns"`
		Vocabulary  int           `json:"vocabulary"`
		Fingerprint string        `json:"fingerprint"`
		Tokenizer   string        `json:"tokenizer_hash"`
		Device      string        `json:"device"`
	} `json:"tracegrad"`
}

func (c *Client) learn(ctx context.Context) error {
	var said capabilities
	if err := c.get(ctx, "get_server_capabilities", &said); err != nil {
		return err
	}
	for _, m := range said.Models {
		if m.Name != "" {
			c.caps.Models = append(c.caps.Models, m.Name)
		}
		if m.Context > 0 && (c.caps.Context == 0 || m.Context < c.caps.Context) {
			c.caps.Context = m.Context
		}
	}
	if own := said.Own; own != nil {
		c.caps.Worker, c.caps.Idempotent, c.caps.Normalize, c.caps.Losses = true, true, own.Normalize, own.Losses
		c.caps.Vocabulary, c.caps.Fingerprint, c.caps.Tokenizer, c.caps.Device = own.Vocabulary, own.Fingerprint, own.Tokenizer, own.Device
	}
	if c.options.Normalize != "" {
		c.caps.Normalize = c.options.Normalize
	}
	switch c.caps.Normalize {
	case "", Sum, RowMean:
	default:
		return fmt.Errorf("the normalization %q is not known; use %s or %s", c.caps.Normalize, Sum, RowMean)
	}
	switch c.caps.Wire = c.options.Wire; c.caps.Wire {
	case "":
		if err := c.generation(ctx); err != nil {
			return err
		}
	case JSON, Protobuf:
	default:
		return fmt.Errorf("the generation %q is not known; use %s or %s", c.caps.Wire, JSON, Protobuf)
	}
	c.caps.Idempotent = c.caps.Idempotent || c.caps.Wire == Protobuf
	return nil
}

// generation asks for a pass over a row by a model that no server has, in JSON.
// The older generation looks for the model, the newer one turns JSON away.
func (c *Client) generation(ctx context.Context) error {
	request := jsonCall("forward_backward", passJSON{
		Model: "tracegrad_asks", Sequence: 1,
		Backward: &passInput{Loss: "cross_entropy", Data: []datumJSON{{
			Input: inputJSON{[]chunkJSON{{"encoded_text", []int32{1}}}}, Inputs: map[string]tensorJSON{"target_tokens": {[]int32{1}}, "weights": {[]float32{0}}},
		}}},
	})
	request.again = true
	_, err := c.do(ctx, request)
	var refused *StatusError
	if !errors.As(err, &refused) {
		if err == nil {
			err = errors.New("forward_backward: the server takes rows for a model that it does not have")
		}
		return err
	}
	switch {
	case refused.Status == http.StatusUnsupportedMediaType:
		c.caps.Wire = Protobuf
	case refused.Status == http.StatusNotFound && strings.Contains(strings.ToLower(refused.Detail), "model"):
		c.caps.Wire = JSON
	default:
		return fmt.Errorf("find out the protocol's generation: %w", err)
	}
	return nil
}
