package trajectory

import (
	"cmp"
	"iter"
	"slices"
)

// link finds for every model call the call that it continues, and numbers the
// threads.
//
// A call continues another when its prompt begins with the other's prompt and
// reply. The longest such prompt wins, then ids, then the same agent, then the
// most recent. A call with the very same prompt as a failed or earlier one is a
// retry of it. A call that shows no prompt continues the last such call of its
// agent.
func (b *builder) link() {
	b.hashPrompts()
	byPrompt := newPrompts(b.calls)
	// Short prompts first: a call's predecessor is settled before the call.
	order := slices.Clone(b.calls)
	slices.SortStableFunc(order, func(x, y *node) int {
		return cmp.Or(cmp.Compare(len(x.turns), len(y.turns)), cmp.Compare(x.start, y.start))
	})
	var bare map[context]*node // → its last call without a prompt
	var talks map[member]int   // session → its first agent span
	sent := newRequests(order)
	for i, n := range order {
		if len(n.turns) == 0 {
			if bare == nil {
				bare, talks = map[context]*node{}, map[member]int{}
			}
			c := b.talk(n, talks)
			n.pred = bare[c]
			bare[c] = n
		} else {
			if n.pred = sent.before(order[:i], n); n.pred != nil {
				n.retry = true
			} else {
				b.predecessor(n, byPrompt)
			}
		}
	}
	b.held(order)
	for _, n := range order {
		n.after(n.pred)
		if n.pred != nil && !n.retry && (n.pred.next == nil || n.start < n.pred.next.start) {
			n.pred.next = n
		}
	}
	threads := 0
	for _, n := range order {
		if n.pred == nil {
			n.thread = -1
		}
	}
	slices.SortStableFunc(order, func(x, y *node) int { return cmp.Compare(x.start, y.start) })
	for _, n := range order {
		if n.pred == nil {
			n.thread = threads
			threads++
		}
	}
	for _, n := range order {
		first := n
		for first.pred != nil {
			first = first.pred
		}
		n.thread = first.thread
	}
}

// context is whose calls follow one another, where they show no prompts.
type context struct {
	under int
	agent string
}

func (b *builder) context(n *node) context {
	return context{b.tree.contextOf(n.at), n.span.AgentID}
}

// talk is the context of a call that shows no prompt: what a user says to a
// harness in one session is one conversation. talks holds the first message of
// each.
func (b *builder) talk(n *node, talks map[member]int) context {
	c := b.context(n)
	if c.under < 0 {
		return c
	}
	s := b.tree.spans[c.under]
	if !isAgent(s) || !s.Hosts || s.Conversation == "" {
		return c
	}
	m := member{s.Service, s.Conversation}
	if first, ok := talks[m]; ok {
		c.under = first
	} else {
		talks[m] = c.under
	}
	return c
}

// hashPrompts sets the turns of all calls and their running hashes. Most of a
// prompt is the prompt before it.
func (b *builder) hashPrompts() {
	total, longest := 0, 0
	for _, n := range b.calls {
		n.turns = turns(n.call.Prompt)
		total += len(n.turns)
		longest = max(longest, len(n.call.Prompt))
	}
	b.table.init(longest+len(b.calls), b.room)
	b.room.hashes = sized(b.room.hashes, total)
	room := b.room.hashes
	var before node
	for _, n := range b.calls {
		n.hashes, room = room[:len(n.turns):len(n.turns)], room[len(n.turns):]
		i, h := 0, uint64(0)
		for ; i < len(n.turns) && i < len(before.turns) && n.turns[i] == before.turns[i]; i++ {
			h = before.hashes[i]
			n.hashes[i] = h
		}
		for ; i < len(n.turns); i++ {
			h = mix(h, b.table.key(n.turns[i]))
			n.hashes[i] = h
		}
		if len(n.turns) > 0 {
			before = *n
		}
	}
}

// prompts finds calls by the hash of their whole prompt.
type prompts struct {
	calls  []*node // of a few: all
	byHash map[uint64][]*node
}

func newPrompts(calls []*node) prompts {
	if len(calls) <= few {
		return prompts{calls: calls}
	}
	p := prompts{byHash: map[uint64][]*node{}}
	for _, n := range calls {
		if k := len(n.hashes); k > 0 {
			p.byHash[n.hashes[k-1]] = append(p.byHash[n.hashes[k-1]], n)
		}
	}
	return p
}

// few things are searched one by one, more by a map.
const few = 24

// with yields the calls whose whole prompt has the hash, in order.
func (p prompts) with(hash uint64) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		list := p.calls
		if p.byHash != nil {
			list = p.byHash[hash]
		}
		for _, c := range list {
			if k := len(c.hashes); k > 0 && c.hashes[k-1] == hash && !yield(c) {
				return
			}
		}
	}
}

// request is what a call is sent, and by whom: two that are the same are a call
// and its retry.
type request struct {
	prompt uint64
	scope  int
	from   string // what the server held before it: a response or a tool call
}

func (n *node) request() request {
	r := request{n.hashes[len(n.hashes)-1], n.scope, n.span.Previous}
	if r.from == "" && answersUnasked(n.turns) {
		r.from = n.turns[0].ToolCallID
	}
	return r
}

// requests finds the last call that was sent the same; nil for a few, which are
// searched.
type requests map[request]*node

func newRequests(calls []*node) requests {
	if len(calls) <= few {
		return nil
	}
	return make(requests, len(calls))
}

