package bundle

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// saved is an adapter that PEFT saved (testdata/adapters), and can be spoiled.
type saved struct {
	config map[string]any
	meta   map[string]map[string]any // the header, data_offsets left out
	data   map[string][]byte
	raw    []byte // instead of the weights
}

func loadSaved(t testing.TB, name string) *saved {
	t.Helper()
	dir := filepath.Join("testdata", "adapters", name)
	raw, err := os.ReadFile(filepath.Join(dir, "adapter_config.json"))
	require.NoError(t, err)
	s := &saved{meta: map[string]map[string]any{}, data: map[string][]byte{}}
	require.NoError(t, json.Unmarshal(raw, &s.config))
	weights, err := os.ReadFile(filepath.Join(dir, "adapter_model.safetensors"))
	require.NoError(t, err)
	tensors, err := readHeader(bytes.NewReader(weights), int64(len(weights)))
	require.NoError(t, err)
	body := weights[8+binary.LittleEndian.Uint64(weights):]
	for _, x := range tensors {
		s.meta[x.name] = map[string]any{"dtype": x.DType, "shape": x.Shape}
		s.data[x.name] = slices.Clone(body[x.Data[0]:x.Data[1]])
	}
	return s
}

func (s *saved) weights() []byte {
	if s.raw != nil {
		return s.raw
	}
	header := map[string]map[string]any{}
	var body []byte
	for _, name := range slices.Sorted(maps.Keys(s.data)) {
		header[name] = maps.Clone(s.meta[name])
		header[name]["data_offsets"] = []int{len(body), len(body) + len(s.data[name])}
		body = append(body, s.data[name]...)
	}
	text, _ := json.Marshal(header)
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text, body)
}

// pack makes the bundle of it.
func (s *saved) pack(t testing.TB) *Bundle {
	t.Helper()
	config, err := json.Marshal(s.config)
	require.NoError(t, err)
	m := Manifest{Kind: KindAdapter, Name: "a", Status: StatusCandidate, BaseModel: "models/base", CreatedAt: time.Unix(1, 0)}
	files, err := AdapterFiles(m, map[string][]byte{"adapter_config.json": config, "adapter_model.safetensors": s.weights()})
	require.NoError(t, err)
	b, err := Add(t.TempDir(), m, files)
	require.NoError(t, err)
	return b
}

const (
	q0 = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
	d1 = "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"
)

func (s *saved) drop(parts ...string) {
	for name := range s.data {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(name, p) }) {
			delete(s.data, name)
		}
	}
}

func (s *saved) rename(old, name string) {
	for n := range s.data {
		if strings.Contains(n, old) {
			m := strings.Replace(n, old, name, 1)
			s.meta[m], s.data[m] = s.meta[n], s.data[n]
			delete(s.data, n)
		}
	}
}

