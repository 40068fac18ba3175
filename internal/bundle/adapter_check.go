package bundle

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// AdapterBase is the base model that an adapter's own configuration names, in
// the bundle's adapter_config.json.
func (b *Bundle) AdapterBase() (string, error) {
	c, err := b.adapterConfig()
	return c.BaseModel, err
}

// CheckAdapter checks what a server would refuse late, or load without a word
// and answer wrongly: features that vLLM does not have, a rank above maxRank, a
// damaged file, numbers that are none, modules that the base model does not have
// or that are missing, and weights of the wrong shape. b is verified already.
//
// All problems of the configuration are returned together, else a few of the
// weights'.
func CheckAdapter(b *Bundle, maxRank int, base BaseShapes) error {
	if b.Manifest.Kind != KindAdapter {
		return fmt.Errorf("check adapter %s: is a bundle of kind %q: name one that holds an adapter", b.Dir, b.Manifest.Kind)
	}
	c, err := b.adapterConfig()
	if err != nil {
		return fmt.Errorf("check adapter %s: %w", b.Dir, err)
	}
	if c.BaseModel != b.Manifest.BaseModel && c.BaseModel != "" {
		err = fmt.Errorf("%s: base_model_name_or_path: is %q, and the bundle is for %q: pack the adapter that belongs to it", AdapterConfigFile, c.BaseModel, b.Manifest.BaseModel)
	}
	err = errors.Join(err, c.check(maxRank))
	if err == nil { // else most of what the weights have is wrong for the same reason
		err = checkWeights(b.Dir, c, base)
	}
	if err != nil {
		return fmt.Errorf("check adapter %s: %w", b.Dir, err)
	}
	return nil
}

func (b *Bundle) adapterConfig() (adapterConfig, error) {
	raw, err := readUpTo(filepath.Join(b.Dir, filepath.FromSlash(AdapterConfigFile)), maxManifestBytes)
	if err != nil {
		return adapterConfig{}, err
	}
	return parseAdapterConfig(raw)
}

func checkWeights(dir string, c adapterConfig, base BaseShapes) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(AdapterWeightsFile)))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	tensors, err := readHeader(f, info.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", AdapterWeightsFile, err)
	}
	if len(tensors) == 0 {
		return fmt.Errorf("%s: holds no tensors: train it again", AdapterWeightsFile)
	}
	faults := checkTensors(c, tensors, base)
	if err := checkFinite(f, tensors); err != nil {
		faults = append(faults, err)
	}
	const few = 8
	more := len(faults) - few
	if more > 0 {
		faults = append(faults[:few], fmt.Errorf("and %d more of that kind", more))
	}
	for i, fault := range faults {
		faults[i] = fmt.Errorf("%s: %w", AdapterWeightsFile, fault)
	}
	return errors.Join(faults...)
}

// halves are the two halves of one module's adapter.
type halves struct{ a, b *tensor }

// The ends of tensor names, as PEFT writes them.
const (
	tensorPrefix = "base_model.model."
	suffixA      = ".lora_A.weight"
	suffixB      = ".lora_B.weight"
	embedA       = ".lora_embedding_A"
	embedB       = ".lora_embedding_B"
	// baseLayer is a copy of the base model's own weight beside an adapted
	// embedding, which servers leave out.
	baseLayer = ".base_layer.weight"
)

