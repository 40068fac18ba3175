package trajectory

import (
	"cmp"
	"slices"
)

// Record says what a Span that stands for a log record (or for an event of a
// span) holds of the span that it was written under: its ParentID.
type Record uint8

// The kinds of records.
const (
	RecordNone    Record = iota // a span
	RecordMessage               // one message of a prompt or of a reply
	RecordDetails               // a prompt, a reply or both, whole

	// Harnesses write records below an agent's span, or below none at all: which
	// call, run or turn they are of is said by ids, by order and by what they show.
	RecordEvent    // a call that ended, a run or a turn: it happened, whether or not a span shows it
	RecordRequest  // of the request of a call, written before it ended
	RecordResponse // of the response of a call, written after its RecordEvent
)

// own says whether a record tells of something that is not the span that it was
// written under.
func (s *Span) own() bool { return s.Record >= RecordEvent }

// Join folds log records into the spans that they were written under, and
// returns the spans; without records the very slice. Spans are not changed:
// those that records add to are copies. What a span says itself counts, records
// fill what it lacks.
//
// Records whose span never came (it was not ended, or it was lost) stand for it:
// the call happened. So do the events of harnesses that no span shows. Messages that were written at the same time are put in
// order by what else is known of the conversation: who spoke first in an
// earlier call, and which call a result answers.
func Join(spans []*Span) []*Span {
	if !slices.ContainsFunc(spans, func(s *Span) bool { return s.Record != RecordNone }) {
		return spans
	}
	j := joiner{at: map[spanKey]int{}, records: map[spanKey][]*Span{}}
	known := map[spanKey]bool{}
	var own []*Span
	for _, s := range spans {
		key := spanKey{s.TraceID, s.SpanID}
		switch {
		case known[key]:
			continue
		case s.Record == RecordNone:
			j.at[key] = len(j.spans)
			j.spans = append(j.spans, s)
		case s.own():
			own = append(own, s)
		default:
			host := spanKey{s.TraceID, s.ParentID}
			j.records[host] = append(j.records[host], s)
		}
		known[key] = true
	}
	j.standIn()
	j.settle(own)
	j.fold()
	return j.spans
}

type joiner struct {
	spans   []*Span
	at      map[spanKey]int     // in spans
	records map[spanKey][]*Span // by the span they belong to
	first   map[uint64]int      // message → the first host, by start, whose prompt shows it
}

// standIn makes spans for records whose own span is not here.
func (j *joiner) standIn() {
	for key, records := range j.records {
		if _, ok := j.at[key]; ok || key.span == (SpanID{}) {
			continue
		}
		var s *Span
		for _, r := range records {
			switch {
			case r.Role != RoleModelSpan && r.Role != RoleToolSpan:
				continue
			case s == nil:
				s = &Span{TraceID: key.trace, SpanID: key.span, Name: r.Name, Start: r.Start, Role: r.Role, GenAI: true, Service: r.Service, Seq: r.Seq}
			}
			s.Start, s.End, s.Seq = min(s.Start, r.Start), max(s.End, r.Start), min(s.Seq, r.Seq)
		}
		if s != nil {
			j.at[key] = len(j.spans)
			j.spans = append(j.spans, s)
		}
	}
}

// fold adds the records to their spans, earlier spans first.
func (j *joiner) fold() {
	hosts := make([]spanKey, 0, len(j.records))
	for key := range j.records {
		if _, ok := j.at[key]; ok {
			hosts = append(hosts, key)
		}
	}
	slices.SortFunc(hosts, func(x, y spanKey) int {
		a, b := j.spans[j.at[x]], j.spans[j.at[y]]
		return cmp.Or(cmp.Compare(a.Start, b.Start), slices.Compare(x.trace[:], y.trace[:]), slices.Compare(x.span[:], y.span[:]))
	})
	j.first = map[uint64]int{}
	for i, key := range hosts {
		for _, r := range j.records[key] {
			if r.Record != RecordMessage || r.Call == nil {
				continue
			}
			for _, m := range r.Call.Prompt {
				if k := identity(m); j.first[k] == 0 {
					j.first[k] = i + 1
				}
			}
		}
	}
	for _, key := range hosts {
		at := j.at[key]
		j.spans[at] = j.joined(j.spans[at], j.records[key])
	}
}

// joined is a span with what its records say.
func (j *joiner) joined(s *Span, records []*Span) *Span {
	whole := *s
	var c Call
	if s.Call != nil {
		c = *s.Call
	}
	prompt, loose := j.said(records, func(c *Call) []*Message { return c.Prompt })
	reply, _ := j.said(records, func(c *Call) []*Message { return c.Reply })
	if whole.Role == RoleModelSpan {
		if len(c.Prompt) == 0 {
			c.Prompt, c.Unordered = prompt, loose
		}
		if len(c.Reply) == 0 {
			c.Reply = Together(reply) // a record for each piece of a stream
		}
	}
	for _, r := range records {
		whole.absorb(r, &c)
		if whole.Told && r.own() {
			whole.Start = min(whole.Start, r.Start)
		}
	}
	if whole.Role == RoleModelSpan {
		whole.Call = &c
	}
	return &whole
}