// TestCheckAdapter: what PEFT saved and vLLM serves right passes; everything
// else is refused, with the words that a user reads.
func TestCheckAdapter(t *testing.T) {
	const config, weights = "adapter/adapter_config.json: ", "adapter/adapter_model.safetensors: "
	for name, c := range map[string]struct {
		of    string // default: plain
		spoil func(*saved)
		want  string // the whole text after the bundle's name; "" = passes
	}{
		"plain":    {},
		"plain2":   {of: "plain2"},
		"rsLoRA":   {of: "rslora"},
		"lm_head":  {of: "lmhead"},
		"embedded": {of: "emb"},
		"patterns": {of: "pattern"},
		"one layer": {spoil: func(s *saved) {
			s.config["layers_to_transform"] = []int{1}
			s.drop("layers.0.")
		}},
		"a regular expression": {spoil: func(s *saved) { s.config["target_modules"] = ".*_proj" }},
		"gaussian":             {spoil: func(s *saved) { s.config["init_lora_weights"] = "gaussian" }},

		"DoRA":            {of: "dora", want: config + "use_dora: is true: vLLM does not serve DoRA: train without it"},
		"modules_to_save": {of: "mts", want: config + `modules_to_save: is ["lm_head"]: vLLM serves no whole modules beside LoRA: train with target_modules alone`},
		"a whole module":  {of: "mts", spoil: func(s *saved) { s.config["modules_to_save"] = nil }, want: weights + "tensor base_model.model.lm_head.weight: is no half of a LoRA adapter: train with target_modules alone"},
		"magnitudes": {of: "dora", spoil: func(s *saved) {
			s.config["use_dora"] = false
			s.drop("layers.1.", "magnitude")
			s.drop("mlp", "magnitude")
			s.drop("k_proj", "magnitude")
			s.drop("v_proj", "magnitude")
			s.drop("o_proj", "magnitude")
		},
			want: weights + "tensor base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector: is no half of a LoRA adapter: train with target_modules alone"},
		"rank":         {of: "rank32", want: config + "r: is 32, and the server takes ranks up to 16: train a smaller one, or start the server with --max-lora-rank and say so here with --max-rank"},
		"bias":         {of: "bias", want: config + `bias: is "all": vLLM serves no bias: train with none`},
		"lora_bias":    {spoil: func(s *saved) { s.config["lora_bias"] = true }, want: config + "lora_bias: is true: vLLM serves no bias: train without it"},
		"pissa":        {spoil: func(s *saved) { s.config["init_lora_weights"] = "pissa_niter_4" }, want: config + `init_lora_weights: is "pissa_niter_4", which changes the base model's weights: convert the adapter to a plain one`},
		"rank pattern": {of: "pattern", spoil: func(s *saved) { s.config["rank_pattern"] = map[string]int{"q_proj": 64} }, want: config + "rank_pattern: q_proj: is 64, and the server takes ranks up to 16: train a smaller one, or start the server with --max-lora-rank and say so here with --max-rank"},
		"rank of a pattern": {of: "pattern", spoil: func(s *saved) { s.config["rank_pattern"] = map[string]int{"layers.0.*q_proj": 2, "q_proj": 4} },
			want: weights + "tensor base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight: has shape [4 16], where the base model and rank 2 need [2 16]: the adapter is for another model"},
		"not LoRA":         {spoil: func(s *saved) { s.config["peft_type"] = "IA3" }, want: config + `peft_type: is "IA3": only LORA is served`},
		"no alpha":         {spoil: func(s *saved) { delete(s.config, "lora_alpha") }, want: config + "lora_alpha: is missing: the adapter's strength is not known"},
		"no targets":       {spoil: func(s *saved) { delete(s.config, "target_modules") }, want: config + "target_modules: is missing: list the modules that the adapter changes, such as q_proj"},
		"null targets":     {spoil: func(s *saved) { s.config["target_modules"] = nil }, want: config + "target_modules: is null: list the modules that the adapter changes, such as q_proj"},
		"empty targets":    {spoil: func(s *saved) { s.config["target_modules"] = []string{} }, want: config + "target_modules: is []: list the modules that the adapter changes, such as q_proj"},
		"wrong base":       {spoil: func(s *saved) { s.config["base_model_name_or_path"] = "models/other" }, want: config + `base_model_name_or_path: is "models/other", and the bundle is for "models/base": pack the adapter that belongs to it`},
		"no base":          {spoil: func(s *saved) { delete(s.config, "base_model_name_or_path") }, want: config + "base_model_name_or_path: is missing: name the model that the adapter was trained on"},
		"target not there": {spoil: func(s *saved) { s.drop("o_proj") }, want: weights + "target_modules names o_proj, and no tensor is for it: write the file again"},
		"a layer lacks":    {spoil: func(s *saved) { s.drop("o_proj", "layers.1.") }, want: weights + "target_modules names o_proj, and 1 of 2 modules have no weights, such as model.layers.1.self_attn.o_proj: write the file again"},
		"half":             {spoil: func(s *saved) { s.drop(d1) }, want: weights + "module model.layers.1.mlp.down_proj: has only one half of its adapter: lora_A and lora_B belong together; write the file again"},
		"unknown module": {of: "plain2", spoil: func(s *saved) { s.rename("q_proj", "xq_proj") }, want: weights + "module model.layers.0.self_attn.xq_proj: is not among target_modules (q_proj, v_proj): write the adapter with its own configuration\n" +
			weights + "module model.layers.1.self_attn.xq_proj: is not among target_modules (q_proj, v_proj): write the adapter with its own configuration\n" +
			weights + "target_modules names q_proj, and no tensor is for it: write the file again"},
		"a layer too many": {of: "plain2", spoil: func(s *saved) {
			s.config["layers_to_transform"] = []int{0, 7}
			s.rename("layers.1.self_attn.q_proj", "layers.7.self_attn.q_proj")
		}, want: weights + "module model.layers.7.self_attn.q_proj: the base model has no such module: the adapter is for another model"},
		"wrong shape of A": {spoil: func(s *saved) { s.meta[q0]["shape"], s.data[q0] = []int{8, 24}, make([]byte, 8*24*4) },
			want: weights + "tensor " + q0 + ": has shape [8 24], where the base model and rank 8 need [8 16]: the adapter is for another model"},
		"wrong shape of B": {spoil: func(s *saved) { s.meta[d1]["shape"], s.data[d1] = []int{17, 8}, make([]byte, 17*8*4) },
			want: weights + "tensor " + d1 + ": has shape [17 8], where the base model and rank 8 need [16 8]: the adapter is for another model"},
		"turned": {spoil: func(s *saved) { s.meta[q0]["shape"] = []int{16, 8} },
			want: weights + "tensor " + q0 + ": has shape [16 8], where the base model and rank 8 need [8 16]: the adapter is for another model"},
		"integers": {spoil: func(s *saved) { s.meta[q0]["dtype"] = "I32" }, want: weights + "tensor " + q0 + ": has dtype I32: use one of F32, F16, BF16"},
		"NaN": {spoil: func(s *saved) {
			binary.LittleEndian.PutUint32(s.data[d1][12:], math.Float32bits(float32(math.NaN())))
		}, want: weights + "tensor " + d1 + ": holds NaN or infinity: every answer would be noise; train it again"},
		"BF16 infinity": {spoil: func(s *saved) {
			s.meta[q0]["dtype"], s.data[q0] = "BF16", make([]byte, 8*16*2)
			binary.LittleEndian.PutUint16(s.data[q0][200:], 0x7f80)
		}, want: weights + "tensor " + q0 + ": holds NaN or infinity: every answer would be noise; train it again"},
		"no prefix": {of: "plain2", spoil: func(s *saved) {
			s.rename("base_model.model.model.layers.0.self_attn.q_proj.lora_A", "model.layers.0.self_attn.q_proj.lora_A")
		},
			want: weights + "tensor model.layers.0.self_attn.q_proj.lora_A.weight: does not begin with base_model.model.: save the adapter with PEFT\n" +
				weights + "module model.layers.0.self_attn.q_proj: has only one half of its adapter: lora_A and lora_B belong together; write the file again"},
		"cut":        {spoil: func(s *saved) { w := s.weights(); s.raw = w[:len(w)-4] }, want: weights + "its tensors have 17920 bytes and 17916 are there: the file is cut or damaged; write it again"},
		"too long":   {spoil: func(s *saved) { s.raw = append(s.weights(), 0) }, want: weights + "its tensors have 17920 bytes and 17921 are there: the file is cut or damaged; write it again"},
		"no header":  {spoil: func(s *saved) { s.raw = []byte("PK") }, want: weights + "is no safetensors file: it ends before its header: write it again"},
		"a pickle":   {spoil: func(s *saved) { s.raw = []byte("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.") }, want: weights + "is no safetensors file: its header is said to have 5088219219985302144 bytes, the file has 15: write it again"},
		"no tensors": {spoil: func(s *saved) { clear(s.data) }, want: weights + "holds no tensors: train it again"},
		"not JSON":   {spoil: func(s *saved) { s.raw = append([]byte{2, 0, 0, 0, 0, 0, 0, 0}, "[]"...) }, want: weights + "is no safetensors file: its header is not JSON: json: cannot unmarshal array into Go value of type map[string]json.RawMessage: write it again"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.of == "" {
				c.of = "plain"
			}
			s := loadSaved(t, c.of)
			if c.spoil != nil {
				c.spoil(s)
			}
			b := s.pack(t)
			require.NoError(t, Verify(b), "it is whole: only the check finds what is wrong")
			for _, base := range bases(t) {
				err := CheckAdapter(b, 16, base)
				if c.want == "" {
					require.NoError(t, err)
					continue
				}
				require.Error(t, err)
				assert.EqualError(t, err, "check adapter "+b.Dir+": "+c.want)
			}
		})
	}
	name, err := loadSaved(t, "plain").pack(t).AdapterBase()
	require.NoError(t, err)
	assert.Equal(t, "models/base", name)
}

