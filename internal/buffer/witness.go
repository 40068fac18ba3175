package buffer

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// witnesses finds the agent's own span of a model call that the gateway shows in
// a trace of its own: agents that trace their calls do not always send their
// trace along. It knows calls by the id of the response, by the ids of the tool
// calls in it, and by what was said, asked and answered. The newest maxWitnesses
// are known.
type witnesses struct {
	agents   map[witnessKey]witness
	gateways map[witnessKey]witness
	ring     []witnessKey
	next     int
}

// witnessKey is how a call is known: its first byte says by what.
type witnessKey string

const (
	byResponse = "r"
	byToolCall = "c"
	byContent  = "t" // two calls may say the same: one must run within the other
	bySpan     = "s" // the gateway's, once it has moved: it may be sent again
)

// witness is a model span that is held.
type witness struct {
	trace      trajectory.TraceID
	span       trajectory.SpanID
	tenant     string
	start, end int64
}

const (
	maxWitnesses = 1 << 16
	maxKeyBytes  = 64
	skew         = int64(30 * time.Second)       // of clocks, where an id says that it is one call
	nested       = int64(100 * time.Millisecond) // likewise, where nothing but the text does
)

// meet takes note of a model call, and moves the gateway's witness of it below
// the agent's once both are here.
func (b *Buffer) meet(s *trajectory.Span) {
	if s.Role != trajectory.RoleModelSpan || s.Call == nil || s.Record != trajectory.RecordNone || b.cfg.ByKey {
		return
	}
	alone := s.Gateway && s.ParentID == trajectory.SpanID{}
	if b.witnesses == nil {
		if !alone {
			return // without a gateway there is nobody to meet
		}
		b.listWitnesses()
	}
	if s.Gateway && !alone {
		return // its parent says whose it is
	}
	w := witness{s.TraceID, s.SpanID, s.Tenant, s.Start, s.End}
	mine, others := b.witnesses.agents, b.witnesses.gateways
	if alone {
		mine, others = others, mine
	}
	keys := keysOf(s)
	if alone {
		keys = append(keys, w.key())
	}
	for _, key := range keys {
		gateway, agent := others[key], w
		if alone {
			gateway, agent = w, others[key]
		}
		if _, ok := others[key]; ok && agent.sees(gateway, key) && b.rehome(gateway, agent) {
			b.witnesses.met(keys, gateway, agent)
			return
		}
	}
	for _, key := range keys {
		b.witnesses.note(mine, key, w)
	}
}

// met takes down that two have met: a call has one witness of each kind, and
// whoever sends the gateway's span again finds it where it is.
func (x *witnesses) met(keys []witnessKey, gateway, agent witness) {
	for _, key := range keys {
		if x.agents[key] == agent {
			delete(x.agents, key)
		}
		if x.gateways[key] == gateway {
			delete(x.gateways, key)
		}
	}
	x.note(x.agents, gateway.key(), agent)
}

func (w witness) key() witnessKey {
	return witnessKey(bySpan + string(w.trace[:]) + string(w.span[:]))
}

// listWitnesses begins to know calls: those that are held already as well.
func (b *Buffer) listWitnesses() {
	b.witnesses = &witnesses{agents: map[witnessKey]witness{}, gateways: map[witnessKey]witness{}}
	for _, t := range b.traces {
		for _, s := range t.all() {
			if s.Role == trajectory.RoleModelSpan && s.Call != nil && !s.Gateway && s.Record == trajectory.RecordNone {
				for _, key := range keysOf(s) {
					b.witnesses.note(b.witnesses.agents, key, witness{s.TraceID, s.SpanID, s.Tenant, s.Start, s.End})
				}
			}
		}
	}
}

