package genai

import (
	"encoding/json"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// ids reads token ids: a list of integers, or JSON of one. nil when there are
// none or one is no token id.
func (r *reader) ids(f field) []int32 {
	var out []int32
	ok := r.list(f, func(n float64) bool {
		out = append(out, int32(n))
		return n == math.Trunc(n) && n >= 0 && n <= math.MaxInt32
	})
	if !ok {
		return nil
	}
	return out
}

// logprobs reads the log probabilities of generated tokens, likewise.
func (r *reader) logprobs(f field) []float32 {
	var out []float32
	ok := r.list(f, func(n float64) bool {
		out = append(out, float32(n))
		return n <= 0 && !math.IsInf(n, 0)
	})
	if !ok {
		return nil
	}
	return out
}

// list calls each for the numbers of a list; false when it is none.
func (r *reader) list(f field, each func(float64) bool) bool {
	if r.ranks[f] == 0 {
		return false
	}
	v := r.values[f]
	if v.Type() != pcommon.ValueTypeSlice {
		var ns []float64
		if json.Unmarshal([]byte(v.AsString()), &ns) != nil {
			return false
		}
		for _, n := range ns {
			if !each(n) {
				return false
			}
		}
		return true
	}
	for _, e := range v.Slice().All() {
		n := float64(e.Int())
		if e.Type() == pcommon.ValueTypeDouble {
			n = e.Double()
		} else if e.Type() != pcommon.ValueTypeInt {
			return false
		}
		if !each(n) {
			return false
		}
	}
	return true
}

// flag is a boolean, nil when it is not known.
func (r *reader) flag(f field) *bool {
	if r.ranks[f] == 0 || r.values[f].Type() != pcommon.ValueTypeBool {
		return nil
	}
	b := r.values[f].Bool()
	return &b
}
