// Package openai reads OpenAI chat completions: the request, the answer, and
// the stream of chunks that make an answer, and writes their messages in the
// form of the GenAI semantic conventions.
//
// Everything is read leniently, since compatible servers differ: what is not
// understood is left out, never guessed. Strings are copied as the raw JSON they
// arrived in.
package openai

import (
	"errors"
	"strings"

	"github.com/tidwall/gjson"
)

// Request is what a span shows of a chat-completions request. Absent numbers
// are nil.
type Request struct {
	Model            string
	Stream           bool
	Temperature      *float64
	TopP             *float64
	FrequencyPenalty *float64
	PresencePenalty  *float64
	MinP             *float64
	TopK             *int64
	MaxTokens        *int64
	Seed             *int64
	Choices          *int64 // n
	Stop             []string
	JSON             bool // the answer must be JSON

	// Constraints are the members that keep the model from its own choice of
	// tokens, see [constraint]; nil = none.
	Constraints []string

	Messages string // semconv input messages, a JSON array; "" = none or not asked for
	Tools    string // semconv tool definitions, a JSON array; "" = none or not asked for
}

var errNotObject = errors.New("is not a JSON object")

// ParseRequest reads a request body; content says whether messages and tools
// are wanted.
func ParseRequest(body []byte, content bool) (Request, error) {
	var r Request
	if !gjson.ValidBytes(body) {
		return r, errNotObject
	}
	doc := gjson.ParseBytes(body)
	if !doc.IsObject() {
		return r, errNotObject
	}
	doc.ForEach(func(key, v gjson.Result) bool {
		r.constrain(key.String(), v)
		switch key.String() {
		case "messages":
			if content && v.IsArray() {
				r.Messages = inputMessages(v)
			}
		case "tools", "functions":
			if content && v.IsArray() {
				r.Tools = toolDefinitions(v)
			}
		default:
			r.setting(key.String(), v)
		}
		return true
	})
	return r, nil
}

func (r *Request) setting(key string, v gjson.Result) {
	switch key {
	case "model":
		r.Model = text(v)
	case "stream":
		r.Stream = v.Type == gjson.True
	case "temperature":
		r.Temperature = number(v)
	case "top_p":
		r.TopP = number(v)
	case "min_p":
		r.MinP = number(v)
	case "frequency_penalty":
		r.FrequencyPenalty = number(v)
	case "presence_penalty":
		r.PresencePenalty = number(v)
	case "top_k":
		r.TopK = integer(v)
	case "max_completion_tokens":
		r.MaxTokens = integer(v)
	case "max_tokens":
		if r.MaxTokens == nil {
			r.MaxTokens = integer(v)
		}
	case "seed":
		r.Seed = integer(v)
	case "n":
		r.Choices = integer(v)
	case "stop":
		v.ForEach(func(_, s gjson.Result) bool {
			if t := text(s); t != "" {
				r.Stop = append(r.Stop, t)
			}
			return true
		})
	case "response_format":
		r.JSON = strings.HasPrefix(v.Get("type").String(), "json")
	}
}

func text(v gjson.Result) string {
	if v.Type != gjson.String {
		return ""
	}
	return v.Str
}

func number(v gjson.Result) *float64 {
	if v.Type != gjson.Number {
		return nil
	}
	f := v.Float()
	return &f
}

func integer(v gjson.Result) *int64 {
	if v.Type != gjson.Number || v.Float() != float64(v.Int()) {
		return nil
	}
	n := v.Int()
	return &n
}
