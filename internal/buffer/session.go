package buffer

import (
	"encoding/binary"
	"hash/fnv"
	"slices"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// session is what is held of a harness's session: the records that name no
// trace, and the traces with an agent that worked in it. Where there are such
// records, or a trace that tells what a tool run of another one came to, they
// wait and close as one unit, which is cut into trajectories.
type session struct {
	key     sessionKey
	user    string // "" = nobody says
	records *trace // stands for the records; nil = none
	hosts   []*trace
	ran     map[string]*trace // by tool call id, of hosts
	waiting []*trace          // hosts that look for the trace of a tool run
}

// sessionKey is who holds a session. Sessions of different users are apart.
type sessionKey struct{ tenant, service, id string }

// seat is the place of a trace in a session.
type seat struct {
	in      *session
	reports string   // the tool call whose outcome the trace tells
	ran     []string // its tool calls that are filed
	waits   bool     // is in session.waiting
}

// maxSeats bounds in how many sessions one trace may be, and how many users one
// session id may have.
const maxSeats = 8

// sessionOf finds or makes the session of a span.
func (b *Buffer) sessionOf(s *trajectory.Span) *session {
	key := sessionKey{s.Tenant, s.Service, s.Conversation}
	list := b.sessions[key]
	for _, x := range list {
		if x.user == "" || s.User == "" || x.user == s.User {
			setFirst(&x.user, s.User)
			return x
		}
	}
	if len(list) >= maxSeats {
		return nil
	}
	x := &session{key: key, user: s.User, ran: map[string]*trace{}}
	b.sessions[key] = append(list, x)
	return x
}

// adoptAll gives records that name no trace that of their session, and drops
// those of none.
func (b *Buffer) adoptAll(items []Item) []Item {
	if !slices.ContainsFunc(items, func(it Item) bool { return it.Span.TraceID == trajectory.TraceID{} }) {
		return items
	}
	kept := make([]Item, 0, len(items))
	for _, it := range items {
		if b.adopt(it.Span) {
			kept = append(kept, it)
		}
	}
	return kept
}

// refuse forgets the sessions of items that were not taken.
func (b *Buffer) refuse(items []Item) {
	for i := range items {
		if s := items[i].Span; s.Session {
			if x := b.sessionOf(s); x != nil {
				b.closeSession(x)
			}
		}
	}
}

// adopt gives a record that names no trace that of its session. It returns
// false for a record of no session.
func (b *Buffer) adopt(s *trajectory.Span) bool {
	if s.TraceID != (trajectory.TraceID{}) || s.Record == trajectory.RecordNone {
		return true
	}
	if s.Conversation == "" {
		return false
	}
	x := b.sessionOf(s)
	if x == nil {
		return false
	}
	s.Session = true
	s.TraceID = b.traceID(x)
	return true
}

// traceID is an id for the records of a session: a hash of whose it is.
func (b *Buffer) traceID(x *session) (id trajectory.TraceID) {
	if x.records != nil {
		return x.records.id
	}
	h := fnv.New128a()
	for _, part := range []string{x.key.tenant, x.key.service, x.key.id} {
		_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		_, _ = h.Write([]byte(part))
	}
	_, _ = h.Write([]byte{byte(slices.Index(b.sessions[x.key], x))}) //nolint:gosec // below maxSeats
	copy(id[:], h.Sum(nil))
	return id
}

// note files what a span says of its trace's sessions.
func (b *Buffer) note(t *trace, s *trajectory.Span) {
	if s.Conversation == "" || !s.Session && !s.Hosts {
		return
	}
	x := b.sessionOf(s)
	if x == nil {
		return
	}
	if s.Session {
		if t.session == nil {
			t.session, x.records = x, t
		}
		return
	}
	at := slices.IndexFunc(t.seats, func(p seat) bool { return p.in == x })
	if at < 0 {
		if len(t.seats) >= maxSeats {
			return
		}
		at = len(t.seats)
		t.seats = append(t.seats, seat{in: x})
		x.hosts = append(x.hosts, t)
		b.grow(t, slotCost)
		if x.records != nil {
			b.touch(x.records) // it is no piece of a conversation any more
		}
	}
	p := &t.seats[at]
	setFirst(&p.reports, s.Reports)
	if s.Tool != nil && s.Tool.CallID != "" && x.ran[s.Tool.CallID] == nil {
		x.ran[s.Tool.CallID] = t
		p.ran = append(p.ran, s.Tool.CallID)
		b.grow(t, slotCost)
	}
}

// gather ties a trace to the others of its sessions.
func (b *Buffer) gather(t *trace) {
	if x := t.session; x != nil {
		for _, h := range x.hosts {
			b.attend(h, t)
		}
	}
	for i := range t.seats {
		p := &t.seats[i]
		b.report(t, p)
		if x := p.in; x.records != nil {
			b.attend(t, x.records)
		}
		for _, w := range slices.Clone(p.in.waiting) {
			for k := range w.seats {
				if w != t && w.seats[k].in == p.in {
					b.report(w, &w.seats[k])
				}
			}
		}
	}
}

// attend ties a trace to the records of its session, unless something that
// counts for more ties it already.
func (b *Buffer) attend(t, records *trace) {
	if t.cause == nil && !t.waits && t.loose() && records.loose() {
		b.tie(t, records)
	}
}

// report ties a trace to the one whose tool run it tells the outcome of; until
// that has come it waits.
func (b *Buffer) report(t *trace, p *seat) {
	if p.reports == "" {
		return
	}
	c := p.in.ran[p.reports]
	switch {
	case c == t || c != nil && c.comesFrom(t):
		return
	case c == nil || !c.loose() || !t.loose():
		if !p.waits && len(p.in.waiting) < maxLater {
			p.waits = true
			p.in.waiting = append(p.in.waiting, t)
		}
		return
	}
	b.rest(t, p)
	if t.cause != nil && t.cause.session == nil {
		return // a link says so too
	}
	b.stopWaiting(t)
	b.tie(t, c)
}

// rest ends the wait of a trace.
func (b *Buffer) rest(t *trace, p *seat) {
	if p.waits {
		p.waits = false
		p.in.waiting = slices.DeleteFunc(p.in.waiting, func(w *trace) bool { return w == t })
	}
}

// comesFrom says whether a trace is tied to another, in however many steps.
func (t *trace) comesFrom(o *trace) bool {
	for c, n := t.cause, 0; c != nil; c, n = c.cause, n+1 {
		if c == o || n > maxLater {
			return true
		}
	}
	return false
}

// dismiss forgets a trace in its sessions.
func (b *Buffer) dismiss(t *trace) {
	if x := t.session; x != nil && x.records == t {
		x.records = nil
		b.closeSession(x)
	}
	for i := range t.seats {
		p := &t.seats[i]
		b.rest(t, p)
		p.in.hosts = slices.DeleteFunc(p.in.hosts, func(h *trace) bool { return h == t })
		for _, id := range p.ran {
			delete(p.in.ran, id)
		}
		b.closeSession(p.in)
	}
	t.session, t.seats = nil, nil
}

func (b *Buffer) closeSession(x *session) {
	if x.records != nil || len(x.hosts) > 0 {
		return
	}
	list := slices.DeleteFunc(b.sessions[x.key], func(o *session) bool { return o == x })
	if len(list) == 0 {
		delete(b.sessions, x.key)
		return
	}
	b.sessions[x.key] = list
}

// sessionPart names the trajectory of which nothing but records of a session is
// known: by the user's turn, else by what was said first.
func (t *trace) sessionPart(spans []*trajectory.Span) string {
	by := spans[0].SpanID.String()
	for _, s := range spans {
		if s.Turn != "" {
			by = "turn/" + s.Turn
			break
		}
	}
	return trajectory.IDOf(t.id.String() + "/" + by)
}

// retireRecords hands out once more, as duplicates, trajectories of records that
// are part of others now.
func (b *Buffer) retireRecords(u *unit, parts []part, reason trajectory.CloseReason) {
	for _, t := range u.traces {
		for id, e := range t.parts {
			if slices.ContainsFunc(parts, func(p part) bool { return p.id == id }) {
				continue
			}
			delete(t.parts, id)
			b.grow(t, -spanCost)
			c := Closed{Spans: []*trajectory.Span{e.stub}, Options: trajectory.Options{
				ID: e.id, Revision: b.revise(e, true), CloseReason: reason, FirstSeenAt: e.firstSeen / 1000,
				Reasons: []trajectory.Reason{trajectory.ReasonDuplicate},
			}}
			if len(parts) > 0 {
				c.Continues = parts[0].id
			}
			b.ready = append(b.ready, c)
		}
	}
}
