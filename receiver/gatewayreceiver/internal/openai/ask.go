package openai

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// Ask adds to a request what makes vLLM tell the ids and log-probabilities of
// its tokens (return_token_ids, logprobs), and leaves its other bytes as they
// are. strip takes out of an answer what the agent did not ask for itself; it
// is nil where nothing was added. why is why a request cannot be asked, ""
// where it was.
//
// The answer after strip is the one that vLLM gives without being asked, byte
// for byte: a member that was not asked for is null, and a stream has no event
// for a token that shows nothing (a part of a tool call).
func Ask(body []byte) (asked []byte, strip Edit, why string) {
	if !gjson.ValidBytes(body) {
		return body, nil, "not_json"
	}
	doc := gjson.ParseBytes(body)
	if !doc.IsObject() {
		return body, nil, "not_json"
	}
	m := map[string]gjson.Result{}
	doc.ForEach(func(key, v gjson.Result) bool {
		name := key.String()
		if slices.Contains(asking, name) {
			if _, twice := m[name]; twice {
				why = "ambiguous"
			}
			m[name] = v
		}
		return true
	})
	if why == "" {
		why = unaskable(m)
	}
	if why != "" {
		return body, nil, why
	}
	s := stripper{ids: m["return_token_ids"].Type != gjson.True, logprobs: m["logprobs"].Type != gjson.True}
	if !s.ids && !s.logprobs {
		return body, nil, ""
	}
	var add []member
	if s.ids {
		add = append(add, member{"return_token_ids", m["return_token_ids"]})
	}
	if s.logprobs {
		add = append(add, member{"logprobs", m["logprobs"]})
	}
	return setTrue(body, doc, add), s.strip, ""
}

// asking are the members that decide whether and what is asked.
var asking = []string{
	"n", "best_of", "use_beam_search", "echo", "logprobs", "top_logprobs", "logprob_token_ids", "return_token_ids",
}

// unaskable says why the answer's ids would not be understood, or why asking
// would change it.
func unaskable(m map[string]gjson.Result) string {
	one := func(v gjson.Result) bool { return !v.Exists() || v.Type == gjson.Null || v.Raw == "1" }
	switch {
	case !one(m["n"]) || !one(m["best_of"]) || m["use_beam_search"].Type == gjson.True:
		return NoneChoices
	case m["echo"].Type == gjson.True:
		return "echo" // with ids, the prompt is echoed in another way
	case some(m["top_logprobs"]) && m["top_logprobs"].Raw != "0" && m["logprobs"].Type != gjson.True, some(m["logprob_token_ids"]):
		return "own_logprobs" // an error that the agent is to see, or log-probabilities of other tokens
	case strange(m["logprobs"]) || strange(m["return_token_ids"]):
		return "own_logprobs"
	}
	return ""
}

// strange says that a switch is neither on nor off: the server judges it.
func strange(v gjson.Result) bool {
	return v.Type == gjson.String || v.Type == gjson.Number || v.Type == gjson.JSON
}

type member struct {
	name string
	old  gjson.Result // its value in the request, if there is one
}

// setTrue sets members to true, in place where they are there.
func setTrue(body []byte, doc gjson.Result, members []member) []byte {
	slices.SortFunc(members, func(a, b member) int { return a.old.Index - b.old.Index })
	out := make([]byte, 0, len(body)+64)
	var more strings.Builder
	from := 0
	for _, m := range members {
		if !m.old.Exists() {
			more.WriteString(`,"` + m.name + `":true`)
			continue
		}
		out = append(append(out, body[from:m.old.Index]...), "true"...)
		from = m.old.Index + len(m.old.Raw)
	}
	added := more.String()
	raw := strings.TrimRight(doc.Raw, " \t\r\n") // gjson leaves what follows
	end := doc.Index + len(raw) - 1              // the closing brace
	if strings.TrimSpace(raw[1:len(raw)-1]) == "" {
		added = strings.TrimPrefix(added, ",")
	}
	out = append(append(out, body[from:end]...), added...)
	return append(out, body[end:]...)
}

// stripper takes out of an answer what the agent did not ask for.
type stripper struct{ ids, logprobs bool }

// span is a value in a document that becomes null.
type span struct{ from, to int }

func (s stripper) strip(doc []byte) []byte {
	if !gjson.ValidBytes(doc) {
		return doc
	}
	var cuts []span
	drop := false
	cut := func(v gjson.Result) {
		if v.Exists() && v.Type != gjson.Null {
			cuts = append(cuts, span{v.Index, v.Index + len(v.Raw)})
		}
	}
	gjson.ParseBytes(doc).ForEach(func(key, v gjson.Result) bool {
		switch name := key.String(); {
		case name == "prompt_token_ids" && s.ids:
			cut(v)
		case name == "choices" && v.IsArray():
			n := 0
			v.ForEach(func(_, choice gjson.Result) bool {
				n++
				empty := s.choice(choice, cut)
				drop = empty && n == 1
				return true
			})
		}
		return true
	})
	if drop && s.ids && s.logprobs { // else the agent's own wish is why it is sent
		return nil
	}
	return null(doc, cuts)
}

// choice cuts what was not asked for out of a choice. It is empty if it is
// there for its tokens only.
func (s stripper) choice(choice gjson.Result, cut func(gjson.Result)) (empty bool) {
	goesOn, tokens := true, false
	choice.ForEach(func(key, v gjson.Result) bool {
		switch key.String() {
		case "token_ids":
			tokens = v.IsArray()
			if s.ids {
				cut(v)
			}
		case "prompt_token_ids":
			if s.ids {
				cut(v)
			}
		case "logprobs":
			if s.logprobs {
				cut(v)
			}
		case "delta":
			empty = v.Raw == "{}"
		case "finish_reason":
			goesOn = v.Type == gjson.Null
		}
		return true
	})
	return empty && goesOn && tokens
}

// null writes a document anew with null in place of some values, in order.
func null(doc []byte, cuts []span) []byte {
	if len(cuts) == 0 {
		return doc
	}
	out := make([]byte, 0, len(doc))
	from := 0
	for _, c := range cuts {
		out = append(append(out, doc[from:c.from]...), "null"...)
		from = c.to
	}
	return append(out, doc[from:]...)
}
