//go:build unix

package engine_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/engine/enginetest"
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/worker/workertest"
)

// TestSkyRL holds SkyRL's first step against our worker's: the same adapter, the
// same rows, and by either normalization the same loss and gradient.
func TestSkyRL(t *testing.T) {
	enginetest.Cache(t)
	model := workertest.Model(t)
	url := enginetest.SkyRL(t, ".", model)
	ctx := t.Context()
	c, err := engine.Dial(ctx, url, engine.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	_, err = c.CreateModel(ctx, engine.Spec{Base: "Qwen/Qwen3-8B", Rank: 8})
	require.ErrorContains(t, err, "serves "+model)

	theirs, err := c.CreateModel(ctx, engine.Spec{Base: model, Rank: 8, Seed: 7})
	require.NoError(t, err)
	caps := c.Capabilities()
	assert.Equal(t, engine.Protobuf, caps.Wire)
	assert.Equal(t, engine.RowMean, caps.Normalize, "as it was measured")
	assert.True(t, caps.Idempotent)

	adapter := filepath.Join(t.TempDir(), "adapter")
	require.NoError(t, theirs.SaveForSampler(ctx, "fresh", adapter))
	w := workertest.Start(t, model, t.TempDir())
	ours := create(t, connect(t, w, engine.Options{}), engine.Spec{Alpha: theirs.Alpha, From: "file://" + adapter})

	rows := rollouts(t)
	now, err := theirs.Forward(ctx, rows)
	require.NoError(t, err)
	requireNear(t, ours, rows, now, 1e-5)
	older(rows, now)
	for _, loss := range []grpo.Loss{{Fn: grpo.FnPPO, Low: 0.8, High: 1.2}, {Fn: grpo.FnCrossEntropy}} {
		wantNorm, want := gradient(t, ours, rows, loss)
		gotNorm, got := gradient(t, theirs, rows, loss)
		assert.InEpsilon(t, want.Loss, got.Loss, 1e-5, loss.Fn)
		assert.InEpsilon(t, wantNorm, gotNorm, 1e-4, loss.Fn)
	}
	state, err := theirs.SaveState(ctx, "night-0001")
	require.NoError(t, err)
	again, err := c.CreateModel(ctx, engine.Spec{Base: model, Rank: 8, Seed: 9, From: state})
	require.NoError(t, err)
	requireNear(t, again, rows, now, 1e-5)
	_, err = again.ForwardBackward(ctx, rows[:1], grpo.Loss{Fn: grpo.FnGSPO, Low: 0.9, High: 1.1})
	require.ErrorContains(t, err, "not supported by the JAX backend")
	require.ErrorIs(t, err, engine.ErrLost)
	require.NoError(t, again.Close(ctx))
}

// requireNear: m says of the rows what others said.
func requireNear(t *testing.T, m *engine.Model, rows []engine.Row, want []engine.Output, within float64) {
	t.Helper()
	got, err := m.Forward(t.Context(), rows)
	require.NoError(t, err)
	for i := range rows {
		require.InDeltaSlice(t, want[i].Logprobs, got[i].Logprobs, within)
	}
}
