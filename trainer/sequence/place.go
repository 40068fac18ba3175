package sequence

import (
	"slices"

	"github.com/tracegrad/tracegrad/trainer/engine"
)

// place puts the calls into rows, in the order of their steps; it says why the
// trajectory cannot be trained on, if so.
func (b *builder) place(calls []*call) string {
	b.placed, b.ends = map[int]place{}, index{rows: map[end]int{}}
	missing := map[int]string{} // step → why it has no place
	for _, c := range calls {
		if c.reply == nil || (c.left != "" && c.source != Captured) {
			if c.left == "" {
				c.left = LeftNoTokens
			}
			missing[c.step.Index] = c.left
			b.left(c.left)
			continue
		}
		from, ok := b.from(c)
		switch {
		case !ok && missing[c.base] == LeftTooLong:
			c.left = LeftTooLong
		case !ok:
			c.left = LeftNoBase
		case b.o.MaxLength > 0 && from.end+len(c.prompt)+len(c.reply) > b.o.MaxLength:
			c.left, ok = LeftTooLong, false
		}
		if c.left != "" {
			b.left(c.left)
		}
		if !ok {
			missing[c.step.Index] = c.left
			continue
		}
		if b.tokens+b.added(c, from) > maxTokens {
			return SkipTooLarge
		}
		b.put(c, from)
	}
	return ""
}

// from finds the tokens that a call's prompt begins with, and leaves in c.prompt
// what follows them. A row of -1 is none.
func (b *builder) from(c *call) (place, bool) {
	if c.base >= 0 {
		at, ok := b.placed[c.base]
		return at, ok
	}
	row := b.ends.longest(c.prompt, b.rows)
	if row < 0 {
		return place{row: -1}, true
	}
	at := place{row, len(b.rows[row].Tokens)}
	c.prompt = c.prompt[at.end:]
	return at, true
}

// branches says whether a call goes on from the middle of a row.
func (b *builder) branches(from place) bool {
	return from.row >= 0 && from.end < len(b.rows[from.row].Tokens)
}

// added is the number of tokens that a call adds to the rows.
func (b *builder) added(c *call, from place) int {
	n := len(c.prompt) + len(c.reply)
	if b.branches(from) {
		n += from.end
	}
	return n
}

// put extends a row, if the call goes on where it ends, or starts one.
func (b *builder) put(c *call, from place) {
	at := from.row
	switch {
	case at < 0:
		at = len(b.rows)
		b.rows = append(b.rows, engine.Row{})
	case b.branches(from):
		before := b.rows[at].Tokens[:from.end] // trained where they stand already
		at = len(b.rows)
		b.rows = append(b.rows, engine.Row{})
		b.extend(at, before, nil)
	}
	b.extend(at, c.prompt, nil)
	start := len(b.rows[at].Tokens)
	b.extend(at, c.reply, c)
	b.placed[c.step.Index] = place{at, len(b.rows[at].Tokens)}
	b.ends.set(at, b.rows[at].Tokens)
	if c.left == "" {
		b.spans(c, at, start)
	}
}

// extend appends tokens to a row; those of a reply (c) with their mask and
// log-probabilities.
func (b *builder) extend(at int, ids []int32, c *call) {
	row := &b.rows[at]
	n := len(row.Tokens)
	row.Tokens = append(row.Tokens, ids...)
	row.Mask = append(row.Mask, make([]bool, len(ids))...)
	row.Logprobs = append(row.Logprobs, make([]float32, len(ids))...)
	b.tokens += len(ids)
	if c == nil || c.left != "" {
		return
	}
	for t := range ids {
		row.Mask[n+t] = c.wrote == nil || c.wrote[t]
	}
	copy(row.Logprobs[n:], c.logprobs)
}

// spans notes the runs of a reply that were generated.
func (b *builder) spans(c *call, row, start int) {
	mask := b.rows[row].Mask
	for t := start; t < len(mask); {
		end := t
		for end < len(mask) && mask[end] {
			end++
		}
		if end > t {
			b.out.Spans = append(b.out.Spans, Span{Row: row, From: t, To: end, Step: c.step.Index, Agent: c.step.AgentName, Source: c.source, Logprobs: c.logprobs != nil})
			b.out.Recorded = append(b.out.Recorded, b.rows[row].Logprobs[t:end]...)
		}
		t = end + 1
	}
}

func begins(ids, with []int32) bool {
	return len(ids) >= len(with) && slices.Equal(ids[:len(with)], with)
}
