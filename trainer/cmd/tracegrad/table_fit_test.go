package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFit(t *testing.T) {
	for name, c := range map[string]struct{ widths, want []int }{
		"it fits as it is":             {[]int{10, 60, 6}, []int{10, 60, 6}},
		"the widest is cut":            {[]int{10, 500, 6}, []int{10, 60, 6}},
		"the widest are cut alike":     {[]int{10, 500, 400}, []int{10, 33, 33}},
		"one column":                   {[]int{500}, []int{80}},
		"more columns than a line has": {[]int{20, 20, 20, 20, 20, 20, 20, 20, 20}, []int{8, 8, 8, 8, 8, 8, 8, 8}},
		"narrow columns stay whole":    {[]int{1, 1, 1, 500, 500}, []int{1, 1, 1, 34, 34}},
	} {
		t.Run(name, func(t *testing.T) {
			got := fit(c.widths, 80)
			assert.Equal(t, c.want, got)
			assert.LessOrEqual(t, lineWidth(got, 80), 80)
		})
	}
	assert.Equal(t, []int{8}, fit([]int{20, 20}, 3), "a terminal of no width")
}

func TestCut(t *testing.T) {
	assert.Equal(t, "größer", cut("größer", 6))
	assert.Equal(t, "größ…", cut("größer", 5))
}