func checkTensors(c adapterConfig, tensors []tensor, base BaseShapes) (faults []error) {
	pairs := map[string]*halves{}
	embeds := map[string]bool{}
	half := func(module string) *halves {
		if pairs[module] == nil {
			pairs[module] = &halves{}
		}
		return pairs[module]
	}
	for i := range tensors {
		t := &tensors[i]
		name, ok := strings.CutPrefix(t.name, tensorPrefix)
		if !ok {
			faults = append(faults, fmt.Errorf("tensor %s: does not begin with %s: save the adapter with PEFT", t.name, tensorPrefix))
			continue
		}
		switch {
		case strings.HasSuffix(name, suffixA):
			half(strings.TrimSuffix(name, suffixA)).a = t
		case strings.HasSuffix(name, suffixB):
			half(strings.TrimSuffix(name, suffixB)).b = t
		case strings.HasSuffix(name, embedA):
			half(strings.TrimSuffix(name, embedA)).a = t
			embeds[strings.TrimSuffix(name, embedA)] = true
		case strings.HasSuffix(name, embedB):
			half(strings.TrimSuffix(name, embedB)).b = t
			embeds[strings.TrimSuffix(name, embedB)] = true
		case strings.HasSuffix(name, baseLayer):
		default:
			faults = append(faults, fmt.Errorf("tensor %s: is no half of a LoRA adapter: train with target_modules alone", t.name))
		}
	}
	for _, module := range slices.Sorted(maps.Keys(pairs)) {
		if err := checkPair(c, module, pairs[module], embeds[module], base); err != nil {
			faults = append(faults, err)
		}
	}
	return append(faults, checkCoverage(c, pairs, base)...)
}

// checkPair checks one module: both halves, their type, their rank, their shape.
func checkPair(c adapterConfig, module string, p *halves, embed bool, base BaseShapes) error {
	if p.a == nil || p.b == nil {
		return fmt.Errorf("module %s: has only one half of its adapter: lora_A and lora_B belong together; write the file again", module)
	}
	for _, t := range []*tensor{p.a, p.b} {
		if !slices.Contains(loadable, t.DType) {
			return fmt.Errorf("tensor %s: has dtype %s: use one of %s", t.name, t.DType, strings.Join(loadable, ", "))
		}
	}
	if names, listed, _ := c.targets(); listed && !slices.ContainsFunc(names, func(n string) bool { return isTarget(module, n) }) {
		return fmt.Errorf("module %s: is not among target_modules (%s): write the adapter with its own configuration", module, strings.Join(names, ", "))
	}
	shape, ok := base[module]
	if !ok {
		return fmt.Errorf("module %s: the base model has no such module: the adapter is for another model", module)
	}
	if embed {
		shape = Shape{Out: shape.In, In: shape.Out}
	}
	rank := c.rankOf(module)
	if want := []int64{rank, shape.In}; !slices.Equal(p.a.Shape, want) {
		return fmt.Errorf("tensor %s: has shape %v, where the base model and rank %d need %v: the adapter is for another model", p.a.name, p.a.Shape, rank, want)
	}
	if want := []int64{shape.Out, rank}; !slices.Equal(p.b.Shape, want) {
		return fmt.Errorf("tensor %s: has shape %v, where the base model and rank %d need %v: the adapter is for another model", p.b.name, p.b.Shape, rank, want)
	}
	return nil
}

// isTarget says whether a module is one that target_modules names.
func isTarget(module, target string) bool {
	return module == target || strings.HasSuffix(module, "."+target)
}

// checkCoverage finds targets without weights: a server takes them for unchanged.
func checkCoverage(c adapterConfig, pairs map[string]*halves, base BaseShapes) (faults []error) {
	names, _, _ := c.targets()
	for _, target := range names {
		var missing []string
		has := 0
		for _, module := range slices.Sorted(maps.Keys(base)) {
			if !isTarget(module, target) {
				continue
			}
			if pairs[module] == nil {
				missing = append(missing, module)
			} else {
				has++
			}
		}
		switch {
		case has == 0:
			faults = append(faults, fmt.Errorf("target_modules names %s, and no tensor is for it: write the file again", target))
		case len(missing) > 0 && c.everyLayer():
			faults = append(faults, fmt.Errorf("target_modules names %s, and %d of %d modules have no weights, such as %s: write the file again", target, len(missing), len(missing)+has, missing[0]))
		}
	}
	return faults
}
