//go:build cgo && unix

package trainer

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/engine/enginetest"
	"github.com/tracegrad/tracegrad/trainer/update"
	"github.com/tracegrad/tracegrad/trainer/worker/workertest"
)

// TestSkyRLNight is a night on a live SkyRL server; our worker only renders the
// demo's text, which has no token ids.
func TestSkyRLNight(t *testing.T) {
	enginetest.Cache(t)
	model := workertest.Model(t)
	url, w := enginetest.SkyRL(t, "engine", model), workertest.Start(t, model, t.TempDir())
	root := t.TempDir()
	writeDemo(t, root)
	c := adapterConfig(t, root, model)
	c.Adapter.BaseModel, c.Adapter.LoRA.Rank, c.Adapter.MaxLength, c.Adapter.StepRollouts = model, 8, 512, 4
	c.Adapter.Engine = url // so that its scale of adapters is taken, as it cannot be asked for one
	c.Where = "hash(trajectory_id) % 6 = 0"
	engines := func(ctx context.Context, c Config) (Server, error) {
		s := &tinker{config: c, tokenizer: w, about: About{BaseModel: model, URL: url}}
		return s, s.dial(ctx, url, engine.Options{Tokens: c.Adapter.BatchTokens})
	}
	r := night1(t, c, engines)
	steps, err := update.ReadSteps(r.Adapter.Metrics)
	require.NoError(t, err)
	require.Len(t, steps, r.Adapter.Update.Of)
	assert.Zero(t, steps[0].Moved)
	assert.Positive(t, r.Adapter.Evaluated.Train.Moved, "the policy moved")
	config, weights := adapterOf(t, r)
	var said struct {
		Base    string   `json:"base_model_name_or_path"`
		Targets []string `json:"target_modules"`
	}
	require.NoError(t, json.Unmarshal(config, &said))
	assert.Equal(t, model, said.Base)
	assert.Contains(t, said.Targets, "q_proj")
	assert.NotEmpty(t, weights)
	assert.FileExists(t, filepath.Join(r.Bundle.Dir, "README.md"))

	t.Run("interrupted", func(t *testing.T) {
		c := c
		c.Runs, c.Bundles = t.TempDir(), t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Run(ctx, c, Options{Now: clock, Engine: engines, Progress: func(e Event) {
			if e.Step != nil && e.Step.Step == 2 {
				cancel()
			}
		}})
		require.ErrorContains(t, err, "interrupted; go on with the same command")
		var taken []int
		again, err := Run(t.Context(), c, Options{Now: clock, Engine: engines, Progress: func(e Event) {
			if e.Step != nil && e.State == Working {
				taken = append(taken, e.Step.Step)
			}
		}})
		require.NoError(t, err)
		require.NotEmpty(t, taken)
		assert.Equal(t, 3, taken[0], "what was taken is not taken again")
		assert.Len(t, taken, again.Adapter.Update.Of-2)
		_, resumed := adapterOf(t, again)
		assert.Equal(t, weights, resumed, "the adapter is that of the night that was not interrupted")
	})
	t.Run("the next night", func(t *testing.T) {
		c := c
		c.Base, c.MaxUses = r.Bundle.ID, 2
		next := night1(t, c, engines)
		assert.Equal(t, r.Bundle.ID, next.Bundle.Parent)
		_, after := adapterOf(t, next)
		assert.NotEqual(t, weights, after, "it goes on from the state that the server kept")
	})
}