// bases are the same shapes, from the weights' header and from config.json.
func bases(t testing.TB) []BaseShapes {
	t.Helper()
	dir := filepath.Join("testdata", "adapters", "base")
	weights, err := ReadBaseShapes(dir)
	require.NoError(t, err)
	config, err := shapesOfConfig(dir)
	require.NoError(t, err)
	assert.Equal(t, weights, config, "what the configuration implies is what the weights have")
	return []BaseShapes{weights, config}
}

func TestReadBaseShapes(t *testing.T) {
	dir := t.TempDir()
	_, err := ReadBaseShapes(dir)
	require.ErrorIs(t, err, ErrNoShapes)
	config := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600))
	}
	config(`{"model_type":"mamba"}`)
	_, err = ReadBaseShapes(dir)
	require.ErrorIs(t, err, ErrNoShapes)
	require.ErrorContains(t, err, `the modules of model_type "mamba" are not known`)
	config(`{"model_type":"llama","hidden_size":8,"intermediate_size":4,"num_hidden_layers":1,"num_attention_heads":2}`)
	_, err = ReadBaseShapes(dir)
	require.ErrorContains(t, err, "config.json lacks a size")
	config(`{"model_type":"llama","hidden_size":8,"intermediate_size":4,"num_hidden_layers":1,"num_attention_heads":2,"vocab_size":5}`)
	shapes, err := ReadBaseShapes(dir)
	require.NoError(t, err)
	assert.Equal(t, Shape{8, 8}, shapes["model.layers.0.self_attn.k_proj"], "without num_key_value_heads every head has its own")

	// A model in several files, with tied embeddings.
	s := loadSaved(t, "plain")
	clear(s.data)
	s.meta["model.embed_tokens.weight"], s.data["model.embed_tokens.weight"] = map[string]any{"dtype": "F32", "shape": []int{3, 2}}, make([]byte, 24)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.safetensors"), s.weights(), 0o600))
	index := filepath.Join(dir, "model.safetensors.index.json")
	require.NoError(t, os.WriteFile(index, []byte(`{"weight_map":{"model.embed_tokens.weight":"a.safetensors","x":"a.safetensors"}}`), 0o600))
	shapes, err = ReadBaseShapes(dir)
	require.NoError(t, err)
	assert.Equal(t, BaseShapes{"model.embed_tokens": {3, 2}, "lm_head": {3, 2}}, shapes)
	require.NoError(t, os.WriteFile(index, []byte(`{"weight_map":{"x":"../a.safetensors"}}`), 0o600))
	_, err = ReadBaseShapes(dir)
	require.ErrorContains(t, err, "is not the name of a file")
}

func FuzzReadHeader(f *testing.F) {
	raw, err := os.ReadFile(filepath.Join("testdata", "adapters", "plain2", "adapter_model.safetensors"))
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Add([]byte(`0000000{"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,4]}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		tensors, err := readHeader(r, int64(len(raw)))
		if err != nil {
			return
		}
		var sum int64
		for _, x := range tensors {
			sum += x.Data[1] - x.Data[0]
		}
		require.EqualValues(t, r.Len(), sum, "the tensors are the data")
		require.NoError(t, ignoreNumbers(checkFinite(r, tensors)))
	})
}

func ignoreNumbers(err error) error {
	if err != nil && strings.Contains(err.Error(), "holds NaN") {
		return nil
	}
	return err
}

func FuzzAdapterConfig(f *testing.F) {
	for _, name := range []string{"plain", "pattern", "mts"} {
		raw, err := os.ReadFile(filepath.Join("testdata", "adapters", name, "adapter_config.json"))
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add([]byte(`{"rank_pattern":{"(":1}}`))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		if c, err := parseAdapterConfig(raw); err == nil {
			_ = fmt.Sprint(c.check(16), c.rankOf("a.q_proj"))
		}
	})
}
