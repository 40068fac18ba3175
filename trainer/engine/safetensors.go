package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// tensors is what the weights of an adapter are about.
type tensors struct {
	modules []string // last parts of the adapted modules' names, sorted: PEFT's target_modules
}

const headerLimit = 64 << 20

// readTensors checks the weights of a LoRA adapter in the safetensors format: 8
// bytes of length, a JSON header, numbers. Every adapted module has both halves
// of the rank, under names that vLLM and PEFT know, and every number is finite.
func readTensors(file []byte, rank int) (tensors, error) {
	if len(file) < 8 {
		return tensors{}, errors.New("it is shorter than its header")
	}
	length := binary.LittleEndian.Uint64(file)
	if length > headerLimit || length > uint64(len(file)-8) {
		return tensors{}, fmt.Errorf("its header has %d bytes of a file of %d", length, len(file))
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(file[8:8+length], &header); err != nil {
		return tensors{}, fmt.Errorf("read its header: %w", err)
	}
	delete(header, "__metadata__")
	halves := map[string]int{}
	data := file[8+length:]
	for name, raw := range header {
		module, half, err := loraName(name)
		if err != nil {
			return tensors{}, err
		}
		halves[module] |= half
		if err := checkTensor(raw, data, rank, half); err != nil {
			return tensors{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(halves) == 0 {
		return tensors{}, errors.New("it has no tensors")
	}
	var out tensors
	for module, have := range halves {
		if have != 3 {
			return tensors{}, fmt.Errorf("%s has only one half of its adapter", module)
		}
		out.modules = append(out.modules, module[strings.LastIndexByte(module, '.')+1:])
	}
	slices.Sort(out.modules)
	out.modules = slices.Compact(out.modules)
	return out, nil
}

// loraName takes base_model.model.<module>.lora_A.weight apart.
func loraName(name string) (module string, half int, err error) {
	rest, ok := strings.CutPrefix(name, "base_model.model.")
	if a, isA := strings.CutSuffix(rest, ".lora_A.weight"); ok && isA && a != "" {
		return a, 1, nil
	}
	if b, isB := strings.CutSuffix(rest, ".lora_B.weight"); ok && isB && b != "" {
		return b, 2, nil
	}
	return "", 0, fmt.Errorf("%q is not a name of an adapter's tensor", name)
}

func checkTensor(raw json.RawMessage, data []byte, rank, half int) error {
	var t struct {
		Kind    string   `json:"dtype"`
		Shape   []uint64 `json:"shape"`
		Offsets []uint64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		return err
	}
	width := map[string]uint64{"F32": 4, "F16": 2, "BF16": 2}[t.Kind]
	switch {
	case width == 0:
		return fmt.Errorf("numbers of kind %q, not floats", t.Kind)
	case len(t.Shape) != 2 || t.Shape[half-1] != uint64(rank):
		return fmt.Errorf("its shape is %v where the rank is %d", t.Shape, rank)
	case len(t.Offsets) != 2 || t.Offsets[0] > t.Offsets[1] || t.Offsets[1] > uint64(len(data)):
		return fmt.Errorf("it is at bytes %v of %d", t.Offsets, len(data))
	}
	size := t.Offsets[1] - t.Offsets[0]
	if per := width * uint64(rank); size%per != 0 || size/per != t.Shape[2-half] {
		return fmt.Errorf("it has %d bytes for a shape of %v", size, t.Shape)
	}
	if !allFinite(data[t.Offsets[0]:t.Offsets[1]], t.Kind) {
		return errors.New("it has a number that is not finite")
	}
	return nil
}

// allFinite says that no number has an exponent of all ones.
func allFinite(data []byte, kind string) bool {
	if kind == "F32" {
		for ; len(data) > 0; data = data[4:] {
			if v := math.Float32frombits(binary.LittleEndian.Uint32(data)); v-v != 0 {
				return false
			}
		}
		return true
	}
	exponent := uint16(0x7f80)
	if kind == "F16" {
		exponent = 0x7c00
	}
	for ; len(data) > 0; data = data[2:] {
		if binary.LittleEndian.Uint16(data)&exponent == exponent {
			return false
		}
	}
	return true
}
