package main

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/trainer/paired"
)

// The rule in rewards.yaml takes the word after "order", and the prompts for TRL
// the number after it.
func TestEveryTicketNamesOneOrder(t *testing.T) {
	all := kinds(rand.New(rand.NewPCG(1, 0)), 1<<20)
	require.Len(t, all, len(openings)*len(matters)*len(endings))
	order := regexp.MustCompile(`(?i)\border (\d{5})\b`)
	for _, ticket := range tickets(rand.New(rand.NewPCG(2, 0)), all, 1) {
		words := strings.Split(strings.ToLower(ticket), " ")
		found := order.FindAllStringSubmatch(ticket, -1)
		require.Len(t, found, 1, ticket)
		assert.Equal(t, found[0][1], strings.Trim(words[slices.Index(words, "order")+1], ".,!?"), ticket)
		assert.NotContains(t, ticket, "{")
	}
}

func TestTicketsFollowFromTheSeed(t *testing.T) {
	day := func(seed uint64) []string {
		r := rand.New(rand.NewPCG(seed, 0))
		return tickets(r, kinds(r, 12), 4)
	}
	first, again := day(1), day(1)
	assert.Equal(t, first, again)
	assert.NotEqual(t, first, day(2))
	assert.Len(t, first, 48)
}

func TestMeanOfSeeds(t *testing.T) {
	one := nightly{Result: paired.Result{Support: 240, Difference: 0.4, Low: 0.34, High: 0.46}}
	two := nightly{Result: paired.Result{Support: 240, Difference: 0.2, Low: 0.12, High: 0.28}}
	difference, half, ok := mean([]result{{Last: &one}, {Last: &two}})
	assert.True(t, ok)
	assert.InDelta(t, 0.3, difference, 1e-9)
	assert.InDelta(t, 0.05, half, 1e-9, "the root of 0.06² + 0.08², halved")

	_, _, ok = mean([]result{{Last: &one}, {Last: &nightly{Reason: "no server"}}})
	assert.False(t, ok, "a seed without a comparison is not left out silently")
	_, _, ok = mean(nil)
	assert.False(t, ok)
}

func TestWhatABundleDoesNotTellIsNull(t *testing.T) {
	written := func(n nightly) (out map[string]any) {
		text, err := json.Marshal(n)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &out))
		return out
	}
	one, half, low, high := 1.0, 0.5, 0.4, 0.6
	night := written(nightlyOf(bundle.Manifest{Gate: bundle.Gate{Support: 240, BaseMean: &half, CandidateMean: &one, Estimate: &half, CILow: &low, CIHigh: &high}}))
	assert.Equal(t, 240.0, night["support"])
	for _, name := range []string{"better", "worse"} {
		assert.Contains(t, night, name)
		assert.Nil(t, night[name])
	}
	last := written(compared(paired.Result{Support: 240, Better: 128}))
	assert.Equal(t, []any{128.0, 0.0}, []any{last["better"], last["worse"]})
}
