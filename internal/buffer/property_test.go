package buffer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestOrderDoesNotMatter: however the spans of a world of agents are ordered,
// split into requests and repeated, the last revisions are the same; even when
// trajectories close and are reopened in between.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		world := newWorld(r)
		cfg := testConfig()
		cfg.MaxAge, cfg.LateWindow = 1000*time.Hour, 1000*time.Hour
		natural := deliver(t, New(cfg), world, nil, 0)
		for i := range 3 {
			gap := time.Duration(0)
			if i == 2 {
				gap = 40 * time.Second // some wait longer than root_grace and idle
			}
			want, got := last(natural, gap == 0), last(deliver(t, New(cfg), world, r, gap), gap == 0)
			if !slices.Equal(want, got) {
				require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"), "seed %d, variant %d", seed, i)
			}
		}
	}
}

// TestAJumpOfTheClockChangesNothing: whoever sets the clock, what waits goes on
// waiting, and what comes out is newer than what came out.
func TestAJumpOfTheClockChangesNothing(t *testing.T) {
	for seed := range uint64(100) {
		world := newWorld(rand.New(rand.NewPCG(seed, 1)))
		cfg := testConfig()
		cfg.MaxAge, cfg.LateWindow = 10*time.Minute, time.Hour
		jumps := rand.New(rand.NewPCG(seed, 3))
		jump := func() time.Duration {
			if jumps.IntN(3) > 0 {
				return 0
			}
			return time.Duration(jumps.Int64N(int64(60*time.Hour))) - 30*time.Hour
		}
		want := last(deliver(t, New(cfg), world, rand.New(rand.NewPCG(seed, 2)), 40*time.Second), true)
		got := last(deliver(t, New(cfg), world, rand.New(rand.NewPCG(seed, 2)), 40*time.Second, jump), true)
		require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"), "seed %d", seed)
	}
}

// world is the spans of several agents, in a natural order.
type world struct {
	r     *rand.Rand
	items []Item
	spans int
	clock int64
}

func newWorld(r *rand.Rand) *world {
	w := &world{r: r}
	for i := range 2 + r.IntN(6) {
		name := fmt.Sprintf("%c", 'A'+i)
		switch r.IntN(8) {
		case 0:
			w.agent(name, "")
		case 1:
			w.agent(name+"1", "rollout-"+name)
			w.agent(name+"2", "rollout-"+name)
		case 2:
			w.client(name, "session-"+name)
		case 3:
			w.client(name, "")
		case 4:
			from := len(w.items)
			w.client(name, "")
			w.log(w.items[from:])
		case 5:
			w.team(name)
		case 6:
			w.coder(name, true)
		case 7:
			w.coder(name, false)
		}
	}
	return w
}

// log moves what the calls say into log records, one a message, all of a prompt
// at one time.
func (w *world) log(items []Item) {
	for _, it := range items {
		s := it.Span
		if s.Call == nil {
			continue
		}
		for _, m := range s.Call.Prompt {
			w.record(s, s.Start).Call.Prompt = []*trajectory.Message{m}
		}
		w.record(s, s.End).Call.Reply = s.Call.Reply
		s.Call = &trajectory.Call{}
	}
}

func (w *world) record(of *trajectory.Span, at int64) *trajectory.Span {
	r := w.span("", of.SpanID, trajectory.RoleModelSpan)
	r.TraceID, r.Record, r.Call, r.Start, r.End = of.TraceID, trajectory.RecordMessage, &trajectory.Call{}, at, at
	return r
}

func (w *world) span(trace string, parent trajectory.SpanID, role trajectory.Role) *trajectory.Span {
	w.spans++
	w.clock += int64(time.Second)
	s := &trajectory.Span{ParentID: parent, Role: role, GenAI: role != trajectory.RoleOther, Start: w.clock, End: w.clock + int64(time.Second)/2}
	copy(s.TraceID[:], trace)
	copy(s.SpanID[:], fmt.Sprint(w.spans))
	w.items = append(w.items, Item{Span: s})
	return s
}

