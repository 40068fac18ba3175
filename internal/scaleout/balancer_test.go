package scaleout

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
	"github.com/tracegrad/tracegrad/internal/cmd/torture/ledger"
	"github.com/tracegrad/tracegrad/internal/localcollector"
	"github.com/tracegrad/tracegrad/internal/otlp"
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
	capture, err := filepath.Glob("../../testdata/dialects/*semconv136.*jsonl.gz")
	require.NoError(t, err)
	require.Len(t, capture, 2, "spans and log records")
	replay := func(to *localcollector.Collector) {
		report, err := otlp.Replay(context.Background(), otlp.Files(capture...), otlp.Options{Endpoint: to.URL(localcollector.OTLPHTTP), KeepTimes: true})
		require.NoError(t, err)
		require.True(t, report.Complete())
		require.Positive(t, report.LogRecords)
	}
	alone := start(t, 1, "quickstart/durable.yaml", nil)
	replay(alone.members[0])
	alone.settle()
	several := start(t, 3, "quickstart/durable.yaml", nil)
	replay(several.balance("balancer.yaml"))
	several.settle()
	want, got := live(t, alone.dataset), live(t, several.dataset)
	for _, one := range want {
		assert.NotEmpty(t, one.Messages)
	}
	same(t, want, got)
}
