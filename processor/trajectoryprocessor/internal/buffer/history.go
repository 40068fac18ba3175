package buffer

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// maxTies bounds how many calls with one and the same prompt are compared when
// nothing unique tells them apart; more are ambiguous.
const maxTies = 16

// fragment is the place of a trace in the message history of others. Fragments
// are linked one by one, later to earlier; what is linked is one unit. Links
// depend on the set of fragments only, not on the order in which they came.
type fragment struct {
	pred      *trace   // whose messages and reply this one's prompt begins with
	succ      []*trace // whose pred this is
	ambiguous bool     // several fit
	slots     []*slot  // its entries in the index; nil = not in it
	prefixes  []uint64
	turns     []*trajectory.Message
}

// index finds fragments by what their messages say, in both directions: as the
// earlier call under the hash of its prompt and of what it answered, as a later
// call under the same hash for every answer that its prompt holds. Tool runs
// are found by the id of their call.
type index map[uint64][]*slot

type slot struct {
	trace *trace
	key   uint64
	at    int // position in the list of its key
}

// What a key of the index stands for.
const (
	earlierCall uint64 = iota + 1
	laterCall
	askedTool
	ranTool
)

var seed = maphash.MakeSeed() // keys never leave the process

func (b *Buffer) enter(t *trace, key uint64) {
	s := &slot{trace: t, key: key, at: len(b.story[key])}
	b.story[key] = append(b.story[key], s)
	t.slots = append(t.slots, s)
}

// link puts a fragment into the history and joins it with what it continues
// and with what continues it.
func (b *Buffer) link(t *trace) {
	if t.slots != nil {
		return
	}
	t.slots = []*slot{}
	var later []*trace
	if t.call.Role == trajectory.RoleToolSpan {
		b.enterTool(t)
	} else if t.call.Call != nil {
		later = b.enterCall(t)
	}
	b.grow(t, int64(len(t.slots))*slotCost)
	b.follow(t)
	for _, l := range later {
		if l.pred == nil || l.call.Role == trajectory.RoleToolSpan || len(l.pred.turns) <= len(t.turns) {
			b.follow(l)
		}
	}
}

// unlink takes a trace out of the history.
func (b *Buffer) unlink(t *trace) {
	if t.slots == nil {
		return
	}
	b.grow(t, -int64(len(t.slots))*slotCost)
	for _, s := range t.slots {
		list := b.story[s.key]
		last := len(list) - 1
		list[s.at] = list[last]
		list[s.at].at = s.at
		list[last] = nil
		if last == 0 {
			delete(b.story, s.key)
		} else {
			b.story[s.key] = list[:last]
		}
	}
	t.setPred(nil)
	orphans := slices.Clone(t.succ)
	for _, s := range orphans {
		s.setPred(nil)
	}
	t.fragment = fragment{}
	if t.unit != nil && t.unit.state == opened && len(t.unit.traces) > 1 {
		b.rebuild(t.unit)
	}
	for _, s := range orphans {
		if s.unit != nil && s.unit.state == opened {
			b.follow(s)
		}
	}
}

// setPred changes a link.
func (t *trace) setPred(p *trace) {
	if t.pred != nil {
		if i := slices.Index(t.pred.succ, t); i >= 0 {
			t.pred.succ = slices.Delete(t.pred.succ, i, i+1)
		}
	}
	t.pred = p
	if p != nil {
		p.succ = append(p.succ, t)
	}
}

// follow finds what a fragment continues, anew.
func (b *Buffer) follow(t *trace) {
	var p *trace
	if t.call.Role == trajectory.RoleToolSpan {
		p, t.ambiguous = b.asker(t), false
	} else {
		p, t.ambiguous = b.predecessor(t)
	}
	old := t.pred
	if p == old {
		return
	}
	t.setPred(p)
	switch {
	case old != nil:
		b.rebuild(t.unit)
		if p != nil {
			b.wind(b.merge(t.unit, p.unit))
		}
	case p != nil:
		b.wind(b.merge(t.unit, p.unit))
	}
}

// enterCall enters a model call and returns the calls that may continue it.
func (b *Buffer) enterCall(t *trace) []*trace {
	call := t.call.Call
	t.prefixes, t.turns = call.Prefixes(), call.Turns()
	n := len(t.prefixes)
	if n == 0 {
		return nil
	}
	for i := range n - 1 {
		if reply := answer(t.turns[i+1:]); len(reply) > 0 && t.turns[i].Role != trajectory.RoleAssistant {
			for _, sign := range signs(reply) {
				b.enter(t, b.key(t, laterCall, t.prefixes[i], sign))
			}
		}
	}
	var later []*trace
	if len(call.Reply) == 0 && t.call.Error != "" {
		return nil // a failed call has no continuation
	}
	for _, sign := range signs(call.Reply) {
		b.enter(t, b.key(t, earlierCall, t.prefixes[n-1], sign))
		list := b.story[b.key(t, laterCall, t.prefixes[n-1], sign)]
		if sign == anySign && len(list) > maxTies {
			continue
		}
		for _, s := range list {
			if !slices.Contains(later, s.trace) {
				later = append(later, s.trace)
			}
		}
	}
	for _, m := range call.Reply {
		for _, c := range m.ToolCalls {
			if c.ID != "" {
				b.enter(t, b.key(t, askedTool, 0, text(c.ID)))
				for _, s := range b.story[b.key(t, ranTool, 0, text(c.ID))] {
					later = append(later, s.trace)
				}
			}
		}
	}
	return later
}