// agent is a trace with a root, perhaps an ordinary one, and what is below.
func (w *world) agent(trace, rollout string) {
	root := w.span(trace, trajectory.SpanID{}, trajectory.RoleAgentSpan)
	root.Rollout = rollout
	if w.r.IntN(3) == 0 {
		root.Role = trajectory.RoleOther
		root = w.span(trace, root.SpanID, trajectory.RoleAgentSpan)
	}
	above := root.SpanID
	for range w.r.IntN(6) {
		s := w.span(trace, above, trajectory.RoleModelSpan+trajectory.Role(w.r.IntN(2)))
		if w.r.IntN(3) == 0 {
			above = s.SpanID
		}
	}
}

// team is agents that send each other messages: each message begins a trace.
func (w *world) team(name string) {
	from := w.span(name, trajectory.SpanID{}, trajectory.RoleAgentSpan)
	for i := range 1 + w.r.IntN(4) {
		root := w.span(fmt.Sprintf("%s-%d", name, i), trajectory.SpanID{}, trajectory.RoleOther)
		root.Link = &trajectory.Link{TraceID: from.TraceID, SpanID: from.SpanID, Message: true}
		if w.r.IntN(4) == 0 {
			root.Link.Message, from.End = false, root.Start
		}
		switch w.r.IntN(3) {
		case 0:
			w.span(fmt.Sprintf("%s-%d", name, i), root.SpanID, trajectory.RoleModelSpan)
		case 1:
			from = root
		}
	}
}

// coder is a coding agent: a message of the user is a turn, in a trace of its own
// or in records alone; what a tool began may be told by a later turn.
func (w *world) coder(name string, traced bool) {
	of := func(s *trajectory.Span) *trajectory.Span {
		s.Service, s.Conversation = "cli", name
		return s
	}
	told := func(role trajectory.Role, turn string) *trajectory.Span {
		s := of(w.span("", trajectory.SpanID{}, role))
		s.Record, s.Turn, s.Name, s.Start = trajectory.RecordEvent, turn, fmt.Sprint(role), s.End
		return s
	}
	ids := w.r.IntN(2) == 0 // records name their turns
	for i := range 1 + w.r.IntN(4) {
		turn := ""
		if ids {
			turn = fmt.Sprint(name, i)
		}
		w.clock += int64(time.Minute)
		var under trajectory.SpanID
		if traced {
			root := of(w.span(fmt.Sprint(name, i), trajectory.SpanID{}, trajectory.RoleAgentSpan))
			root.Hosts, under = true, root.SpanID
			if i > 0 && w.r.IntN(3) == 0 {
				root.Reports = fmt.Sprint("call", w.r.IntN(i))
			}
			defer func() { root.End = max(root.End, root.Start+int64(30*time.Second)) }()
			if w.r.IntN(2) == 0 {
				tool := of(w.span(fmt.Sprint(name, i), under, trajectory.RoleToolSpan))
				tool.Hosts, tool.Tool = true, &trajectory.ToolRun{CallID: fmt.Sprint("call", i)}
			}
		}
		if !traced || w.r.IntN(2) == 0 {
			told(trajectory.RoleAgentSpan, turn)
		}
		for range w.r.IntN(3) {
			told(trajectory.RoleModelSpan, turn).Call = &trajectory.Call{}
			told(trajectory.RoleToolSpan, turn).Tool = &trajectory.ToolRun{CallID: fmt.Sprint("run", w.spans)}
		}
	}
}

