package trajectory

import (
	"hash/maphash"
	"slices"
	"strings"
)

// The seed is fixed for the life of the process: keys never leave it.
var seed = maphash.MakeSeed()

// Key is a hash of what a message says: role, text, tool calls and the call it
// answers by content. Ids, reasoning and JSON white space do not count, because
// agents lose or rewrite them when they send their history again. It is stable
// within a process only.
func (m *Message) Key() uint64 {
	h := mix(hashText(m.Role), hashText(strings.TrimSpace(m.Text)))
	for i := range m.ToolCalls {
		c := &m.ToolCalls[i]
		h = mix(mix(h, hashText(c.Name)), hashCompact(c.Arguments))
	}
	if m.Parts != "" { // the same words about another image are another message
		h = mix(h, hashText(m.Parts))
	}
	return h
}

func hashText(s string) uint64 { return maphash.String(seed, s) }

// mix folds the next hash into h; the order counts.
func mix(h, next uint64) uint64 {
	h = (h ^ next) * 0x9E3779B97F4A7C15
	return h ^ h>>29
}

// hashCompact hashes JSON text without the white space between its tokens.
func hashCompact(s string) uint64 {
	if !strings.ContainsAny(s, " \n\t\r") {
		return hashText(s)
	}
	var room [512]byte
	b := room[:0]
	if len(s) > len(room) {
		b = make([]byte, 0, len(s))
	}
	inString := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case inString && c == '\\' && i+1 < len(s):
			b = append(b, c)
			i++
			c = s[i]
		case c == '"':
			inString = !inString
		case !inString && (c == ' ' || c == '\n' || c == '\t' || c == '\r'):
			continue
		}
		b = append(b, c)
	}
	return maphash.Bytes(seed, b)
}

// turns returns the messages of a prompt without its instructions: a handover
// changes the system message and keeps the history.
func turns(prompt []*Message) []*Message {
	n := 0
	for _, m := range prompt {
		if !instruction(m) {
			n++
		}
	}
	if n == len(prompt) {
		return prompt
	}
	head := len(prompt) - n
	if !slices.ContainsFunc(prompt[head:], instruction) {
		return prompt[head:] // they all stand in front
	}
	out := make([]*Message, 0, n)
	for _, m := range prompt {
		if !instruction(m) {
			out = append(out, m)
		}
	}
	return out
}

func instruction(m *Message) bool { return m.Role == RoleSystem || m.Role == "developer" }

// Prefixes returns the running hash after each message of the prompt that is
// not an instruction: h[i] covers the first i+1 turns. Two calls share h[i]
// when the first i+1 turns say the same. nil when the prompt is not shown.
func (c *Call) Prefixes() []uint64 {
	ts := turns(c.Prompt)
	if len(ts) == 0 {
		return nil
	}
	out := make([]uint64, len(ts))
	var h uint64
	for i, m := range ts {
		h = mix(h, m.Key())
		out[i] = h
	}
	return out
}

// Turns returns the messages of the prompt that are not instructions: what
// [Call.Prefixes] covers.
func (c *Call) Turns() []*Message { return turns(c.Prompt) }

// Fit says how well a later call continues an earlier one.
type Fit uint8

// The fits.
const (
	FitNo    Fit = iota // another context
	FitMaybe            // the prompt continues it, nothing unique confirms or denies it
	FitSure             // a tool-call id or a distinctive reply of the earlier call is in the later prompt
)

// distinctive is the length of a reply from which its equality is proof.
const distinctive = 24

// Follows says whether the later call's prompt begins with the earlier call's
// prompt and its reply. The reply is compared leniently (streamed replies lose
// ids, merge parallel tool calls or drop text), but tool-call ids that both
// show must agree.
func Follows(earlier, later *Call) Fit {
	if earlier == nil || later == nil {
		return FitNo
	}
	a, b := turns(earlier.Prompt), turns(later.Prompt)
	if len(a) == 0 || len(b) <= len(a) {
		return FitNo
	}
	for i := range a {
		if a[i] != b[i] && a[i].Key() != b[i].Key() {
			return FitNo
		}
	}
	return echoes(earlier.Reply, b[len(a):])
}

// echoes compares a reply with the turns that follow its prompt.
func echoes(reply []*Message, rest []*Message) Fit {
	echo := leading(rest)
	if len(echo) == 0 {
		return FitNo // a prompt that goes on without an assistant turn is another attempt
	}
	text, calls := flatten(reply)
	etext, ecalls := flatten(echo)
	if slices.ContainsFunc(calls, hasID) && slices.ContainsFunc(ecalls, hasID) {
		return sharedID(calls, ecalls)
	}
	switch {
	case text == "" && len(calls) == 0:
		return FitMaybe // the reply is not shown
	case text != "" && etext != "" && text != etext && !strings.Contains(text, etext) && !strings.Contains(etext, text):
		return FitNo
	case len(calls) == 0 && len(ecalls) == 0:
		if len(text) >= distinctive && text == etext {
			return FitSure
		}
		return FitMaybe
	}
	for _, c := range ecalls {
		if len(calls) > 0 && !anyNamed(calls, c.Name) {
			return FitNo
		}
	}
	return FitMaybe
}

// leading returns the assistant turns at the start of rest.
func leading(rest []*Message) []*Message {
	n := 0
	for n < len(rest) && rest[n].Role == RoleAssistant {
		n++
	}
	return rest[:n]
}

// flatten joins what several messages of one reply say.
func flatten(ms []*Message) (text string, calls []ToolCall) {
	if len(ms) == 1 {
		return strings.TrimSpace(ms[0].Text), ms[0].ToolCalls
	}
	var b strings.Builder
	for _, m := range ms {
		if t := strings.TrimSpace(m.Text); t != "" {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(t)
		}
		calls = append(calls, m.ToolCalls...)
	}
	return b.String(), calls
}

func hasID(c ToolCall) bool { return c.ID != "" }

// sharedID compares ids; a merged id contains the ids it was merged from.
func sharedID(calls, echo []ToolCall) Fit {
	for i := range echo {
		for k := range calls {
			if echo[i].ID != "" && calls[k].ID != "" && strings.Contains(calls[k].ID, echo[i].ID) {
				return FitSure
			}
		}
	}
	return FitNo
}

func anyNamed(calls []ToolCall, name string) bool {
	for _, c := range calls {
		if strings.Contains(c.Name, name) {
			return true
		}
	}
	return false
}
