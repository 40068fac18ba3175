package trajectory

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The encoding of tokens on a span, byte by byte: it outlives the process.
func TestPackedTokens(t *testing.T) {
	assert.Equal(t, []byte{1, 0, 0, 0, 0x40, 0xe2, 1, 0}, PackIDs([]int32{1, 123456}))
	assert.Equal(t, []byte{0, 0, 0, 0xbf}, PackLogprobs([]float32{-0.5}))

	ids := []int32{0, 1, math.MaxInt32}
	assert.Equal(t, ids, UnpackIDs(PackIDs(ids)))
	values := []float32{0, -9999, -3.1415927, math.SmallestNonzeroFloat32}
	assert.Equal(t, values, UnpackLogprobs(PackLogprobs(values)))

	assert.Nil(t, UnpackIDs([]byte{1, 2, 3}))
	assert.Nil(t, UnpackIDs([]byte{0, 0, 0, 0x80}), "no id is negative")
	assert.Nil(t, UnpackLogprobs([]byte{1}))
}
