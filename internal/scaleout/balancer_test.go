package scaleout

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
	"github.com/tracegrad/tracegrad/internal/cmd/torture/ledger"
	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// Three Collectors behind a balancer make of runs in all dialects what one makes
// of them, and keep it when one of them is killed meanwhile.
func TestBalancer(t *testing.T) {
	system(t, "balancer")
	requests := plan(t, runs(t, load.Mix, 16))
	var one, three ledger.Ledger
	alone := start(t, 1, "quickstart/durable.yaml", nil)
	send(t, alone.members[0], &one, requests, nil)
	alone.settle()
	judge(t, &one, alone.dataset)

	several := start(t, 3, "quickstart/durable.yaml", nil)
	send(t, several.balance("balancer.yaml"), &three, requests, func(done int) {
		if done == len(requests)/2 {
			several.restart(1, localcollector.OTLPGRPC)
		}
	})
	several.settle()
	judge(t, &three, several.dataset)
	got := live(t, several.dataset)
	assert.Len(t, writers(got), 3, "each Collector has a part")
	assert.Len(t, got, 256)
	same(t, live(t, alone.dataset), got)
}

// Runs whose calls are traces of their own stay together by their conversation.
func TestBalancerOfConversations(t *testing.T) {
	system(t, "balancer")
	requests := plan(t, fragments(runs(t, load.Semconv, 4)))
	var one, three ledger.Ledger
	alone := start(t, 1, "quickstart/durable.yaml", nil)
	send(t, alone.members[0], &one, requests, nil)
	alone.settle()

	several := start(t, 3, "quickstart/durable.yaml", nil)
	send(t, several.balance("balancer-conversations.yaml"), &three, requests, nil)
	several.settle()
	want, got := live(t, alone.dataset), live(t, several.dataset)
	assert.Len(t, want, 64)
	assert.Len(t, writers(got), 3, "each Collector has a part")
	same(t, want, got)
}

// Log records reach the Collector that has the spans of their trace: content
// stands in the one, the tree in the other.
func TestBalancerOfLogRecords(t *testing.T) {
	system(t, "balancer")
	alone := start(t, 1, "quickstart/durable.yaml", nil)
	replay(t, alone.members[0])
	alone.settle()
	several := start(t, 3, "quickstart/durable.yaml", nil)
	replay(t, several.balance("balancer.yaml"))
	several.settle()
	want, got := live(t, alone.dataset), live(t, several.dataset)
	for _, one := range want {
		assert.NotEmpty(t, one.Messages)
	}
	same(t, want, got)
}