// note remembers a call; of several at one time with one key the first by
// start.
func (x *witnesses) note(in map[witnessKey]witness, key witnessKey, w witness) {
	if old, ok := in[key]; ok && old.start <= w.start && w.start <= old.end+skew {
		return
	}
	in[key] = w
	if len(x.ring) < maxWitnesses {
		x.ring = append(x.ring, key)
		return
	}
	delete(x.agents, x.ring[x.next])
	delete(x.gateways, x.ring[x.next])
	x.ring[x.next] = key
	x.next = (x.next + 1) % maxWitnesses
}

// sees says whether an agent's call can be the one that the gateway saw: of the
// same tenant, and at the same time.
func (w witness) sees(gateway witness, key witnessKey) bool {
	if gateway.tenant != "" && gateway.tenant != w.tenant {
		return false
	}
	if key[:1] == byContent {
		return w.start-nested <= gateway.start && w.end != 0 && gateway.end <= w.end+nested
	}
	return w.start-skew <= gateway.end && (w.end == 0 || gateway.start <= w.end+skew)
}

// keysOf is what a call is known by.
func keysOf(s *trajectory.Span) []witnessKey {
	var keys []witnessKey
	if s.Call.ResponseID != "" {
		keys = append(keys, keyOf(byResponse, s.Call.ResponseID))
	}
	said := fnv.New128a()
	for _, m := range s.Call.Reply {
		for _, c := range m.ToolCalls {
			if c.ID != "" {
				keys = append(keys, keyOf(byToolCall, c.ID))
			}
		}
		fmt.Fprintf(said, "%x ", m.Key())
	}
	asked := s.Call.Prefixes()
	if len(asked) == 0 || len(s.Call.Reply) == 0 {
		return keys
	}
	fmt.Fprintf(said, "%x", asked[len(asked)-1])
	return append(keys, witnessKey(byContent+string(said.Sum(nil))))
}

// keyOf is the key of an id: of a long one a hash, for keys outlive their traces.
func keyOf(kind, id string) witnessKey {
	if len(id) <= maxKeyBytes {
		return witnessKey(kind + id)
	}
	h := sha256.Sum256([]byte(id))
	return witnessKey(kind + "sha256:" + string(h[:]))
}

// rehome moves the trace that the gateway made for a call below the agent's span
// of the call. What was handed out already stays where it is: the dataset tells
// that both may be one.
func (b *Buffer) rehome(gateway, agent witness) bool {
	from, to := b.traces[gateway.trace], b.traces[agent.trace]
	if from == nil || to == nil || from == to || from.part != nil || from.overflow || from.session != nil || from.continues != "" ||
		from.unit != nil && from.unit.state != opened || to.overflow || to.unit != nil && to.unit.state == truncated || !to.known.has(agent.span) {
		return false
	}
	items := from.items()
	for _, entry := range from.logs {
		b.needs(to, entry)
	}
	b.forget(from)
	for i := range items {
		s := *items[i].Span
		s.TraceID = agent.trace
		if s.ParentID == (trajectory.SpanID{}) {
			s.ParentID, s.Remote = agent.span, false
		}
		if s.Record == trajectory.RecordNone {
			b.tally.Accepted[s.Role]-- // it is taken in a second time
		} else {
			b.tally.Records--
		}
		items[i].Span = &s
		b.insert(&items[i])
	}
	return true
}

// items is the spans of a trace as they came.
func (t *trace) items() []Item {
	raw := map[*trajectory.Span]Item{}
	for _, it := range t.fresh {
		raw[it.Span] = it
	}
	var out []Item
	for _, s := range t.all() {
		if it, ok := raw[s]; ok {
			out = append(out, it)
		} else {
			out = append(out, Item{Span: s, Key: t.key})
		}
	}
	return out
}

// forget removes a trace as if it had not come.
func (b *Buffer) forget(t *trace) {
	b.unprepare(t)
	b.unlink(t)
	b.uncouple(t)
	b.dismiss(t)
	b.leave(t)
	delete(b.traces, t.id)
	b.release(t)
	b.bytes -= t.bytes
}
