package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Shape is that of a module's weight: it makes Out numbers of In.
type Shape struct{ Out, In int64 }

// BaseShapes are the weights of a base model by the names of their modules, such
// as model.layers.0.self_attn.q_proj.
type BaseShapes map[string]Shape

// ErrNoShapes says that a folder holds nothing that tells a model's shapes.
var ErrNoShapes = errors.New("the shapes of the base model are not known")

// ReadBaseShapes reads the shapes of the model in dir: from the headers of its
// weights, or where there are none from its config.json, if its model type is one
// whose modules are known.
func ReadBaseShapes(dir string) (BaseShapes, error) {
	names, err := weightFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("read base model %s: %w", dir, err)
	}
	shapes := BaseShapes{}
	for _, name := range names {
		tensors, err := readHeaderOf(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read base model: %s: %w", filepath.Join(dir, name), err)
		}
		for _, t := range tensors {
			if module, ok := strings.CutSuffix(t.name, ".weight"); ok && len(t.Shape) == 2 {
				shapes[module] = Shape{t.Shape[0], t.Shape[1]}
			}
		}
	}
	if len(shapes) == 0 {
		return shapesOfConfig(dir)
	}
	if embed, ok := shapes[embedModule]; ok {
		if _, ok := shapes[headModule]; !ok { // tied to it
			shapes[headModule] = embed
		}
	}
	return shapes, nil
}

const (
	embedModule = "model.embed_tokens"
	headModule  = "lm_head"
)

// weightFiles are the safetensors files of a model; nil if it has none.
func weightFiles(dir string) ([]string, error) {
	raw, err := readUpTo(filepath.Join(dir, "model.safetensors.index.json"), maxHeader)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, "model.safetensors")); err == nil {
			return []string{"model.safetensors"}, nil
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("model.safetensors.index.json: %w", err)
	}
	var names []string
	for _, name := range index.Map {
		if name != filepath.Base(name) {
			return nil, fmt.Errorf("model.safetensors.index.json: %q is not the name of a file", name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func readHeaderOf(name string) ([]tensor, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return readHeader(f, info.Size())
}

func readUpTo(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: has %d bytes, at most %d are read", filepath.Base(name), info.Size(), limit)
	}
	return os.ReadFile(name)
}

// plainTypes are the model types whose layers have the modules of Llama.
var plainTypes = []string{"llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma", "gemma2"}

// shapesOfConfig makes the shapes that a model's config.json implies.
func shapesOfConfig(dir string) (BaseShapes, error) {
	raw, err := readUpTo(filepath.Join(dir, "config.json"), maxManifestBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoShapes, err)
	}
	var c struct {
		Type         string `json:"model_type"`
		Hidden       int64  `json:"hidden_size"`
		Intermediate int64  `json:"intermediate_size"`
		Layers       int    `json:"num_hidden_layers"`
		Heads        int64  `json:"num_attention_heads"`
		KV           *int64 `json:"num_key_value_heads"`
		HeadDim      *int64 `json:"head_dim"`
		Vocab        int64  `json:"vocab_size"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, "config.json"), err)
	}
	const maxLayers = 10_000
	switch {
	case !slices.Contains(plainTypes, c.Type):
		return nil, fmt.Errorf("%w: %s holds no safetensors weights, and the modules of model_type %q are not known", ErrNoShapes, dir, c.Type)
	case min(c.Hidden, c.Intermediate, int64(c.Layers), c.Heads, c.Vocab) <= 0 || c.Layers > maxLayers:
		return nil, fmt.Errorf("%w: %s lacks a size", ErrNoShapes, filepath.Join(dir, "config.json"))
	}
	kv, head := c.Heads, c.Hidden/c.Heads
	if c.KV != nil {
		kv = *c.KV
	}
	if c.HeadDim != nil {
		head = *c.HeadDim
	}
	shapes := BaseShapes{embedModule: {c.Vocab, c.Hidden}, headModule: {c.Vocab, c.Hidden}}
	for i := range c.Layers {
		layer := fmt.Sprintf("model.layers.%d.", i)
		shapes[layer+"self_attn.q_proj"] = Shape{c.Heads * head, c.Hidden}
		shapes[layer+"self_attn.k_proj"] = Shape{kv * head, c.Hidden}
		shapes[layer+"self_attn.v_proj"] = Shape{kv * head, c.Hidden}
		shapes[layer+"self_attn.o_proj"] = Shape{c.Hidden, c.Heads * head}
		shapes[layer+"mlp.gate_proj"] = Shape{c.Intermediate, c.Hidden}
		shapes[layer+"mlp.up_proj"] = Shape{c.Intermediate, c.Hidden}
		shapes[layer+"mlp.down_proj"] = Shape{c.Hidden, c.Intermediate}
	}
	return shapes, nil
}
