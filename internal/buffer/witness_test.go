package buffer

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Without a gateway nobody is remembered; with one, so many and no more.
func TestWitnessesAreBounded(t *testing.T) {
	b := New(testConfig())
	call := func(n int, gateway bool) Item {
		s := &trajectory.Span{
			Role: trajectory.RoleModelSpan, GenAI: true, Gateway: gateway, Start: int64(n), End: int64(n) + 1,
			Call: &trajectory.Call{ModelCall: trajectory.ModelCall{ResponseID: fmt.Sprint(n, gateway)}},
		}
		copy(s.TraceID[:], fmt.Sprintf("%016d", n))
		copy(s.SpanID[:], fmt.Sprintf("%08d", n))
		return Item{Span: s}
	}
	require.NoError(t, b.Add(1, []Item{call(1, false)}))
	assert.Nil(t, b.witnesses)
	require.NoError(t, b.Add(2, []Item{call(2, true)}))
	assert.Len(t, b.witnesses.agents, 1, "those that were held already are known, too")
	for n := range maxWitnesses + 1000 {
		b.meet(call(n+10, n%2 == 0).Span)
	}
	assert.LessOrEqual(t, len(b.witnesses.agents)+len(b.witnesses.gateways), maxWitnesses)
	assert.Len(t, b.witnesses.ring, maxWitnesses)
}
