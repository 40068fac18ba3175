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
	c.Adapter.BaseModel, c.Adapter.LoRA.Rank, c.Adapter.MaxLength = model, 8, 512
	c.Where = "hash(trajectory_id) % 6 = 0"
	r := night1(t, c, func(ctx context.Context, c Config) (Server, error) {
		s := &tinker{config: c, tokenizer: w, about: About{BaseModel: model, URL: url}}
		return s, s.dial(ctx, url, engine.Options{Tokens: c.Adapter.BatchTokens})
	})
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
}
