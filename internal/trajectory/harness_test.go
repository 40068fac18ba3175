package trajectory

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// harness builds what a coding agent writes: spans below an agent's span, and
// records that name the agent's span only.
type harness struct {
	spans []*Span
	n     byte
}

func (h *harness) add(s *Span) *Span {
	h.n++
	s.TraceID, s.GenAI, s.Service, s.Conversation, s.Seq = TraceID{1}, true, "cli", "session", uint64(h.n)
	if s.SpanID == (SpanID{}) {
		s.SpanID = SpanID{h.n}
	}
	if s.Record != RecordNone {
		s.SpanID, s.Order = SpanID{0xee, h.n}, int(h.n)
	}
	h.spans = append(h.spans, s)
	return s
}

func (h *harness) agent(in string) *Span {
	return h.add(&Span{Role: RoleAgentSpan, Start: 0, End: 10_000 * ms, In: in})
}

func (h *harness) call(under *Span, from, to int64, finish string) *Span {
	return h.add(&Span{
		Role: RoleModelSpan, ParentID: under.SpanID, Start: from * ms, End: to * ms,
		Call: &Call{ModelCall: ModelCall{RequestModel: "m", FinishReason: finish, OutputTokens: new(from)}},
	})
}

func (h *harness) run(under *Span, from, to int64, id, name string) *Span {
	return h.add(&Span{Role: RoleToolSpan, ParentID: under.SpanID, Start: from * ms, End: to * ms, Tool: &ToolRun{Name: name, CallID: id}})
}

func (h *harness) ended(under *Span, at, tokens int64) *Span {
	return h.add(&Span{
		Record: RecordEvent, Role: RoleModelSpan, Name: "ended", ParentID: under.SpanID, Start: at * ms, End: at * ms,
		Call: &Call{ModelCall: ModelCall{RequestModel: "m", OutputTokens: &tokens}},
	})
}

func (h *harness) answer(under *Span, at int64, text string) *Span {
	return h.add(&Span{
		Record: RecordResponse, Role: RoleModelSpan, Name: "answer", ParentID: under.SpanID, Start: at * ms, End: at * ms,
		Call: &Call{ModelCall: ModelCall{RequestModel: "m"}, Reply: []*Message{{Role: RoleAssistant, Text: text}}},
	})
}

func (h *harness) ran(under *Span, at int64, id, name, args string) *Span {
	return h.add(&Span{
		Record: RecordEvent, Role: RoleToolSpan, Name: "ran", ParentID: under.SpanID, Start: at * ms, End: at * ms,
		Tool: &ToolRun{Name: name, CallID: id, Arguments: args},
	})
}

// outline is the steps of a trajectory, one line each.
func outline(t *Trajectory) (lines []string) {
	for i := range t.Steps {
		s := &t.Steps[i]
		line := fmt.Sprintf("%s %d ", s.AgentName, s.Thread)
		if s.Model != nil {
			for _, m := range s.Model.Output {
				line += t.Messages[m].Text
				for _, c := range t.Messages[m].ToolCalls {
					line += fmt.Sprintf(" %s(%s)#%s", c.Name, c.Arguments, c.ID)
				}
			}
		} else {
			line += fmt.Sprintf("-> %s(%s)#%s", s.Tool.Name, s.Tool.Arguments, s.Tool.CallID)
		}
		if s.Error != "" {
			line += " failed: " + s.Error
		}
		lines = append(lines, line)
	}
	return lines
}

// sameAnyway assembles spans in many orders; all must give the same outline.
func sameAnyway(t *testing.T, spans []*Span) *Trajectory {
	t.Helper()
	first := Assemble(spans, Options{ID: "t"})
	for seed := range uint64(20) {
		got := Assemble(shuffled(rand.New(rand.NewPCG(seed, 3)), spans), Options{ID: "t"})
		require.Equal(t, outline(first), outline(got), "seed %d", seed)
		require.Equal(t, first.Input, got.Input)
		require.Equal(t, first.Output, got.Output)
	}
	return first
}