// before is the last of the calls before n that was sent the same as n, nil for
// none. It is asked once for each call, in order.
func (r requests) before(calls []*node, n *node) *node {
	want := n.request()
	if r != nil {
		c := r[want]
		r[want] = n
		return c
	}
	for _, c := range slices.Backward(calls) {
		if len(c.hashes) > 0 && c.request() == want {
			return c
		}
	}
	return nil
}

// predecessor sets n.pred.
func (b *builder) predecessor(n *node, byPrompt prompts) {
	for i := len(n.hashes) - 2; i >= 0 && n.pred == nil; i-- {
		best := FitNo
		for c := range byPrompt.with(n.hashes[i]) {
			fit := echoes(c.call.Reply, n.turns[i+1:])
			if c == n || fit == FitNo || c.span.Error != "" && len(c.call.Reply) == 0 {
				continue
			}
			if n.pred == nil || fit > best || fit == best && b.nearer(n, c, n.pred) {
				n.pred, best = c, fit
			}
		}
	}
}

// comesAfter says whether c already continues n (equal starts).
func comesAfter(c, n *node) bool {
	for ; c != nil; c = c.pred {
		if c == n {
			return true
		}
	}
	return false
}

// nearer prefers the same agent, then calls before n, then the most recent.
func (b *builder) nearer(n, c, than *node) bool {
	if (c.scope == n.scope) != (than.scope == n.scope) {
		return c.scope == n.scope
	}
	if (c.start <= n.start) != (than.start <= n.start) {
		return c.start <= n.start
	}
	return c.start > than.start
}

// repair replaces what a reply lost by what the next call of the thread shows
// of it. Failed calls and calls that were retried are left alone.
func (b *builder) repair() {
	for _, n := range b.calls {
		if n.next == nil || n.span.Error != "" && len(n.reply) == 0 || len(n.turns) == 0 || n.next.held || n.next.call.Outline {
			continue
		}
		if (len(n.reply) == 0 || n.unsure) && b.rivals(n) {
			continue // the next prompt shows the reply of one of them
		}
		echo := echoOf(n.reply, n.next.turns[len(n.turns):])
		if len(echo) > 0 && !n.cutShort(echo) {
			n.reply, n.unsure = repaired(n.reply, echo), false
		}
	}
}

// cutShort says whether a harness stopped a call and went on with words of its
// own: the call shows no trace of an answer, and the next one works on the same
// message of the user though another user's message follows an echo that asks
// for nothing.
func (n *node) cutShort(echo []*Message) bool {
	if answers(n.span) || n.span.Turn == "" || n.span.Turn != n.next.span.Turn {
		return false
	}
	_, calls := flatten(echo)
	rest := n.next.turns[len(n.turns)+len(echo):]
	return len(calls) == 0 && len(rest) > 0 && rest[0].Role == RoleUser
}

// rivals says whether another call was sent the same prompt at the same time.
func (b *builder) rivals(n *node) bool {
	last := n.hashes[len(n.hashes)-1]
	for _, c := range b.calls {
		if c != n && len(c.hashes) == len(n.hashes) && c.hashes[len(c.hashes)-1] == last &&
			c.span.Start < n.span.End && n.span.Start < c.span.End {
			return true
		}
	}
	return false
}

// maxEcho bounds the assistant turns that one reply is looked for in: a run of
// them can be as long as a prompt.
const maxEcho = 32

// echoOf is what the turns after a prompt show of its reply: the assistant
// turns that make up the reply, where it is shown; else up to the first that
// asks for tools. What follows was said by calls that nobody traced.
func echoOf(reply, rest []*Message) []*Message {
	echo := leading(rest)
	if len(echo) > maxEcho {
		echo = echo[:maxEcho]
	}
	text, calls := flatten(reply)
	for k := range echo {
		etext, ecalls := flatten(echo[:k+1])
		if len(reply) > 0 && etext == text && len(ecalls) == len(calls) || len(ecalls) > 0 {
			return echo[:k+1]
		}
	}
	if len(reply) == 0 && len(echo) > 1 {
		return echo[:1]
	}
	return echo
}

// repaired returns the reply with what it lost filled from its echo.
func repaired(reply, echo []*Message) []*Message {
	if len(reply) == 0 {
		return echo
	}
	text, calls := flatten(reply)
	etext, ecalls := flatten(echo)
	fixed := calls
	if lossyCalls(calls, ecalls) {
		fixed = ecalls
	}
	if len(fixed) == len(calls) && (len(fixed) == 0 || &fixed[0] == &calls[0]) && (text != "" || etext == "") {
		return reply
	}
	m := &Message{Role: RoleAssistant, Text: text, ToolCalls: fixed, Parts: reply[0].Parts}
	said := reply
	if text == "" {
		m.Text, said = etext, echo
	}
	if len(said) == 1 {
		m.Text = said[0].Text // as it was, not trimmed
	}
	for _, r := range append(slices.Clone(reply), echo...) {
		if m.Reasoning == "" {
			m.Reasoning = r.Reasoning
		}
	}
	return []*Message{m}
}

// lossyCalls says whether the echo shows tool calls better than the reply:
// more of them, ids or arguments that are missing, arguments of several calls
// run together.
func lossyCalls(calls, echo []ToolCall) bool {
	if len(echo) != len(calls) {
		return len(echo) > len(calls)
	}
	for i := range calls {
		c, e := &calls[i], &echo[i]
		switch {
		case c.ID == "" && e.ID != "", c.Name == "" && e.Name != "":
			return true
		case c.Arguments == "" && e.Arguments != "":
			return true
		case c.Arguments != e.Arguments && values(c.Arguments) > 1 && values(e.Arguments) == 1:
			return true // merged; arguments that are no JSON at all are the model's own
		}
	}
	return false
}
