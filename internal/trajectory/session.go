package trajectory

import (
	"cmp"
	"slices"
	"strconv"
)

// near is how far from a trace a record of its session may be that it does not
// span, in ns.
const near = 5_000_000_000

// CutSession is [Cut] for the spans of a harness's session of which records name
// no trace. A trace with an agent is a trajectory; those that tell the outcome of
// what another one began are one with it. What records tell belongs to the trace
// of the same turn, else to the one that was going on; else every message of the
// user begins a trajectory.
func CutSession(spans []*Span) [][]*Span {
	hosts := newHosts(spans)
	rest, records := hosts.rest, false
	for _, s := range inOrder(hosts.records) {
		if h := hosts.of(s); h != nil {
			h.spans = append(h.spans, s)
			continue
		}
		rest, records = append(rest, s), true
	}
	var out [][]*Span
	for _, h := range hosts.list {
		out = append(out, h.spans)
	}
	switch {
	case len(rest) == 0:
	case !records:
		out = append(out, Cut(rest)...)
	default:
		for _, part := range byOwner(rest) {
			out = append(out, cutTurns(part)...)
		}
	}
	return out
}

func inOrder(spans []*Span) []*Span {
	slices.SortFunc(spans, func(a, b *Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Order, b.Order), slices.Compare(a.SpanID[:], b.SpanID[:]))
	})
	return spans
}

// byOwner keeps what records tell of a service or a user apart from spans and
// records of others.
func byOwner(spans []*Span) [][]*Span {
	users, sessions := map[string]string{}, map[string]map[TraceID]bool{} // by service
	for _, s := range spans {
		if s.Session {
			if sessions[s.Service] == nil {
				sessions[s.Service] = map[TraceID]bool{}
			}
			sessions[s.Service][s.TraceID] = true
		} else if users[s.Service] == "" {
			users[s.Service] = cmp.Or(s.User, anyone)
		}
	}
	parts, at := [][]*Span{nil}, map[TraceID]int{}
	for _, s := range spans {
		i, user := 0, users[s.Service]
		if s.Session && (user == "" || len(sessions[s.Service]) > 1 || user != anyone && !agree(s.User, user)) {
			if at[s.TraceID] == 0 {
				at[s.TraceID] = len(parts)
				parts = append(parts, nil)
			}
			i = at[s.TraceID]
		}
		parts[i] = append(parts[i], s)
	}
	return slices.DeleteFunc(parts, func(p []*Span) bool { return len(p) == 0 })
}

// anyone is a user that no span names.
const anyone = "\x00"

// host is a trace with an agent, and the traces that are one with it.
type host struct {
	spans    []*Span
	from, to int64
	into     *host // is part of another; nil = stands for itself
}

func (h *host) top() *host {
	for h.into != nil {
		h = h.into
	}
	return h
}

// member is what records and traces of a session share.
type member struct{ service, conversation string }

type hosts struct {
	list          []*host // by start
	records, rest []*Span
	members       map[member][]*host
	turns         map[whereTurn]*host
}

type whereTurn struct {
	member
	turn string
}

func newHosts(spans []*Span) *hosts {
	x := &hosts{members: map[member][]*host{}, turns: map[whereTurn]*host{}}
	agents := map[TraceID]*host{}
	for _, s := range spans {
		if isAgent(s) && !s.Piece && !s.Session && agents[s.TraceID] == nil {
			agents[s.TraceID] = &host{from: s.Start}
		}
	}
	ran := map[placed]*host{}
	for _, s := range spans {
		h := agents[s.TraceID]
		switch {
		case s.Session:
			x.records = append(x.records, s)
			continue
		case h == nil:
			x.rest = append(x.rest, s)
			continue
		}
		h.spans = append(h.spans, s)
		h.from, h.to = min(h.from, s.Start), max(h.to, s.End)
		if s.Tool != nil && s.Tool.CallID != "" {
			ran[placed{s.Service, s.Conversation, s.Tool.CallID}] = h
		}
	}
	for _, s := range spans {
		if h := agents[s.TraceID]; h != nil && !s.Session {
			h.unite(x.began(s, agents, ran))
		}
	}
	x.index(agents)
	return x
}

// began is the trace that a span goes on from: that tells what a tool run of it
// came to, or that links to it. nil for none.
func (x *hosts) began(s *Span, agents map[TraceID]*host, ran map[placed]*host) *host {
	if s.Reports != "" {
		return ran[placed{s.Service, s.Conversation, s.Reports}]
	}
	if s.Link == nil {
		return nil
	}
	by := agents[s.Link.TraceID]
	if by == nil {
		return nil
	}
	if s.Link.Message || slices.ContainsFunc(by.spans, func(o *Span) bool {
		return o.TraceID == s.Link.TraceID && o.SpanID == s.Link.SpanID && s.LedBy(o)
	}) {
		return by
	}
	return nil
}

// unite makes two traces one.
func (h *host) unite(with *host) {
	if with == nil || h.top() == with.top() {
		return
	}
	h.top().into = with.top()
}

// index gathers what is one and files it by session and turn.
func (x *hosts) index(agents map[TraceID]*host) {
	for _, h := range agents {
		if t := h.top(); t != h {
			t.spans = append(t.spans, h.spans...)
			t.from, t.to = min(t.from, h.from), max(t.to, h.to)
		} else {
			x.list = append(x.list, h)
		}
	}
	slices.SortFunc(x.list, func(a, b *host) int {
		p, q := a.spans[0], b.spans[0]
		return cmp.Or(cmp.Compare(a.from, b.from), slices.Compare(p.TraceID[:], q.TraceID[:]))
	})
	for _, h := range x.list {
		for _, s := range h.spans {
			if s.Conversation == "" {
				continue
			}
			m := member{s.Service, s.Conversation}
			if list := x.members[m]; len(list) == 0 || list[len(list)-1] != h {
				x.members[m] = append(list, h)
			}
			if s.Turn != "" {
				x.turns[whereTurn{m, s.Turn}] = h
			}
		}
	}
}

