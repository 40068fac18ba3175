package trajectory

import (
	"encoding/json"
	"slices"
	"strings"
)

// outcome sets input, output, status and task key.
func (b *builder) outcome(t *Trajectory, nodes []*node) {
	var root *Span
	if r := b.tree.root(); r >= 0 {
		root = b.tree.spans[r]
	}
	t.Input = b.input(root)
	t.Output = b.output(root, nodes)
	if t.TaskKey == "" {
		if t.TaskKey = TaskKeyOf(t.Input); t.TaskKey != "" {
			t.TaskKeySource = "input"
		}
	}
	switch {
	case root != nil && root.Error != "":
		t.Status, t.Error = StatusError, root.Error
	case len(nodes) > 0 && nodes[len(nodes)-1].span != nil && nodes[len(nodes)-1].span.Error != "":
		t.Status, t.Error = StatusError, nodes[len(nodes)-1].span.Error
	}
}

// input is the user message that starts the trajectory: the last user turn of
// the first prompt (earlier ones are history); where the root shows its input,
// the turn that holds it.
func (b *builder) input(root *Span) string {
	first := b.firstCall()
	said := b.asked(root)
	last := ""
	if first != nil {
		for i := len(first.turns) - 1; i >= 0; i-- {
			m := first.turns[i]
			if m.Role != RoleUser || m.Text == "" {
				continue
			}
			if last == "" {
				last = m.Text
			}
			if said != "" && (strings.Contains(m.Text, said) || strings.Contains(said, m.Text)) {
				return m.Text
			}
		}
	}
	if last != "" {
		return last
	}
	return said
}

// asked is the input that the root shows; where it shows none, that of the first
// agent below it that is no other agent's tool.
func (b *builder) asked(root *Span) string {
	if root == nil {
		return ""
	}
	if root.In != "" {
		return strings.TrimSpace(root.In)
	}
	for i, s := range b.tree.spans {
		if isAgent(s) && s.In != "" && b.tree.ancestor(i, isTool, nil) < 0 {
			return strings.TrimSpace(s.In)
		}
	}
	return ""
}

// firstCall is the earliest call that shows a prompt.
func (b *builder) firstCall() *node {
	var first *node
	for _, n := range b.calls {
		if len(n.turns) > 0 && (first == nil || n.start < first.start || n.start == first.start && n.depth < first.depth) {
			first = n
		}
	}
	return first
}

// output is the final answer: the last reply that asks for no tool. Where the
// root shows its output and a reply says the same, that reply; the root's text
// alone where no reply is shown.
func (b *builder) output(root *Span, nodes []*node) string {
	said := ""
	if root != nil {
		said = strings.TrimSpace(root.Out)
	}
	answer, open, rest := "", false, said
	for _, n := range nodes {
		if n.call == nil || n.span.Error != "" || b.judged(n) {
			continue // what a failed call said before it was cut is no answer
		}
		text, calls := flatten(n.reply)
		if text != "" && text == said {
			return text
		}
		rest = strings.Replace(rest, text, "", 1)
		switch {
		case len(calls) > 0:
			open = true // the run went on or was cut here
		case text != "":
			answer, open = text, false
		}
	}
	if strings.TrimSpace(rest) == "" && said != "" {
		return said // the framework returned all that the model said, joined
	}
	if open || answer == "" || takenFrom(answer, said) {
		// The last thing that the model did was to ask for a tool: only the
		// root can tell what the caller got back. Or the caller got what stands
		// inside the last reply, between marks or as fields.
		return said
	}
	if strings.HasSuffix(said, answer) {
		return said // a stream: what was said on the way came back with the answer
	}
	return answer
}

// takenFrom says whether what a caller got was taken out of a reply: a text in
// the middle of it, or an object all of whose texts are in it. What a reply
// begins with may be the reply, cut.
func takenFrom(reply, said string) bool {
	if said == "" || reply == said {
		return false
	}
	shown := append(textsOf(reply), reply)
	if fields := textsOf(said); len(fields) > 0 {
		return !slices.ContainsFunc(fields, func(f string) bool {
			return !slices.ContainsFunc(shown, func(s string) bool { return strings.Contains(s, f) })
		})
	}
	return slices.ContainsFunc(shown, func(s string) bool { return strings.TrimSpace(s) == said || strings.Index(s, said) > 0 })
}

