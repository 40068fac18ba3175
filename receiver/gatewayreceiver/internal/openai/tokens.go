package openai

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// Tokens is what a server tells of the tokens of an answer: the prompt's ids, the
// ids that were generated, and the log-probability of each of those.
type Tokens struct {
	Prompt   []int32
	IDs      []int32
	Logprobs []float32
}

// Why an answer has no [Tokens] that can be trusted.
const (
	NoneAbsent  = "absent"          // the server told none, or not all of them
	NoneChoices = "several_choices" // which of the answers went on is not known
	NoneLengths = "lengths_differ"  // not one log-probability each
	NoneLarge   = "too_large"       // more than are kept
)

// maxTokens bounds the ids that are kept of one answer, its prompt's included.
const maxTokens = 4 << 20

// Tokens returns the tokens of the answer as far as it came, or why there are
// none.
func (a *Answer) Tokens() (t Tokens, none string) {
	switch {
	case a.manyTokens:
		return t, NoneLarge
	case len(a.Choices) > 1:
		return t, NoneChoices
	case len(a.Choices) == 0 || len(a.tokens.Prompt) == 0 || len(a.tokens.IDs) == 0 || a.oddTokens:
		return t, NoneAbsent
	case len(a.tokens.IDs) != len(a.tokens.Logprobs):
		return t, NoneLengths
	}
	return a.tokens, ""
}

// HasIDs says that the server told ids of any kind.
func (a *Answer) HasIDs() bool { return len(a.tokens.Prompt) > 0 || len(a.tokens.IDs) > 0 }

// TokenCount is how many numbers are held.
func (a *Answer) TokenCount() int {
	return len(a.tokens.Prompt) + len(a.tokens.IDs) + len(a.tokens.Logprobs)
}

// promptIDs takes the ids of the prompt, which come once.
func (a *Answer) promptIDs(v gjson.Result) {
	if !v.IsArray() {
		return
	}
	a.oddTokens = a.oddTokens || len(a.tokens.Prompt) > 0
	a.tokens.Prompt = a.ids(a.tokens.Prompt, v)
}

// generated takes the next ids and log-probabilities of a choice.
func (a *Answer) generated(ids, logprobs gjson.Result) {
	if ids.IsArray() {
		a.tokens.IDs = a.ids(a.tokens.IDs, ids)
	}
	if !logprobs.IsObject() {
		return
	}
	room := maxTokens - a.TokenCount()
	logprobs.Get("content").ForEach(func(_, token gjson.Result) bool {
		n := token.Get("logprob")
		if n.Type != gjson.Number || room <= 0 {
			a.oddTokens = a.oddTokens || room > 0
			a.manyTokens = a.manyTokens || room <= 0
			return false
		}
		room--
		a.tokens.Logprobs = append(a.tokens.Logprobs, float32(n.Num))
		return true
	})
}

// ids appends a list of ids, all of it or nothing.
func (a *Answer) ids(dst []int32, list gjson.Result) []int32 {
	room := maxTokens - a.TokenCount()
	n := len(dst)
	list.ForEach(func(_, v gjson.Result) bool {
		id, err := strconv.ParseInt(v.Raw, 10, 32)
		switch {
		case err != nil || id < 0:
			a.oddTokens = true
			return false
		case room == 0:
			a.manyTokens = true
			return false
		}
		room--
		dst = append(dst, int32(id))
		return true
	})
	if a.oddTokens || a.manyTokens {
		return dst[:n]
	}
	return dst
}