// of is the trace that a record belongs to, nil for none.
func (x *hosts) of(r *Span) *host {
	m := member{r.Service, r.Conversation}
	if h := x.turns[whereTurn{m, r.Turn}]; h != nil && r.Turn != "" {
		return h
	}
	list := x.members[m]
	after, _ := slices.BinarySearchFunc(list, r.Start, func(h *host, at int64) int { return cmp.Compare(h.from, at) })
	var best *host
	for _, h := range list[max(0, after-maxLook):min(len(list), after+1)] {
		if d := h.apart(r); d <= near && (best == nil || d <= best.apart(r)) {
			best = h
		}
	}
	return best
}

// apart is how far a record is from a trace. What the user said begins one.
func (h *host) apart(r *Span) int64 {
	switch {
	case r.Start < h.from:
		return h.from - r.Start
	case r.Start <= h.to+tick:
		return 0
	case isAgent(r):
		return near + 1
	}
	return r.Start - h.to
}

// turnCutter cuts what records tell by the user's messages.
type turnCutter struct {
	cutter
	marks []*Span           // what the user said, by start
	parts map[string]*part  // by turn
	alias map[string]string // turn → the one that began what it tells the outcome of
}

// cutTurns cuts spans of which some stand for records.
func cutTurns(spans []*Span) [][]*Span {
	c := &turnCutter{cutter: newCutter(), parts: map[string]*part{}, alias: map[string]string{}}
	var others []*Span
	for _, s := range Restore(spans) {
		switch {
		case isModel(s) && s.Call != nil:
			c.calls = append(c.calls, newFragment(s))
		case isAgent(s) && s.Session:
			c.marks = append(c.marks, s)
		default:
			others = append(others, s)
		}
	}
	inOrder(c.marks)
	slices.SortStableFunc(c.calls, func(a, b *fragment) int {
		return cmp.Or(cmp.Compare(a.span.Start, b.span.Start), cmp.Compare(len(a.hashes), len(b.hashes)), cmp.Compare(a.span.Order, b.span.Order))
	})
	c.outcomes(others)
	for i, f := range c.calls {
		f = c.whole(f)
		c.calls[i] = f
		c.placeCall(f)
	}
	for _, s := range inOrder(others) {
		p := c.parts[c.turn(s)]
		if p == nil && len(c.cutter.parts) > 0 && !s.Session {
			p = c.home(s)
		}
		c.join(p, s)
	}
	for i, s := range c.marks {
		p := c.parts[c.turn(s)]
		if p == nil {
			p = c.first(s, i)
		}
		c.join(p, s)
	}
	out := make([][]*Span, len(c.cutter.parts))
	for i, p := range c.cutter.parts {
		out[i] = p.spans
	}
	return out
}

// outcomes finds the turns that tell what a tool run of an earlier one came to.
func (c *turnCutter) outcomes(others []*Span) {
	ran := map[string]string{}
	for _, s := range others {
		if s.Tool != nil && s.Tool.CallID != "" {
			ran[s.Tool.CallID] = c.turn(s)
		}
	}
	for _, m := range c.marks {
		if by, ok := ran[m.Reports]; ok && m.Reports != "" {
			if own := c.turn(m); by != own && by != "" {
				c.alias[own] = by
			}
		}
	}
}

// turn is the turn that a span belongs to: its own word, else that of the user's
// last message before it; "" for none.
func (c *turnCutter) turn(s *Span) string {
	key := ""
	if s.Turn != "" {
		key = "turn " + s.Turn
	} else if n, _ := slices.BinarySearchFunc(c.marks, s.Start+tick+1, func(m *Span, at int64) int { return cmp.Compare(m.Start, at) }); n > 0 {
		m := c.marks[n-1]
		if key = "turn " + m.Turn; m.Turn == "" {
			key = "message " + strconv.Itoa(n)
		}
	}
	for range maxLook {
		by, ok := c.alias[key]
		if !ok {
			break
		}
		key = by
	}
	return key
}

// placeCall puts a call into the trajectory that it belongs to: by what it
// shows, else by turn.
func (c *turnCutter) placeCall(f *fragment) {
	turn := c.turn(f.span)
	if p := c.parts[turn]; p != nil && len(f.turns) == 0 {
		c.put(f, p)
		return
	}
	if len(f.turns) > 0 || turn == "" {
		c.place(f)
	} else {
		c.put(f, c.begin(f))
	}
	if turn != "" && c.parts[turn] == nil {
		c.parts[turn] = f.part
	}
}

// join puts a span that is no call into a trajectory, into one of its own where
// there is none.
func (c *turnCutter) join(p *part, s *Span) {
	if p == nil {
		p = &part{}
		c.cutter.parts = append(c.cutter.parts, p)
		if turn := c.turn(s); turn != "" {
			c.parts[turn] = p
		}
	}
	p.spans = append(p.spans, s)
}

// first is the trajectory of the first call after a message and before the next
// one, else of the last one before it; nil for none.
func (c *turnCutter) first(mark *Span, i int) *part {
	k, _ := slices.BinarySearchFunc(c.calls, mark.Start, func(f *fragment, at int64) int { return cmp.Compare(f.span.Start, at) })
	if k < len(c.calls) && (i+1 >= len(c.marks) || c.calls[k].span.Start < c.marks[i+1].Start) {
		return c.calls[k].part
	}
	if k > 0 {
		return c.calls[k-1].part
	}
	return nil
}