// client is a program that calls a model without any span around the calls.
func (w *world) client(name, conversation string) {
	prompt := []*trajectory.Message{{Role: trajectory.RoleUser, Text: "the same question"}}
	calls, held := 1+w.r.IntN(5), w.r.IntN(3)
	for i := range calls {
		s := w.span(fmt.Sprintf("%s-%d", name, i), trajectory.SpanID{}, trajectory.RoleModelSpan)
		s.Conversation = conversation
		s.Call = &trajectory.Call{Prompt: slices.Clone(prompt)}
		s.Call.ResponseID = fmt.Sprintf("resp-%s-%d", name, i)
		if i > 0 && held < 2 { // by the server, which is told so or not
			s.Call.Prompt = slices.Clone(prompt[len(prompt)-1:])
			if held == 1 {
				s.Previous = fmt.Sprintf("resp-%s-%d", name, i-1)
			}
		}
		id := fmt.Sprintf("call-%s-%d", name, i)
		reply := &trajectory.Message{Role: trajectory.RoleAssistant, ToolCalls: []trajectory.ToolCall{{ID: id, Name: "look", Arguments: "{}"}}}
		if i == calls-1 {
			reply = &trajectory.Message{Role: trajectory.RoleAssistant, Text: "the same answer"}
		}
		s.Call.Reply = []*trajectory.Message{reply}
		prompt = append(prompt, reply, &trajectory.Message{Role: trajectory.RoleTool, ToolCallID: id, Text: "the same result"})
		if i < calls-1 && w.r.IntN(3) == 0 {
			tool := w.span(fmt.Sprintf("%s-%d-tool", name, i), trajectory.SpanID{}, trajectory.RoleToolSpan)
			tool.Conversation = conversation
			tool.Tool = &trajectory.ToolRun{CallID: id, Name: "look"}
		}
	}
}

// deliver sends the world's spans, with r in any order, split and repeated,
// and returns all that comes out.
func deliver(t *testing.T, b *Buffer, w *world, r *rand.Rand, gap time.Duration, jumps ...func() time.Duration) (out []Closed) {
	t.Helper()
	items := make([]Item, 0, len(w.items))
	for _, it := range w.items {
		c := *it.Span
		items = append(items, Item{Span: &c})
	}
	if r != nil {
		for range len(items) / 3 {
			c := *items[r.IntN(len(items))].Span
			items = append(items, Item{Span: &c})
		}
		r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	}
	var prepare []Whole
	defer func() {
		for i := range out {
			if made, ok := out[i].Prepared.([]*trajectory.Span); ok {
				require.Empty(t, out[i].Spans)
				out[i].Spans = made
			}
		}
	}()
	now := int64(100 * time.Hour)
	for len(items) > 0 {
		for _, jump := range jumps {
			by := int64(jump())
			b.Shift(by)
			now += by
		}
		n := len(items)
		if r != nil {
			n = 1 + r.IntN(n)
		}
		require.NoError(t, b.Add(now, items[:n]))
		checkBooks(t, b)
		for _, w := range b.Rested() {
			if w.Spans != nil && (r == nil || r.IntN(4) > 0) {
				prepare = append(prepare, w)
			}
		}
		for len(prepare) > 0 && (r == nil || r.IntN(3) > 0) { // sometimes late
			b.Prepare(prepare[0], prepare[0].Spans, 100)
			prepare = prepare[1:]
			checkBooks(t, b)
		}
		items = items[n:]
		if gap > 0 {
			now += r.Int64N(int64(2 * gap))
			out = append(out, b.Due(now, 1000)...)
			checkBooks(t, b)
		}
	}
	return append(out, b.Due(now+int64(time.Hour), 1000)...)
}

// last describes the newest revision of every trajectory that is not a
// duplicate of another. Ids are the same as long as nothing was handed out
// before all was there: a fragment's id is that of the first to be handed out.
func last(list []Closed, ids bool) []string {
	newest := map[string]Closed{}
	for _, c := range list {
		if have, ok := newest[c.ID]; !ok || c.Revision > have.Revision {
			newest[c.ID] = c
		}
	}
	var out []string
	for _, c := range newest {
		if slices.Contains(c.Reasons, trajectory.ReasonDuplicate) {
			continue
		}
		var spans []string
		for _, s := range c.Spans {
			spans = append(spans, spanName(s))
		}
		slices.Sort(spans)
		line := fmt.Sprint(spans, c.CloseReason, c.Reasons)
		if ids {
			line = c.ID + " " + line
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}
