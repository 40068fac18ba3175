package sequence

import (
	"cmp"
	"math"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// call is a model call on its way into a row.
type call struct {
	step     *trajectory.Step
	model    *trajectory.ModelCall
	left     string // why it is not trained on; "" = it is
	source   Source
	base     int       // step whose prompt and reply the prompt begins with; -1 = none
	prompt   []int32   // what follows the base
	reply    []int32   // nil = not known
	wrote    []bool    // per id of reply: an assistant wrote it; nil = all
	logprobs []float32 // one per id of reply; nil = none to use
}

// calls reads the model calls and what was captured of them; the second result
// says why the trajectory cannot be trained on at all.
func (b *builder) calls() ([]*call, string) {
	var out []*call
	whole := map[int]bool{} // steps whose prompt and reply were captured
	for i := range b.t.Steps {
		s := &b.t.Steps[i]
		if s.Kind != trajectory.KindModel {
			continue
		}
		c := &call{step: s, model: s.Model, base: -1, left: b.unwanted(s)}
		if reason := b.captured(c); reason != "" {
			return nil, reason
		}
		if c.base >= 0 && !whole[c.base] {
			c.base, c.prompt, c.source = -1, nil, PromptRendered // it begins with what is not known
		}
		if c.left == "" && c.logprobs == nil && b.o.Foreign != nil && b.o.Foreign(s) {
			c.left = LeftOtherPolicy
		}
		whole[i] = c.source == Captured
		out = append(out, c)
	}
	return out, ""
}

// unwanted says why a call is not to be trained on, whatever its tokens.
func (b *builder) unwanted(s *trajectory.Step) string {
	other := ""
	if b.o.Use != nil {
		other = b.o.Use(s)
	}
	switch {
	case len(s.Model.Output) == 0 && len(s.Model.TokenIDs) == 0:
		return LeftNoReply
	case !s.Trainable && len(s.Reasons) > 0:
		return string(s.Reasons[0])
	case !s.Trainable:
		return LeftStepNoReason
	case other != "":
		return other
	case s.Model.Constrained != nil && *s.Model.Constrained && !b.o.Constrained:
		return LeftConstrained
	}
	return ""
}

// captured takes over recorded ids. Ids that cannot be right are no accident of
// one call: the trajectory is skipped.
func (b *builder) captured(c *call) string {
	m := c.model
	if !b.known(m.PromptTokenIDs) || !b.known(m.TokenIDs) {
		return SkipVocabulary
	}
	if len(m.Logprobs) > 0 && len(m.Logprobs) != len(m.TokenIDs) {
		return SkipLengths
	}
	possible := true
	for _, l := range m.Logprobs {
		switch {
		case math.IsNaN(float64(l)), math.IsInf(float64(l), 0), l > maxLogprob:
			return SkipLogprobs
		case l < minLogprob:
			possible = false
		}
	}
	if m.PromptBase != nil {
		c.base = int(*m.PromptBase)
	}
	if len(m.TokenIDs) == 0 || (c.base < 0 && len(m.PromptTokenIDs) == 0) {
		c.base = -1
		if len(m.TokenIDs) > 0 {
			c.source, c.reply = PromptRendered, m.TokenIDs
		}
	} else {
		c.source, c.prompt, c.reply = Captured, m.PromptTokenIDs, m.TokenIDs
	}
	if c.reply != nil && len(m.Logprobs) > 0 && possible && b.comparable(m) {
		c.logprobs = m.Logprobs
	}
	return ""
}

const (
	maxLogprob = 1e-3 // rounding; a log-probability is at most 0
	minLogprob = -999 // servers write -9999 for a token that their settings made impossible
)

func (b *builder) known(ids []int32) bool {
	for _, id := range ids {
		if id < 0 || (b.o.Vocabulary > 0 && int(id) >= b.o.Vocabulary) {
			return false
		}
	}
	return true
}

// comparable says whether recorded log-probabilities are of the distribution that
// the engine computes: raw ones are of the model itself, temperature 1; processed
// ones of what the request's temperature, top-p and top-k made of it. Where the
// mode is not known, only a request that leaves both the same will do. A
// temperature that is not shown is not taken for 1; top-p and top-k that are not
// shown are taken for none.
func (b *builder) comparable(m *trajectory.ModelCall) bool {
	want := cmp.Or(b.o.Temperature, 1)
	whole := (m.TopP == nil || *m.TopP >= 1) && (m.TopK == nil || *m.TopK <= 0)
	asked := m.Temperature != nil && *m.Temperature == want
	constrained := m.Constrained != nil && *m.Constrained
	switch {
	case constrained:
		return false
	case m.LogprobsMode == "raw":
		return want == 1
	case m.LogprobsMode == "processed":
		return whole && asked
	}
	return whole && asked && want == 1
}
