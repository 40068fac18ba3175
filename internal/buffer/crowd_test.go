package buffer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func message(role, text string) *trajectory.Message {
	return &trajectory.Message{Role: role, Text: text}
}

// greetings are n users without ids who all say the same, get the same answer
// and then ask different things.
func greetings(n int) []Item {
	hi := message(trajectory.RoleUser, "hi")
	hello := message(trajectory.RoleAssistant, "Hello! How can I help you today?")
	items := make([]Item, 0, 2*n)
	for i := range n {
		ask, tell := message(trajectory.RoleUser, fmt.Sprint("question ", i)), message(trajectory.RoleAssistant, fmt.Sprint("answer ", i))
		for k, c := range []*trajectory.Call{
			{Prompt: []*trajectory.Message{hi}, Reply: []*trajectory.Message{hello}},
			{Prompt: []*trajectory.Message{hi, hello, ask}, Reply: []*trajectory.Message{tell}},
		} {
			s := &trajectory.Span{TraceID: number(2*i + k), SpanID: trajectory.SpanID{1}, Role: trajectory.RoleModelSpan, GenAI: true, Start: int64(5 * k), End: int64(5*k + 1), Call: c}
			items = append(items, Item{Span: s})
		}
	}
	return items
}

// TestCrowdsCostWhatTheyAre: the calls that are compared grow with the number
// of calls, however many say the same, in whatever order they come.
func TestCrowdsCostWhatTheyAre(t *testing.T) {
	const perCall = 2 * (maxTies + 1)
	for _, n := range []int{100, 1000, 4000} {
		for _, order := range []string{"as they came", "shuffled", "later ones first"} {
			items := greetings(n)
			switch order {
			case "shuffled":
				rand.New(rand.NewPCG(1, 2)).Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
			case "later ones first":
				for i := range items[:n] {
					items[i], items[len(items)-1-i] = items[len(items)-1-i], items[i]
				}
			}
			b := New(benchConfig(1 << 30))
			for len(items) > 0 {
				k := min(len(items), 500)
				require.NoError(t, b.Add(1, items[:k]))
				items = items[k:]
			}
			assert.LessOrEqual(t, b.compared, int64(perCall*2*n), "%d, %s", n, order)
			closed := b.Due(int64(2*time.Hour), 1<<30)
			assert.Len(t, closed, 2*n, "nobody is taken for another")
			ambiguous := 0
			for _, c := range closed {
				if len(c.Reasons) > 0 {
					require.Equal(t, []trajectory.Reason{trajectory.ReasonAmbiguous}, c.Reasons)
					ambiguous++
				}
			}
			assert.Equal(t, n, ambiguous)
		}
	}
}

// TestAFewStillMatter: what was linked while it was unique is parted when it
// turns out not to be.
func TestAFewStillMatter(t *testing.T) {
	b := New(benchConfig(1 << 30))
	require.NoError(t, b.Add(1, greetings(1)))
	require.Equal(t, 1, b.Open())
	require.NoError(t, b.Add(2, greetings(2)[2:]))
	checkBooks(t, b)
	require.Equal(t, 4, b.Open())
}
