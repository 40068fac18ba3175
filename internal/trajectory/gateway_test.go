package trajectory

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// seenByGateway is the gateway's witness of a call.
func seenByGateway(of *Span, id, parent byte) *Span {
	g := span(id, parent, RoleModelSpan, 0, 0)
	g.Start, g.End = of.Start+1, of.End-1
	g.Gateway, g.Agent, g.Attributes = true, "configured", map[string]string{AttrUntold: "x"}
	warm, no := 0.7, false
	g.Call = &Call{ModelCall: ModelCall{
		ResponseID: "r", ResponseModel: "served", Adapter: "v2", Bundle: "b", Temperature: &warm, Constrained: &no, LogprobsMode: "processed",
		PromptTokenIDs: []int32{1, 2}, TokenIDs: []int32{3}, Logprobs: []float32{-0.5},
	}, Prompt: of.Call.Prompt, Reply: of.Call.Reply}
	return g
}

// TestOneStepTwoWitnesses: however the gateway's span is found to be of a call,
// there is one step, with tokens, sampling and what served it from the gateway,
// and names from the agent.
func TestOneStepTwoWitnesses(t *testing.T) {
	for name, x := range map[string]struct {
		parent byte
		change func(agent, gateway *Span)
	}{
		"below":                {2, func(_, _ *Span) {}},
		"beside, by response":  {1, func(a, _ *Span) { a.Call.ResponseID = "r" }},
		"beside, by tool call": {1, func(_, g *Span) { g.Call.Prompt = nil }},
		"beside, by what is said": {1, func(a, g *Span) {
			a.Call.Reply = []*Message{says("hello")}
			g.Call.Reply = []*Message{says("hello")}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cold := 0.0
			a := model(2, 1, 10, 20, prompt(user("hi")), says("", call("c1", "f", "{}")))
			a.Call.Temperature, a.Call.ResponseModel = &cold, "asked"
			g := seenByGateway(a, 3, x.parent)
			x.change(a, g)
			got := Assemble([]*Span{agent(1, 0, 1, 30, "helper"), a, g}, Options{})
			require.Len(t, got.Steps, 1)
			m := got.Steps[0].Model
			assert.Equal(t, []int32{1, 2}, m.PromptTokenIDs)
			assert.Equal(t, []int32{3}, m.TokenIDs)
			assert.Equal(t, []float32{-0.5}, m.Logprobs)
			assert.Equal(t, "processed", m.LogprobsMode)
			assert.Equal(t, 0.7, *m.Temperature)
			assert.Equal(t, "served", m.ResponseModel)
			assert.Equal(t, "v2", m.Adapter)
			assert.Equal(t, "helper", got.Steps[0].AgentName)
			assert.Contains(t, got.Steps[0].Attributes, AttrUntold)
			assert.NotContains(t, got.Attributes, AttrUntold)
			assert.Equal(t, SourceSpans, got.Source)
			assert.Equal(t, TokensCaptured, got.Tokens)
		})
	}
}

// What the gateway cannot show is not taken from the agent, and calls that
// differ stay two.
func TestTwoCallsTwoWitnesses(t *testing.T) {
	for name, change := range map[string]func(a, g *Span){
		"another response": func(a, _ *Span) { a.Call.ResponseID = "other" },
		"another time":     func(a, g *Span) { g.Start, g.End = a.End+1, a.End+2 },
		"another answer":   func(_, g *Span) { g.Call.Reply = []*Message{says("bye")} },
		"another tool call": func(a, g *Span) {
			a.Call.Reply = []*Message{says("", call("c1", "f", "{}"))}
			g.Call.Reply = []*Message{says("", call("c2", "f", "{}"))}
		},
	} {
		a := model(2, 1, 10, 20, prompt(user("hi")), says("hello"))
		g := seenByGateway(a, 3, 1)
		change(a, g)
		got := Assemble([]*Span{agent(1, 0, 1, 30, "helper"), a, g}, Options{})
		assert.Len(t, got.Steps, 2, name)
	}
}

// An answer that broke off at the gateway did so for the step, wherever the
// gateway's span is.
func TestBrokenAtTheGateway(t *testing.T) {
	for _, broken := range []string{"canceled", "response_cut"} { // by the client, by the server
		for _, parent := range []byte{1, 2} {
			a := model(2, 1, 10, 20, prompt(user("hi")), says("hel"))
			a.Call.ResponseID = "r"
			g := seenByGateway(a, 3, parent)
			g.Error = broken
			got := Assemble([]*Span{agent(1, 0, 1, 30, "helper"), a, g}, Options{})
			require.Len(t, got.Steps, 1)
			assert.Equal(t, broken, got.Steps[0].Error)
			assert.False(t, got.Steps[0].Trainable)
		}
	}
}

// TestPromptBase: of each prompt what is new is stored, and all of it can be put
// together again.
func TestPromptBase(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		ids := func() (out []int32) {
			for range 1 + r.IntN(5) {
				out = append(out, r.Int32N(50))
			}
			return out
		}
		var spans []*Span
		whole := map[string][]int32{} // by response id
		said, seen := prompt(user("hi")), ids()
		for n := range byte(6) {
			reply := says("step", call(string('a'+rune(n)), "f", "{}"))
			s := model(n+2, 1, int64(10*n+10), int64(10*n+19), slices.Clone(said), reply)
			s.Call.ResponseID = string('A' + rune(n))
			switch r.IntN(5) {
			case 0: // not captured
			case 1: // the template wrote history anew
				seen = ids()
				fallthrough
			default:
				s.Call.PromptTokenIDs, s.Call.TokenIDs = slices.Clone(seen), ids()
				s.Call.Logprobs = make([]float32, len(s.Call.TokenIDs))
				whole[s.Call.ResponseID] = s.Call.PromptTokenIDs
				seen = slices.Concat(seen, s.Call.TokenIDs, ids())
			}
			spans = append(spans, s)
			said = append(said, reply, &Message{Role: RoleTool, ToolCallID: reply.ToolCalls[0].ID, Text: "ok"})
		}
		got := Assemble(append(spans, agent(1, 0, 1, 100, "helper")), Options{})
		require.NoError(t, got.Valid())
		based := 0
		var rebuilt func(m *ModelCall) []int32
		rebuilt = func(m *ModelCall) []int32 {
			if m.PromptBase == nil {
				return m.PromptTokenIDs
			}
			based++
			b := got.Steps[*m.PromptBase].Model
			return slices.Concat(rebuilt(b), b.TokenIDs, m.PromptTokenIDs)
		}
		for i := range got.Steps {
			if m := got.Steps[i].Model; m != nil {
				assert.Equal(t, whole[m.ResponseID], rebuilt(m))
			}
		}
		if seed == 0 {
			assert.Positive(t, based)
		}
	}
}
