package trajectory

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Options are what Assemble cannot read from spans.
type Options struct {
	ID          string // "" = IDOf the trace of the first-seen span
	Revision    int64  // µs
	Writer      string
	CloseReason CloseReason
	Continues   string
	FirstSeenAt int64    // µs
	Reasons     []Reason // why the trajectory must not be trained on, known before assembly
}

// Assemble turns the decoded spans of one attempt into a trajectory. The order
// of spans does not matter; spans that come twice count once. The spans and
// their messages are not changed; the trajectory shares their strings.
//
// It reads as the flow: wrappers are folded into the calls they wrap, calls are
// linked to threads, lossy replies are repaired from the next call's prompt,
// tool runs are matched to the calls that asked for them, everything is put in
// order, and what is missing is said.
func Assemble(spans []*Span, o Options) *Trajectory {
	return new(Assembler).Assemble(spans, o)
}

// Assemble is [Assemble] for who is done with a trajectory before the next one:
// what it returns is valid until the next call.
func (a *Assembler) Assemble(spans []*Span, o Options) *Trajectory {
	a.results.reset()
	room := scratches.Get().(*scratch)
	defer room.done()
	b := newBuilder(Restore(Join(spans)), room, &a.results)
	b.link()
	b.pieces()
	b.askedBelow()
	b.repair()
	b.concluded()
	b.ask()
	b.matchTools()
	b.wholePrompts()
	nodes := b.ordered()

	t := &Trajectory{
		ID: o.ID, Revision: o.Revision, Writer: o.Writer, CloseReason: o.CloseReason,
		Continues: o.Continues, FirstSeenAt: o.FirstSeenAt, Source: SourceSpans, Status: StatusOK,
		SpanCount: len(b.tree.spans),
	}
	b.describe(t, nodes)
	b.writeSteps(t, nodes)
	b.outcome(t, nodes)
	b.judge(t, o.Reasons)
	return t
}

// describe sets what the spans say about the trajectory as a whole.
func (b *builder) describe(t *Trajectory, nodes []*node) {
	traces, agents := []string{}, []string{}
	var dialects []string
	attributes := map[string]string{}
	var firstSeen *Span
	for _, n := range nodes {
		if n.span != nil && !n.span.Session {
			traces = appendNew(traces, b.hexed.trace(n.span.TraceID))
		}
	}
	if r := b.tree.root(); r >= 0 {
		maps.Copy(attributes, b.tree.spans[r].Attributes)
	}
	for _, s := range b.tree.spans {
		if !s.Session {
			traces = appendNew(traces, b.hexed.trace(s.TraceID))
		}
		if firstSeen == nil || s.Seq < firstSeen.Seq {
			firstSeen = s
		}
		for d := range strings.SplitSeq(s.Dialect, ",") {
			if d != "" {
				dialects = appendNew(dialects, d)
			}
		}
		if s.GenAI {
			setFirst(&t.ServiceName, s.Service)
		}
		setFirst(&t.ConversationID, s.Conversation)
		setFirst(&t.UserID, s.User)
		setFirst(&t.Tenant, s.Tenant)
		if s.TaskKey != "" && t.TaskKey == "" {
			t.TaskKey, t.TaskKeySource = s.TaskKey, "attribute"
		}
		for k, v := range s.Attributes {
			if _, ok := attributes[k]; !ok && !slices.Contains(CallAttributes, k) {
				attributes[k] = v
			}
		}
		t.Facts = append(t.Facts, s.Facts...)
		if t.StartedAt == 0 || s.Start/1000 < t.StartedAt {
			t.StartedAt = s.Start / 1000
		}
		t.EndedAt = max(t.EndedAt, s.End/1000)
	}
	for _, n := range nodes {
		if n.span != nil {
			if a := b.tree.agentOf(n.at); a != "" {
				agents = appendNew(agents, a)
			}
		}
	}
	if t.ID == "" && firstSeen != nil {
		t.ID = IDOf(b.hexed.trace(firstSeen.TraceID))
	}
	slices.Sort(dialects)
	t.TraceIDs, t.AgentNames, t.Dialects = traces, agents, dialects
	if len(attributes) > 0 {
		raw, _ := json.Marshal(attributes) // a map of strings: cannot fail
		t.Attributes = string(raw)
	}
}

func setFirst(dst *string, v string) {
	if *dst == "" {
		*dst = v
	}
}

func appendNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}
