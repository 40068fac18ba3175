package buffer

import (
	"slices"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// predecessor finds the call that t continues: of those whose prompt and reply
// its prompt begins with the longest; on a tie the one that surely fits, then
// the one that had ended when t started. Several that are left in different
// units are ambiguous.
func (b *Buffer) predecessor(t *trace) match {
	if from := b.responder(t); from != nil {
		return match{pred: from, depth: len(t.turns), fit: trajectory.FitSure}
	}
	if asker := b.lastAsker(t); asker != nil {
		return match{pred: asker, depth: len(t.turns), fit: trajectory.FitSure}
	}
	for i := len(t.prefixes) - 2; i >= 0; i-- {
		if t.turns[i].Role == trajectory.RoleAssistant {
			continue // no call ends here
		}
		reply := answer(t.turns[i+1:])
		if len(reply) == 0 {
			continue
		}
		fits, fit, crowd := b.fitting(t, t.prefixes[i], reply)
		if len(fits) > 0 {
			m := match{depth: i + 1, fit: fit}
			m.pred, m.ambiguous = decide(t, fits)
			return m
		}
		if crowd {
			return match{depth: i + 1, ambiguous: true}
		}
	}
	return match{}
}

// fitting returns the calls with the given prompt whose reply fits best, and
// how well. crowd says that there were too many to compare.
func (b *Buffer) fitting(t *trace, prefix uint64, reply []*trajectory.Message) (fits []*trace, best trajectory.Fit, crowd bool) {
	b.round++
	for _, sign := range signs(reply) {
		list := b.story[b.key(t, earlierCall, prefix, sign)]
		if len(list) > maxTies {
			crowd = true
			continue
		}
		for _, s := range list {
			c := s.trace
			if c == t || !b.fresh(c) {
				continue
			}
			fit := b.follows(c, t)
			if fit > best {
				best, fits = fit, fits[:0]
			}
			if fit != trajectory.FitNo && fit == best {
				fits = append(fits, c)
			}
		}
	}
	return fits, best, crowd
}

// fresh says whether a trace was not seen before in this round.
func (b *Buffer) fresh(t *trace) bool {
	if t.seen == b.round {
		return false
	}
	t.seen = b.round
	return true
}

func (b *Buffer) follows(earlier, later *trace) trajectory.Fit {
	b.compared++
	return trajectory.Follows(earlier.call.Call, later.call.Call)
}

// successors finds the fragments for which a new one may change what they
// continue: a call may be continued by later calls, its tool runs belong to it.
func (b *Buffer) successors(t *trace) []*trace {
	if !t.continuable() {
		return nil
	}
	b.round++
	var out []*trace
	depth := len(t.turns)
	for _, sign := range signs(t.call.Call.Reply) {
		earlier := len(b.story[b.key(t, earlierCall, t.prefixes[depth-1], sign)])
		later := b.story[b.key(t, laterCall, t.prefixes[depth-1], sign)]
		if earlier > maxTies+1 || len(later) > maxLater {
			continue // it was a crowd before
		}
		crowd := earlier == maxTies+1 // since now
		for _, s := range later {
			l := s.trace
			if l == t || l.depth > depth || l.seen == b.round {
				continue
			}
			if !crowd {
				if fit := b.follows(t, l); fit == trajectory.FitNo || l.depth == depth && l.fit > fit {
					continue
				}
			}
			l.seen = b.round
			out = append(out, l)
		}
	}
	if id := t.call.Call.ResponseID; id != "" {
		if later := b.story[b.key(t, goesOnFrom, 0, text(id))]; len(later) <= maxLater {
			for _, s := range later {
				if s.trace != t && b.fresh(s.trace) {
					out = append(out, s.trace)
				}
			}
		}
	}
	for id := range t.asksFor {
		if told := b.story[b.key(t, toldTool, 0, id)]; len(told) <= maxLater {
			for _, s := range told {
				if s.trace != t && b.fresh(s.trace) {
					out = append(out, s.trace)
				}
			}
		}
		if len(b.story[b.key(t, askedTool, 0, id)]) > 2 {
			continue // nobody's, before and now
		}
		if ran := b.story[b.key(t, ranTool, 0, id)]; len(ran) <= maxLater {
			for _, s := range ran {
				if b.fresh(s.trace) {
					out = append(out, s.trace)
				}
			}
		}
	}
	return out
}

// responder finds the one call that gave the response that t goes on from, nil
// if there is none or more than one.
func (b *Buffer) responder(t *trace) *trace {
	if t.call.Previous == "" {
		return nil
	}
	list := b.story[b.key(t, gaveResponse, 0, text(t.call.Previous))]
	if len(list) != 1 || list[0].trace == t || list[0].trace.user != t.user {
		return nil
	}
	return list[0].trace
}

// lastAsker finds the latest call before t that asked for a tool call which the
// prompt of t shows. It is for prompts whose messages are in no known order: a
// prefix of them says nothing, the ids of calls do.
func (b *Buffer) lastAsker(t *trace) *trace {
	var last *trace
	for _, id := range t.told() {
		list := b.story[b.key(t, askedTool, 0, id)]
		if len(list) != 1 {
			continue // nobody's, or anybody's
		}
		c := list[0].trace
		if c == t || c.call.Start > t.call.Start || c.user != t.user {
			continue
		}
		if last == nil || compareStart(last.call, c.call) < 0 {
			last = c
		}
	}
	return last
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
// more than one, or if another user's call asked.
func (b *Buffer) asker(t *trace) *trace {
	if t.call.Tool == nil || t.call.Tool.CallID == "" {
		return nil
	}
	list := b.story[b.key(t, askedTool, 0, text(t.call.Tool.CallID))]
	if len(list) != 1 {
		return nil
	}
	asker := list[0].trace
	if u := asker.call.User; u != "" && t.call.User != "" && u != t.call.User {
		return nil
	}
	return asker
}
