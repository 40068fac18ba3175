package grpo

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func plan(t *testing.T, a Algorithm) Plan {
	t.Helper()
	r, err := RecipeOf(a)
	require.NoError(t, err)
	return Plan{Recipe: r}
}

func TestEveryAlgorithmHasARecipe(t *testing.T) {
	for _, name := range []string{"grpo", "dr_grpo", "dapo", "gspo", "cispo", "rloo", "reinforce++", "ppo", "sft"} {
		r, err := RecipeOf(Algorithm(name))
		require.NoError(t, err)
		assert.Equal(t, name, string(r.Algorithm))
	}
	assert.Len(t, Algorithms(), 9)
	_, err := RecipeOf("gpro")
	assert.ErrorContains(t, err, `"gpro" is not known; use one of grpo, dr_grpo`)
	assert.Equal(t, map[string]float64{"clip_low_threshold": 0.8, "clip_high_threshold": 1.28}, plan(t, DAPO).Recipe.Loss.Config())
	assert.Nil(t, plan(t, RLOO).Recipe.Loss.Config())
}

// By hand: returns 1, 0, 0 have mean 1/3 and standard deviation √(1/3).
func TestGroupsByHand(t *testing.T) {
	groups := []Group{{Returns: []float64{1, 0, 0}}, {Returns: []float64{2, 2}}, {Returns: []float64{7}}}
	for a, want := range map[Algorithm][]float64{
		GRPO:   {2 / math.Sqrt(3), -1 / math.Sqrt(3), -1 / math.Sqrt(3)},
		DrGRPO: {2. / 3, -1. / 3, -1. / 3},
		RLOO:   {1, -0.5, -0.5}, // the mean of the others is 0, 1/2, 1/2
		SFT:    {1, 0, 0},
	} {
		got, dropped := plan(t, a).Estimate(groups)
		assert.InDeltaSlice(t, want, got[0].Advantages, 3e-6, a)
		assert.Equal(t, Dropped{Single: 1, ZeroVariance: 1}, dropped, a)
		assert.Equal(t, Estimated{Dropped: ZeroVariance}, got[1], a)
		assert.Equal(t, Estimated{Dropped: Single}, got[2], a)
	}
	// REINFORCE++: mean 2, squares 1 + 4 + 4 + 0 + 0 + 25 = 34, 6 returns
	got, dropped := plan(t, ReinforcePP).Estimate(groups)
	assert.Zero(t, dropped)
	by := math.Sqrt(34. / 5)
	assert.InDeltaSlice(t, []float64{-1 / by, -2 / by, -2 / by}, got[0].Advantages, 1e-6)
	assert.InDeltaSlice(t, []float64{0, 0}, got[1].Advantages, 1e-12)
	assert.InDeltaSlice(t, []float64{5 / by}, got[2].Advantages, 2e-6)
	assert.Equal(t, KindBatch, got[2].Kind)
	// PPO: returns as they are, for GAE
	got, _ = plan(t, PPO).Estimate(groups)
	assert.Equal(t, []Estimated{{Advantages: []float64{1, 0, 0}, Kind: KindCritic}, {Advantages: []float64{2, 2}, Kind: KindCritic}, {Advantages: []float64{7}, Kind: KindCritic}}, got)
}

func TestBatchStdDividesAllGroupsByOneNumber(t *testing.T) {
	got, _ := Batch([][]float64{{1, 0}, {10, 0, 5}, {3}}, Options{Normalize: BatchStd})
	by := math.Sqrt((0.25 + 0.25 + 25 + 25) / 4)
	assert.InDeltaSlice(t, []float64{0.5 / by, -0.5 / by}, got[0], 1e-6)
	assert.InDeltaSlice(t, []float64{5 / by, -5 / by, 0}, got[1], 1e-5)
	assert.Nil(t, got[2])
}

func TestGroupsOfOne(t *testing.T) {
	groups := []Group{{Key: "a", Returns: []float64{1}}, {Key: "b", Returns: []float64{0}}, {Key: "c", Returns: []float64{0.5, 0}}, {Key: "d", Returns: []float64{2}}}
	p := plan(t, DrGRPO)

	p.Lone = LoneBatch
	got, dropped := p.Estimate(groups)
	assert.Zero(t, dropped)
	assert.InDelta(t, 0, got[0].Advantages[0], 1e-12)
	assert.InDelta(t, -1, got[1].Advantages[0], 1e-12)
	assert.InDelta(t, 1, got[3].Advantages[0], 1e-12)
	assert.Equal(t, []Kind{KindBatch, KindBatch, KindTask, KindBatch}, []Kind{got[0].Kind, got[1].Kind, got[2].Kind, got[3].Kind})
	assert.Equal(t, []float64{0.25, -0.25}, got[2].Advantages)

	p.Lone = LoneOneOut
	got, _ = p.Estimate(groups)
	assert.InDelta(t, -1.5, got[1].Advantages[0], 1e-12)
	assert.InDelta(t, 1.5, got[1].Baselines[0], 1e-12)
	assert.Equal(t, KindOneOut, got[1].Kind)

	p.Lone, p.Tracker = LoneTracker, NewTracker()
	require.NoError(t, p.Tracker.Observe("a", []float64{0.25, 0.75}))
	got, _ = p.Estimate(groups)
	assert.InDelta(t, 0.5, got[0].Advantages[0], 1e-12)
	assert.Equal(t, []Kind{KindTracker, KindBatch}, []Kind{got[0].Kind, got[1].Kind})
	assert.InDelta(t, 0.5, got[0].Baselines[0], 1e-12)
}

