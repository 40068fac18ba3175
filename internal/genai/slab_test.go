package genai

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSlab(t *testing.T) {
	var s slab[[2]int]
	for round := range 3 {
		seen := map[*[2]int]bool{}
		for i := range 7 * (round + 1) {
			e := s.next(3)
			assert.Equal(t, [2]int{}, *e)
			assert.False(t, seen[e], "given out twice")
			seen[e] = true
			*e = [2]int{i, 1}
		}
		s.reset()
	}
	for range 3 * (maxChunks + 5) {
		s.next(3)
	}
	s.reset()
	assert.Len(t, s.chunks, maxChunks)
}