// absorb takes from a record what the span lacks.
func (s *Span) absorb(r *Span, c *Call) {
	setFirst(&s.Service, r.Service)
	setFirst(&s.Conversation, r.Conversation)
	setFirst(&s.User, r.User)
	setFirst(&s.Tenant, r.Tenant)
	setFirst(&s.Rollout, r.Rollout)
	setFirst(&s.Previous, r.Previous)
	setFirst(&s.Agent, r.Agent)
	setFirst(&s.Turn, r.Turn)
	setFirst(&s.AgentID, r.AgentID)
	setFirst(&s.Request, r.Request)
	setFirst(&s.Starts, r.Starts)
	setFirst(&s.Reports, r.Reports)
	setFirst(&s.In, r.In)
	setFirst(&s.Out, r.Out)
	if s.Role == r.Role {
		setFirst(&s.Error, r.Error)
	}
	if s.Dialect == "" {
		s.Dialect = r.Dialect
	}
	for _, why := range r.Missing {
		s.Missing = appendNew(slices.Clip(s.Missing), why)
	}
	s.Facts = append(slices.Clip(s.Facts), r.Facts...)
	s.Size += r.Size
	s.Records += recordHash(r.SpanID)
	if r.Call != nil {
		own := *r.Call
		c.Apart = c.Apart || own.Apart
		own.Prompt, own.Reply = nil, nil
		c.fill(&own)
	}
	if r.Tool != nil && s.Role == RoleToolSpan {
		run := ToolRun{}
		if s.Tool != nil {
			run = *s.Tool
		}
		run.fill(r.Tool)
		s.Tool = &run
	}
}

// recordHash makes sums of ids tell their sets apart.
func recordHash(id SpanID) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range id {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h | 1
}

// said is what records say, in order: the whole where a record shows it, else
// message by message. loose says that nothing in the records tells the order.
func (j *joiner) said(records []*Span, of func(*Call) []*Message) (ms []*Message, loose bool) {
	most := 0
	var list []*Span
	for _, r := range records {
		if r.Call == nil || len(of(r.Call)) == 0 || r.Record.shows() < most {
			continue
		}
		if n := r.Record.shows(); n > most {
			most, list = n, list[:0]
		}
		list = append(list, r)
	}
	loose = j.sort(list, of)
	if most == showsAll { // all are witnesses of the same: some leave instructions out
		slices.SortStableFunc(list, func(a, b *Span) int { return cmp.Compare(len(of(b.Call)), len(of(a.Call))) })
		list = list[:1]
	}
	for _, r := range list {
		ms = append(ms, of(r.Call)...)
	}
	return ms, loose
}

const (
	showsPart = iota + 1 // one of several messages
	showsAll             // a prompt or a reply, whole
	showsSome            // whole, but it may come in several records
)

func (r Record) shows() int {
	switch r {
	case RecordDetails:
		return showsSome
	case RecordEvent, RecordRequest:
		return showsAll
	}
	return showsPart
}

// sort puts records in order: by their own count where all have one, else by
// time, else by the conversation.
func (j *joiner) sort(list []*Span, of func(*Call) []*Message) (loose bool) {
	if !slices.ContainsFunc(list, func(r *Span) bool { return r.Order == 0 }) {
		slices.SortStableFunc(list, func(a, b *Span) int { return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Start, b.Start)) })
		return false
	}
	places := j.places(list, of)
	slices.SortStableFunc(list, func(a, b *Span) int {
		if a.Start != b.Start {
			return cmp.Compare(a.Start, b.Start)
		}
		return places[a].compare(places[b])
	})
	for i := 1; i < len(list); i++ {
		a, b := places[list[i-1]], places[list[i]]
		loose = loose || list[i-1].Start == list[i].Start && a.first == b.first && a.class == b.class && a.chain != b.chain
	}
	return loose
}

// rank is where a message belongs among those of the same time.
type rank struct {
	first int    // the first call that shows it
	class int    // who speaks
	chain uint64 // the reply that it is, or that it answers
	nth   int    // in the chain: the reply, then results in the order of its calls
}

func (p rank) compare(o rank) int {
	return cmp.Or(cmp.Compare(p.first, o.first), cmp.Compare(p.class, o.class), cmp.Compare(p.chain, o.chain), cmp.Compare(p.nth, o.nth))
}

// places finds where the messages of records belong. In the first call that
// shows anything, instructions come first, then the user; in a later one what
// is new begins with the reply to the call before.
func (j *joiner) places(list []*Span, of func(*Call) []*Message) map[*Span]rank {
	asked := map[string]rank{} // by id of the tool call
	begin := len(j.first) + 1
	for _, r := range list {
		begin = min(begin, j.first[identity(of(r.Call)[0])])
		for _, m := range of(r.Call) {
			for i := range m.ToolCalls {
				asked[m.ToolCalls[i].ID] = rank{chain: r.Seq, nth: i + 1}
			}
		}
	}
	out := make(map[*Span]rank, len(list))
	for _, r := range list {
		m := of(r.Call)[0]
		p := rank{first: j.first[identity(m)], chain: r.Seq}
		switch {
		case m.Role == RoleSystem:
			p.first, p.class = 0, 0
		case m.Role == RoleUser && p.first == begin:
			p.class = 1
		case m.Role == RoleUser:
			p.class = 3
		default:
			p.class = 2
			if a, ok := asked[m.ToolCallID]; ok && m.ToolCallID != "" {
				p.chain, p.nth = a.chain, a.nth
			}
		}
		out[r] = p
	}
	return out
}