// SPO whitens R - v over the batch.
func TestTrackedAdvantagesAreWhitened(t *testing.T) {
	tracker := NewTracker()
	for _, k := range []string{"a", "b", "c"} {
		require.NoError(t, tracker.Observe(k, []float64{0.5}))
	}
	p := plan(t, GRPO)
	p.Lone, p.Tracker = LoneTracker, tracker
	got, _ := p.Estimate([]Group{{Key: "a", Returns: []float64{1}}, {Key: "b", Returns: []float64{0}}, {Key: "c", Returns: []float64{1}}})
	by := math.Sqrt(1. / 3) // residuals ½, -½, ½
	assert.InDelta(t, 1./3/by, got[0].Advantages[0], 1e-5)
	assert.InDelta(t, -2./3/by, got[1].Advantages[0], 1e-5)
}

func TestBucketsAreNeverCompared(t *testing.T) {
	p := plan(t, DrGRPO)
	p.Lone = LoneBatch
	got, dropped := p.Estimate([]Group{
		{Bucket: "x", Returns: []float64{1}}, {Bucket: "x", Returns: []float64{0}}, {Bucket: "y", Returns: []float64{100}},
		{Bucket: "z", Returns: []float64{3}}, {Bucket: "z", Returns: []float64{3}},
	})
	assert.InDelta(t, 0.5, got[0].Advantages[0], 1e-12)
	assert.Equal(t, Single, got[2].Dropped)
	assert.Equal(t, ZeroVariance, got[3].Dropped)
	assert.Equal(t, Dropped{Single: 1, ZeroVariance: 2}, dropped)
}

func TestReturnsThatAreNoNumbersAreDroppedUnderEveryPlan(t *testing.T) {
	for _, a := range Algorithms() {
		for _, lone := range []Lone{LoneDropped, LoneTracker, LoneBatch, LoneOneOut} {
			p := plan(t, Algorithm(a))
			p.Lone = lone
			got, dropped := p.Estimate([]Group{
				{Returns: []float64{1, math.NaN()}}, {Returns: []float64{math.Inf(1)}}, {Returns: nil},
				{Key: "a", Returns: []float64{1, 0}}, {Key: "b", Returns: []float64{1}}, {Key: "c", Returns: []float64{0}},
			})
			assert.Nil(t, got[0].Advantages)
			assert.Nil(t, got[1].Advantages)
			assert.Nil(t, got[2].Advantages)
			assert.NotNil(t, got[3].Advantages, a)
			assert.GreaterOrEqual(t, dropped.NotFinite, 1, a)
			for _, g := range got {
				assert.Equal(t, g.Advantages == nil, g.Kind == "", a)
				assert.Equal(t, g.Advantages == nil, g.Dropped != Informative, a)
				assert.True(t, finite(g.Advantages), a)
			}
		}
	}
}

// Whatever the plan: a shift of all returns changes nothing, and what is compared
// in one pool sums to 0.
func TestPlansIgnoreAShiftAndSumToZero(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 5))
		var groups, shifted []Group
		shift := r.NormFloat64() * 10
		for range 2 + r.IntN(6) {
			g := Group{Returns: []float64{r.NormFloat64()}}
			if r.IntN(2) == 0 {
				g.Returns = randomReturns(r)
			}
			groups = append(groups, g)
			shifted = append(shifted, Group{Returns: transform(g.Returns, func(v float64) float64 { return v + shift })})
		}
		for _, a := range []Algorithm{GRPO, DrGRPO, RLOO, ReinforcePP} {
			for _, lone := range []Lone{LoneDropped, LoneBatch, LoneOneOut} {
				p := plan(t, a)
				p.Lone = lone
				want, _ := p.Estimate(groups)
				got, _ := p.Estimate(shifted)
				var pooled float64
				for i := range want {
					require.Equal(t, want[i].Kind, got[i].Kind)
					require.InDeltaSlice(t, want[i].Advantages, got[i].Advantages, 1e-8)
					var sum float64
					for _, v := range want[i].Advantages {
						sum += v
					}
					if want[i].Kind == KindTask {
						require.InDelta(t, 0, sum, 1e-9)
					} else {
						pooled += sum
					}
				}
				require.InDelta(t, 0, pooled, 1e-9)
			}
		}
	}
}

func TestBest(t *testing.T) {
	half, two := 0.5, 2.0
	for _, c := range []struct {
		returns []float64
		least   *float64
		want    []float64
	}{
		{[]float64{1, 0, 1}, nil, []float64{1, 0, 1}},
		{[]float64{1, 1}, nil, nil},
		{[]float64{1}, nil, nil},
		{[]float64{1}, &half, []float64{1}},
		{[]float64{1, 1}, &half, []float64{1, 1}},
		{[]float64{1, 0.7}, &two, nil},
		{[]float64{1, 0.7}, &half, []float64{1, 0}},
		{[]float64{0.1 + 0.2, 0.3, 0}, nil, []float64{1, 1, 0}},
		{[]float64{-1, -3}, nil, []float64{1, 0}},
		{nil, &half, nil},
	} {
		assert.Equal(t, c.want, Best(c.returns, c.least), "%v", c.returns)
	}
}
