package genai

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// ids reads token ids: a list of integers, or JSON of one. nil when there are
// none or one is no token id.
func (r *reader) ids(f field) []int32 {
	if packed, ok := r.packed(f); ok {
		return trajectory.UnpackIDs(packed)
	}
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

// rounding is how far above 0 a log-probability may be.
const rounding = 1e-3

// logprobs reads the log probabilities of generated tokens, likewise.
func (r *reader) logprobs(f field) []float32 {
	if packed, ok := r.packed(f); ok {
		values := trajectory.UnpackLogprobs(packed)
		if slices.ContainsFunc(values, func(v float32) bool { return !isLogprob(float64(v)) }) {
			return nil
		}
		return values
	}
	if raw := r.text(f); strings.HasPrefix(raw, "[{") {
		return logprobsIn(raw)
	}
	var out []float32
	ok := r.list(f, func(n float64) bool {
		out = append(out, float32(n))
		return isLogprob(n)
	})
	if !ok {
		return nil
	}
	return out
}

func isLogprob(n float64) bool { return n <= rounding && !math.IsInf(n, 0) }

// packed is a field that is bytes; false for any other.
func (r *reader) packed(f field) ([]byte, bool) {
	if r.ranks[f] == 0 || r.values[f].Type() != pcommon.ValueTypeBytes {
		return nil, false
	}
	return r.values[f].Bytes().AsRaw(), true
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

// tokenIDs reads token ids out of an attribute: a list, or JSON of one; of a
// list of lists the first.
func tokenIDs(v pcommon.Value) []int32 { return idsIn(v.AsString()) }

func idsIn(raw string) []int32 {
	if !strings.HasPrefix(raw, "[") {
		return nil
	}
	if opened := opened(raw); opened != raw {
		raw = opened
	} else if strings.HasPrefix(raw, "[[") {
		return nil // of several choices
	}
	var ids []int32
	if json.Unmarshal([]byte(raw), &ids) != nil {
		return nil
	}
	for _, id := range ids {
		if id < 0 {
			return nil
		}
	}
	return ids
}

// logprobsIn reads the log probabilities out of a JSON list of tokens, as
// OpenAI's API returns them; nil where one is missing.
func logprobsIn(raw string) []float32 {
	if !strings.HasPrefix(raw, "[") {
		return nil
	}
	var tokens []struct{ Logprob *float32 }
	if json.Unmarshal([]byte(raw), &tokens) != nil {
		return nil
	}
	out := make([]float32, 0, len(tokens))
	for _, t := range tokens {
		if t.Logprob == nil || *t.Logprob > 0 {
			return nil
		}
		out = append(out, *t.Logprob)
	}
	return out
}
