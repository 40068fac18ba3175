package load

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// agent is a service with its instructions and tools. They are the same in
// every run.
type agent struct {
	name, service, system string
	tools                 []tool
}

type tool struct{ name, description, schema string }

var agents = func() []agent {
	list := make([]agent, 4)
	for i := range list {
		r := rand.New(rand.NewPCG(uint64(i), 2)) //nolint:gosec // reproducible
		a := agent{name: word(r) + "_assistant", system: "You are a helpful assistant. " + prose(r, 600)}
		a.service = strings.ReplaceAll(a.name, "_", "-")
		for k := range 2 {
			a.tools = append(a.tools, tool{
				name: fmt.Sprintf("%s_%d", word(r), k), description: prose(r, 90),
				schema: fmt.Sprintf(`{"type":"object","properties":{"query":{"type":"string","description":%q},"limit":{"type":"integer"}},"required":["query"],"additionalProperties":false}`, prose(r, 60)),
			})
		}
		list[i] = a
	}
	return list
}()

// run is what is said in one trace. Its model calls ask for one tool, for two at
// a time, for one and so on; the last one answers.
type run struct {
	user   string
	rounds [][]toolCall // what each model call but the last asks for
	answer string
	id     string // of the conversation
}

type toolCall struct{ id, name, arguments, result string }

// newRun makes a run of so many model calls whose tools answer with about so many
// bytes each.
func newRun(r *rand.Rand, a *agent, calls, resultBytes int) *run {
	c := &run{user: prose(r, 200), answer: prose(r, 500), id: "sess-" + token(r, 12), rounds: make([][]toolCall, calls-1)}
	for i := range c.rounds {
		for range 1 + i%2 {
			c.rounds[i] = append(c.rounds[i], toolCall{
				id: "call_" + token(r, 24), name: a.tools[r.IntN(len(a.tools))].name,
				arguments: fmt.Sprintf(`{"query":%q,"limit":%d}`, prose(r, 40), r.IntN(20)),
				result:    result(r, resultBytes),
			})
		}
	}
	return c
}

// result is what a tool returns: JSON text.
func result(r *rand.Rand, size int) string {
	var b strings.Builder
	b.WriteString(`{"hits":[`)
	for i := range 3 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"score":%.4f,"title":%q,"text":%q}`, r.IntN(1e6), r.Float64(), prose(r, 20), prose(r, size/3-90))
	}
	b.WriteString("]}")
	return b.String()
}
