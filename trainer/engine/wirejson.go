package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// The messages of the JSON generation that carry rows.
type (
	passJSON struct {
		Model    string     `json:"model_id"`
		Forward  *passInput `json:"forward_input,omitempty"`
		Backward *passInput `json:"forward_backward_input,omitempty"`
		Sequence int        `json:"seq_id"`
	}
	passInput struct {
		Data   []datumJSON        `json:"data"`
		Loss   string             `json:"loss_fn"`
		Config map[string]float64 `json:"loss_fn_config,omitempty"`
	}
	datumJSON struct {
		Input  inputJSON             `json:"model_input"`
		Inputs map[string]tensorJSON `json:"loss_fn_inputs"`
	}
	inputJSON struct {
		Chunks []chunkJSON `json:"chunks"`
	}
	chunkJSON struct {
		Type   string  `json:"type"`
		Tokens []int32 `json:"tokens"`
	}
	tensorJSON struct {
		Data any `json:"data"` // []int32 or []float32
	}
)

// pass is a forward pass over rows, or one forward and backward.
type pass struct {
	model    string
	sequence int
	forward  bool // only
	loss     string
	config   map[string]float64
	data     []datum
}

func (p *pass) json() (path string, message passJSON) {
	in := &passInput{Loss: p.loss, Config: p.config}
	for i := range p.data {
		d := &p.data[i]
		inputs := map[string]tensorJSON{"target_tokens": {d.targets}}
		for name, values := range d.inputs {
			inputs[name] = tensorJSON{values}
		}
		in.Data = append(in.Data, datumJSON{inputJSON{[]chunkJSON{{"encoded_text", d.input}}}, inputs})
	}
	if p.forward {
		return "forward", passJSON{Model: p.model, Forward: in, Sequence: p.sequence}
	}
	return "forward_backward", passJSON{Model: p.model, Backward: in, Sequence: p.sequence}
}

// passed is the answer to a pass, one entry a row.
type passed struct {
	rows    []outputs
	metrics map[string]float64
}

// outputs are per token; nil = the server did not say.
type outputs struct {
	logprobs []float32
	losses   []float32 // times weight, not normalised
	values   []float32 // of the critic
}

// parsePassJSON reads the result of a pass.
func parsePassJSON(body []byte) (passed, error) {
	type tensor struct {
		Data numbers `json:"data"`
	}
	var said struct {
		Outputs []struct {
			Logprobs tensor `json:"logprobs"`
			Losses   tensor `json:"elementwise_loss"`
			Values   tensor `json:"values"`
		} `json:"loss_fn_outputs"`
		Metrics map[string]float64 `json:"metrics"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return passed{}, err
	}
	out := passed{metrics: said.Metrics}
	for _, o := range said.Outputs {
		out.rows = append(out.rows, outputs{o.Logprobs.Data, o.Losses.Data, o.Values.Data})
	}
	return out, nil
}

// numbers is a JSON list of numbers and nothing else: null is not 0.
type numbers []float32

func (n *numbers) UnmarshalJSON(raw []byte) error {
	list, ok := bytes.CutPrefix(raw, []byte("["))
	if !ok {
		return errors.New("data is not a list of numbers")
	}
	list = bytes.TrimSpace(bytes.TrimSuffix(list, []byte("]")))
	*n = numbers{}
	if len(list) == 0 {
		return nil
	}
	out := make(numbers, 0, bytes.Count(list, []byte(","))+1)
	for item := range bytes.SplitSeq(list, []byte(",")) {
		v, err := strconv.ParseFloat(string(bytes.TrimSpace(item)), 32)
		if err != nil {
			return fmt.Errorf("data has %q where a number belongs", clip(string(item)))
		}
		out = append(out, float32(v))
	}
	*n = out
	return nil
}