func (b *Buffer) enterTool(t *trace) {
	if t.call.Tool != nil && t.call.Tool.CallID != "" {
		b.enter(t, b.key(t, ranTool, 0, text(t.call.Tool.CallID)))
	}
}

// key keeps tenants apart.
func (b *Buffer) key(t *trace, kind, hash, sign uint64) uint64 {
	return mix(mix(mix(kind, text(t.tenant)), hash), sign)
}

// anySign stands for every answer, however lossy.
const anySign = 0

// signs are the hashes by which an answer is found: the ids of the calls it
// asks for, its text, and anySign.
func signs(reply []*trajectory.Message) []uint64 {
	out := make([]uint64, 0, 4)
	for _, m := range reply {
		for i := range m.ToolCalls {
			if id := m.ToolCalls[i].ID; id != "" {
				out = append(out, text(id))
			}
		}
	}
	if len(out) == 0 {
		for _, m := range reply {
			if s := strings.TrimSpace(m.Text); s != "" {
				out = append(out, text(s))
				break
			}
		}
	}
	return append(out, anySign)
}

func text(s string) uint64 { return maphash.String(seed, s) | 1 }

// answer returns the assistant turns at the start of turns.
func answer(turns []*trajectory.Message) []*trajectory.Message {
	n := 0
	for n < len(turns) && turns[n].Role == trajectory.RoleAssistant {
		n++
	}
	return turns[:n]
}

// predecessor finds the call that t continues: of those whose prompt and reply
// its prompt begins with the longest; on a tie the one that surely fits, then
// the one that had ended when t started. Several that are left in different
// units are ambiguous.
func (b *Buffer) predecessor(t *trace) (pred *trace, ambiguous bool) {
	for i := len(t.prefixes) - 2; i >= 0; i-- {
		reply := answer(t.turns[i+1:])
		if len(reply) == 0 {
			continue
		}
		fits, crowd := b.fitting(t, t.prefixes[i], reply)
		if len(fits) > 0 {
			return decide(t, fits)
		}
		if crowd {
			return nil, true
		}
	}
	return nil, false
}

// fitting returns the calls with the given prompt whose reply fits best. crowd
// says that there were too many to compare.
func (b *Buffer) fitting(t *trace, prefix uint64, reply []*trajectory.Message) (fits []*trace, crowd bool) {
	best := trajectory.FitNo
	for _, sign := range signs(reply) {
		list := b.story[b.key(t, earlierCall, prefix, sign)]
		if sign == anySign && len(list) > maxTies {
			return fits, len(fits) == 0
		}
		for _, s := range list {
			c := s.trace
			if c == t || slices.Contains(fits, c) {
				continue
			}
			fit := trajectory.Follows(c.call.Call, t.call.Call)
			if fit > best {
				best, fits = fit, fits[:0]
			}
			if fit != trajectory.FitNo && fit == best {
				fits = append(fits, c)
			}
		}
	}
	return fits, false
}

func decide(t *trace, fits []*trace) (pred *trace, ambiguous bool) {
	if len(fits) > 1 {
		ended := slices.DeleteFunc(slices.Clone(fits), func(c *trace) bool { return c.call.End > t.call.Start })
		if len(ended) > 0 {
			fits = ended
		}
	}
	for _, c := range fits[1:] {
		if c.unit != fits[0].unit {
			return nil, true
		}
	}
	return slices.MaxFunc(fits, func(x, y *trace) int { return compareStart(x.call, y.call) }), false
}

func compareStart(x, y *trajectory.Span) int {
	if x.Start != y.Start {
		if x.Start < y.Start {
			return -1
		}
		return 1
	}
	return slices.Compare(x.SpanID[:], y.SpanID[:])
}

// asker finds the one call that asked for a tool run, nil if there is none or
// more than one.
func (b *Buffer) asker(t *trace) *trace {
	if t.call.Tool == nil || t.call.Tool.CallID == "" {
		return nil
	}
	list := b.story[b.key(t, askedTool, 0, text(t.call.Tool.CallID))]
	if len(list) != 1 {
		return nil
	}
	return list[0].trace
}
