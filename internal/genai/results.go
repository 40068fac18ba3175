package genai

import (
	"strings"
	"unicode/utf8"
)

// results are what tools returned, by the id of the call. A tool's span and the
// prompts after it show the same text: it is kept once.
type results []outcome

type outcome struct{ call, text string }

// long is the length from which a result is worth the search.
const long = 64

// add returns the text itself, or an equal one that the same call has shown.
func (r *results) add(call, text string) string {
	if call == "" || len(text) < long {
		return text
	}
	for i := len(*r) - 1; i >= 0; i-- {
		if o := (*r)[i]; o.text == text && o.call == call {
			return o.text
		}
	}
	if len(*r) < few {
		*r = append(*r, outcome{call, text})
	} else {
		copy(*r, (*r)[1:])
		(*r)[few-1] = outcome{call, text}
	}
	return text
}

// find returns the result of a call if the token says the same; "" if not.
func (r results) find(call string, t token) string {
	if call == "" || len(t.raw) < long {
		return ""
	}
	for i := len(r) - 1; i >= 0; i-- {
		if r[i].call == call && t.says(r[i].text) {
			return r[i].text
		}
	}
	return ""
}

// says whether a token says the same as a text, see draft.value.
func (t token) says(s string) bool {
	switch {
	case !t.isText():
		return t.raw == s
	case t.plain:
		return t.raw[1:len(t.raw)-1] == s
	}
	raw := t.raw[1 : len(t.raw)-1]
	for {
		i := strings.IndexByte(raw, '\\')
		if i < 0 {
			return raw == s
		}
		if !strings.HasPrefix(s, raw[:i]) {
			return false
		}
		s = s[i:]
		var escaped [utf8.UTFMax]byte
		said, rest := unescapeOne(escaped[:0], raw[i+1:])
		if !strings.HasPrefix(s, string(said)) {
			return false
		}
		s, raw = s[len(said):], rest
	}
}
