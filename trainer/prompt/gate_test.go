package prompt

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// planted is guidance that is right in a world where lookup helps.
var planted = []Item{
	{ID: "a", Feature: Feature{CallsTool, "lookup"}, Direction: Do},
	{ID: "b", Feature: Feature{Kind: Repeats}, Direction: Avoid},
}

func TestGateRefusesShuffledRewards(t *testing.T) {
	const seeds = 400
	for name, w := range map[string]world{
		"smooth":          {tasks: 6, attempts: 12, lookup: 0.35, repeat: -0.3},
		"solved or not":   {tasks: 6, attempts: 12, lookup: 0.35, repeat: -0.2, binary: true},
		"many tiny tasks": {tasks: 30, attempts: 3, lookup: 0.35, binary: true},
		"one large task":  {tasks: 1, attempts: 60, lookup: 0.35, binary: true},
	} {
		t.Run(name, func(t *testing.T) {
			passes := 0
			for seed := range uint64(seeds) {
				holdout := w.samples(seed)
				shuffle(holdout, rand.New(rand.NewPCG(seed, 5)))
				v := Gate(planted, holdout, NewNorms(holdout), GateOptions{Resamples: 400, Seed: seed})
				require.NotEmpty(t, v.Reason)
				if v.Passed {
					passes++
				}
			}
			// 2.5 % by design; 5 % + what 400 draws can stray.
			assert.LessOrEqual(t, passes, seeds*5/100, "false passes of %d", seeds)
		})
	}
}

func TestLearnThenGateRefusesShuffledRewards(t *testing.T) {
	passes := 0
	const seeds = 100
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 6))
		all := world{tasks: 6, attempts: 30, lookup: 0.35, repeat: -0.3}.samples(seed)
		shuffle(all, r)
		train, holdout := split(all, r, 0.4)
		norms := NewNorms(all)
		// Whatever looks best is put up, even if learning would have refused it.
		learned := Learn(train, norms, Options{FDR: 1, Confidence: 0.5, Resamples: 200})
		if Gate(learned.Items, holdout, norms, GateOptions{Resamples: 400, Seed: seed}).Passed {
			passes++
		}
	}
	assert.LessOrEqual(t, passes, 5, "false passes of %d", seeds)
}

func TestGatePassesAPlantedEffect(t *testing.T) {
	passes := 0
	const seeds = 60
	for seed := range uint64(seeds) {
		all := world{tasks: 8, attempts: 24, lookup: 0.4, repeat: -0.35}.samples(seed)
		train, holdout := split(all, rand.New(rand.NewPCG(seed, 3)), 0.3)
		norms := NewNorms(all)
		learned := Learn(train, norms, Options{Resamples: 300})
		v := Gate(learned.Items, holdout, norms, GateOptions{Resamples: 500})
		if v.Passed {
			passes++
			require.Positive(t, v.Effect.Low)
			require.LessOrEqual(t, *v.P, 0.025)
		}
	}
	assert.GreaterOrEqual(t, passes, seeds*9/10, "passes of %d", seeds)
}

func TestGateSaysWhyNot(t *testing.T) {
	good := world{tasks: 6, attempts: 20, lookup: 0.5}.samples(1)
	norms := NewNorms(good)
	gate := func(items []Item, holdout []Sample, opt GateOptions) string {
		opt.Resamples = 500
		v := Gate(items, holdout, norms, opt)
		return v.Reason
	}
	follow := planted[:1]
	assert.Equal(t, "no guidance was learned", gate(nil, good, GateOptions{}))
	assert.Contains(t, gate(follow, nil, GateOptions{}), "nothing to compare")
	assert.Contains(t, gate(follow, good[:5], GateOptions{MinSupport: 40}), "< 40 matched pairs")
	assert.Contains(t, gate([]Item{{ID: "x", Feature: Feature{Kind: Repeats}, Direction: Avoid}}, good, GateOptions{}), "interval includes 0")
	assert.Contains(t, gate(follow, good, GateOptions{Threshold: 0.9}), "is not above the threshold +0.900")
	assert.Contains(t, gate([]Item{{ID: "x", Feature: Feature{CallsTool, "lookup"}, Direction: Avoid}}, good, GateOptions{}), "interval is below 0")
	assert.Regexp(t, `^the interval \+0\.\d+ to \+0\.\d+ lies above 0, with \d+ matched pairs in 6 groups$`, gate(follow, good, GateOptions{}))
}

func TestGateRefusesAHarmfulItem(t *testing.T) {
	holdout := world{tasks: 12, attempts: 30, lookup: 1.5, repeat: 0.5}.samples(1)
	v := Gate(planted, holdout, NewNorms(holdout), GateOptions{Resamples: 1000})
	assert.False(t, v.Passed)
	assert.Equal(t, []string{"b"}, v.Harmful)
	assert.Equal(t, "item b is harmful on the holdout", v.Reason)
}

func TestGateCountsEveryTrajectoryOnce(t *testing.T) {
	for seed := range uint64(20) {
		holdout := world{tasks: 10, attempts: 4, lookup: 0.4}.samples(seed)
		v := Gate(planted[:1], holdout, NewNorms(holdout), GateOptions{Resamples: 50})
		assert.Equal(t, v.Holdout, v.With+v.Without+v.Unpaired+v.Ignored)
		assert.LessOrEqual(t, 2*v.Support, v.With+v.Without)
		assert.Equal(t, v, Gate(planted[:1], holdout, NewNorms(holdout), GateOptions{Resamples: 50}))
	}
}

func TestGateComparesWithinABundleOnly(t *testing.T) {
	// Followers were all served by a bundle, the others were not: nothing is comparable.
	holdout := world{tasks: 4, attempts: 20, lookup: 0.5}.samples(1)
	for i := range holdout {
		if len(holdout[i].Called) == 2 {
			holdout[i].Bundle = "b1"
		}
	}
	v := Gate(planted[:1], holdout, NewNorms(holdout), GateOptions{Resamples: 50})
	assert.Zero(t, v.Strata)
	assert.Contains(t, v.Reason, "nothing to compare")
}

// An item that nobody in the holdout follows must not make everybody break the
// guidance, and a verdict must not speak for it.
func TestGateSaysWhatItCouldNotTest(t *testing.T) {
	holdout := world{tasks: 6, attempts: 20, lookup: 0.5}.samples(1)
	norms := NewNorms(holdout)
	elsewhere := planted[0]
	elsewhere.ID, elsewhere.Scope = "c", Scope{Task: "no such task"}
	never := Item{ID: "d", Feature: Feature{Kind: Cites}, Direction: Do} // applies, and nobody does it
	alone := Gate(planted[:1], holdout, norms, GateOptions{Resamples: 500})
	v := Gate([]Item{elsewhere, planted[0], never}, holdout, norms, GateOptions{Resamples: 500})
	assert.True(t, v.Passed, v.Reason)
	assert.Equal(t, alone.Effect, v.Effect)
	assert.Equal(t, []string{"c", "d"}, v.Untested)
	assert.Empty(t, alone.Untested)
	assert.Zero(t, Support(&never, holdout, norms))
	assert.Equal(t, alone.Support, Support(&planted[0], holdout, norms))

	v = Gate([]Item{elsewhere, never}, holdout, norms, GateOptions{Resamples: 500})
	assert.False(t, v.Passed)
	assert.Contains(t, v.Reason, "nothing to compare")
}