// loop is an agent that calls a tool twice at once, then answers. Tools start
// before the call that asked for them has ended.
func loop() (*harness, *Span) {
	h := &harness{}
	a := h.agent("How warm is it?")
	h.call(a, 100, 200, "tool_use")
	h.run(a, 190, 240, "c1", "mcp__x__get")
	h.run(a, 195, 260, "c2", "mcp__x__get")
	h.call(a, 300, 400, "end_turn")
	return h, a
}

func TestHarnessRecords(t *testing.T) {
	h, a := loop()
	h.ended(a, 199, 100)
	h.answer(a, 201, "Looking.")
	h.ran(a, 240, "c1", "mcp_tool", `{"city":"Oslo"}`)
	h.ran(a, 260, "c2", "mcp_tool", `{"city":"Bergen"}`)
	h.ended(a, 400, 300)
	h.answer(a, 401, "Cold.")
	got := sameAnyway(t, h.spans)
	assert.Equal(t, []string{
		` 0 Looking. mcp__x__get({"city":"Oslo"})#c1 mcp__x__get({"city":"Bergen"})#c2`,
		` 0 -> mcp__x__get({"city":"Oslo"})#c1`,
		` 0 -> mcp__x__get({"city":"Bergen"})#c2`,
		` 0 Cold.`,
	}, outline(got))
	assert.Equal(t, "How warm is it?", got.Input)
	assert.Equal(t, "Cold.", got.Output)
	assert.Contains(t, got.Steps[0].Reasons, ReasonNoOutput, "there may be more than the runs show")
	assert.NotContains(t, got.Steps[3].Reasons, ReasonNoOutput)
	assert.False(t, got.Trainable)
}

// TestHarnessWithoutSpans: what records tell happened, also where no spans are
// sent.
func TestHarnessWithoutSpans(t *testing.T) {
	h, a := loop()
	h.ended(a, 199, 100).Start = 100 * ms
	h.answer(a, 201, "Looking.")
	h.ran(a, 240, "c1", "get", `{"city":"Oslo"}`).Start = 190 * ms
	h.ended(a, 400, 300).Start = 300 * ms
	h.answer(a, 401, "Cold.")
	var records []*Span
	for _, s := range h.spans {
		if s.Record != RecordNone {
			s.ParentID = SpanID{}
			records = append(records, s)
		}
	}
	got := sameAnyway(t, records)
	assert.Equal(t, []string{` 0 Looking. get({"city":"Oslo"})#c1`, ` 0 -> get({"city":"Oslo"})#c1`, ` 0 Cold.`}, outline(got))
}

// TestHarnessTwoAtOnce: of two calls that were going on nobody can tell which
// one a text is of; what was counted tells.
func TestHarnessTwoAtOnce(t *testing.T) {
	h := &harness{}
	a := h.agent("")
	h.call(a, 100, 300, "end_turn")
	h.call(a, 110, 310, "end_turn")
	h.answer(a, 200, "whose?")
	assert.Equal(t, []string{" 0 ", " 0 "}, outline(sameAnyway(t, h.spans)), "it is left out")

	h.spans = h.spans[:3]
	h.ended(a, 301, 100)
	h.answer(a, 302, "first")
	h.ended(a, 311, 110)
	h.answer(a, 312, "second")
	assert.Equal(t, []string{" 0 first", " 0 second"}, outline(sameAnyway(t, h.spans)))
}

// TestHarnessAttempt: a request that failed and was sent again within a call is
// no call; one that no span shows is.
func TestHarnessAttempt(t *testing.T) {
	h := &harness{}
	a := h.agent("")
	h.call(a, 100, 300, "end_turn")
	h.ended(a, 150, 0).Error = "overloaded"
	h.ended(a, 300, 100)
	assert.Equal(t, []string{" 0 "}, outline(sameAnyway(t, h.spans)))
	h.ended(a, 900, 0).Error = "overloaded"
	assert.Equal(t, []string{" 0 ", " 0  failed: overloaded"}, outline(sameAnyway(t, h.spans)))
}

