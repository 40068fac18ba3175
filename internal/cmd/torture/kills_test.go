package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With storage, nothing that was acknowledged is lost and nothing is there
// twice, however often the Collector is killed.
func TestKilledCollectorLosesNothing(t *testing.T) {
	o := quick(t, "durable.yaml", "kill", "crashloop", "term")
	o.faults[1].strike = func(ctx context.Context, g *ground) (string, error) { return crashAgain(ctx, g, 3) }
	r := &report{out: t.Output()}
	require.NoError(t, o.torture(context.Background(), r))
	require.Len(t, r.Rounds, len(o.faults))
	kills := 0
	for _, l := range r.Rounds {
		kills += l.Kills
	}
	assert.Equal(t, 5, kills)
}

// The same of a dataset in a bucket that is killed beside, slow, failing and dead.
func TestS3Torture(t *testing.T) {
	systems := os.Getenv("TRACEGRAD_TEST_SYSTEMS")
	if systems == "" {
		t.Skip("needs a live S3 server: make test-systems")
	}
	o := quick(t, "durable.yaml", "bucket-kill", "slow-bucket", "failing-bucket", "dead-bucket")
	o.s3 = filepath.Join(systems, "versitygw")
	r := &report{out: t.Output()}
	require.NoError(t, o.torture(context.Background(), r))
	require.Len(t, r.Rounds, len(o.faults))
}