// textsOf are the texts that an object has as members; none for other values.
func textsOf(object string) (out []string) {
	if !strings.HasPrefix(object, "{") {
		return nil
	}
	var fields map[string]any
	if json.Unmarshal([]byte(object), &fields) != nil {
		return nil
	}
	for _, v := range fields {
		if s, ok := v.(string); ok && s != "" {
			out = append(out, s)
		}
	}
	return out
}

// judged says whether a call is below a span that judges the agent.
func (b *builder) judged(n *node) bool {
	return n.span.Judge || b.tree.ancestor(n.at, func(s *Span) bool { return s.Judge }, nil) >= 0
}

// judge sums up tokens and reasons and decides whether to train on it.
func (b *builder) judge(t *Trajectory, known []Reason) {
	t.Reasons = appendReasons(nil, known...)
	switch t.CloseReason {
	case CloseMaxAge, CloseTruncated, CloseEvicted, CloseShutdown:
		t.Reasons = appendReasons(t.Reasons, ReasonClosedEarly)
	case CloseLate:
		t.Reasons = appendReasons(t.Reasons, ReasonLate)
	}
	if b.tree.missingParents() > 0 {
		t.Reasons = appendReasons(t.Reasons, ReasonOrphans)
	}
	if n := b.lastCall(); n != nil && n.span.Error != "" && len(n.reply) > 0 {
		t.Reasons = appendReasons(t.Reasons, ReasonTruncated) // it ended in the middle of an answer
	}
	answered := 0
	input, output := total{known: true}, total{known: true}
	tokens := TokensCaptured
	if len(b.calls) > 0 && !slices.ContainsFunc(b.calls, func(n *node) bool { return !n.span.Gateway }) {
		t.Source = SourceGateway
	}
	bundle, sameBundle := "", true
	for i := range t.Steps {
		s := &t.Steps[i]
		if s.Model == nil || s.failed() {
			continue
		}
		if answered == 0 {
			bundle = s.Model.Bundle
		}
		answered++
		sameBundle = sameBundle && bundle == s.Model.Bundle
		input.add(s.Model.InputTokens)
		output.add(s.Model.OutputTokens)
		switch {
		case len(s.Model.TokenIDs) == 0 || len(s.Model.Logprobs) != len(s.Model.TokenIDs):
			tokens = TokensNone
		case tokens == TokensCaptured && s.Model.Constrained != nil && *s.Model.Constrained:
			tokens = TokensConstrained
		}
		t.Reasons = appendReasons(t.Reasons, s.Reasons...)
	}
	t.Tokens = tokens
	if answered == 0 {
		t.Reasons = appendReasons(t.Reasons, ReasonNoModelCall)
		t.Tokens = TokensNone
	} else {
		t.InputTokens, t.OutputTokens = input.sum(), output.sum()
		if sameBundle {
			t.Bundle = bundle
		}
	}
	t.Trainable = len(t.Reasons) == 0
}

// lastCall is the model call that was made last.
func (b *builder) lastCall() *node {
	var last *node
	for _, n := range b.calls {
		if last == nil || n.start > last.start || n.start == last.start && n.depth > last.depth {
			last = n
		}
	}
	return last
}

func (s *Step) failed() bool {
	for _, r := range s.Reasons {
		if r == ReasonFailed {
			return true
		}
	}
	return false
}

// total is a sum that is unknown once a part of it is.
type total struct {
	n     int64
	known bool
}

func (t *total) add(v *int64) {
	if v == nil {
		t.known = false
		return
	}
	t.n += *v
}

func (t *total) sum() *int64 {
	if !t.known {
		return nil
	}
	return &t.n
}

func appendReasons(list []Reason, more ...Reason) []Reason {
	for _, r := range more {
		list = appendNew(list, r)
	}
	return list
}