// TestHarnessSubagent: the calls below a tool run are of the agent that it
// starts and of a thread of their own, also when they outlive it.
func TestHarnessSubagent(t *testing.T) {
	h := &harness{}
	a := h.agent("Refund me.")
	h.call(a, 100, 200, "tool_use")
	task := h.run(a, 190, 210, "c1", "Agent")
	task.Starts = "refunds"
	inner := h.run(task, 191, 209, "c1", "")
	h.call(a, 220, 320, "end_turn")
	for _, at := range []int64{230, 330} {
		h.call(inner, at, at+50, "tool_use").AgentID = "a1"
	}
	h.run(inner, 260, 290, "c2", "look").AgentID = "a1"
	h.run(inner, 370, 390, "c3", "pay").AgentID = "a1"
	h.call(inner, 400, 420, "end_turn").AgentID = "a1"
	h.answer(inner, 421, "Paid.").AgentID = "a1"
	h.answer(a, 321, "I asked for it.")
	got := sameAnyway(t, h.spans)
	assert.Equal(t, []string{
		" 0  Agent()#c1", " 0 -> Agent()#c1", " 0 I asked for it.",
		"refunds 1  look()#c2", "refunds 1 -> look()#c2", "refunds 1  pay()#c3", "refunds 1 -> pay()#c3", "refunds 1 Paid.",
	}, outline(got))
	require.NotNil(t, got.Steps[3].Parent)
	assert.Equal(t, 1, *got.Steps[3].Parent, "the run that started it")
}

// TestHarnessAsksOnlyWhatIsKnown: a run is not given to a call that says it
// answered, that shows what it asked for, or that another one overlaps.
func TestHarnessAsksOnlyWhatIsKnown(t *testing.T) {
	for name, change := range map[string]func(*harness){
		"it answered": func(h *harness) { h.spans[1].Call.FinishReason = "end_turn" },
		"it shows its own": func(h *harness) {
			h.spans[1].Call.Reply = []*Message{{Role: RoleAssistant, ToolCalls: []ToolCall{{ID: "c9", Name: "x"}}}}
		},
		"it failed":         func(h *harness) { h.spans[1].Error = "overloaded" },
		"another overlaps":  func(h *harness) { h.call(h.spans[0], 90, 250, "tool_use") },
		"nothing before it": func(h *harness) { h.spans[1].Start = 270 * ms },
	} {
		h, _ := loop()
		change(h)
		for _, line := range outline(sameAnyway(t, h.spans)) {
			assert.NotContains(t, line, " get()#c1", name)
		}
	}
}

// TestRelays: a run that its transport shows too, in another branch of the
// trace, counts once; a transport's span with no run around it is one.
func TestRelays(t *testing.T) {
	h, a := loop()
	relay := func(from, to int64, name string) *Span {
		s := h.run(a, from, to, "", name)
		s.ParentID, s.Relay = SpanID{}, true
		return s
	}
	relay(196, 230, "get").Error = "timed out"
	relay(197, 230, "get")
	relay(230, 235, "other")
	assert.Equal(t, []string{
		" 0  mcp__x__get()#c1 mcp__x__get()#c2", " 0 -> mcp__x__get()#c1", " 0 -> mcp__x__get()#c2 failed: timed out", " 0 -> other()#", " 0 ",
	}, outline(sameAnyway(t, h.spans)))
}

// TestHarnessCutsShort: what a harness puts in the place of an answer that it
// stopped is none.
func TestHarnessCutsShort(t *testing.T) {
	stopped := model(1, 0, 1, 2, prompt(user("q")))
	next := model(2, 0, 3, 4, prompt(user("q"), says("[interrupted]"), user("You repeat yourself.")), says("Sorry."))
	stopped.Turn, next.Turn = "t", "t"
	got := Assemble([]*Span{stopped, next}, Options{})
	assert.Empty(t, got.Steps[0].Model.Output)
	assert.Contains(t, got.Steps[0].Reasons, ReasonNoOutput)

	next.Turn = "t2"
	got = Assemble([]*Span{stopped, next}, Options{})
	assert.Len(t, got.Steps[0].Model.Output, 1, "the user went on: it was the answer")
}
