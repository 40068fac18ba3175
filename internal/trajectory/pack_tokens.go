package trajectory

import (
	"encoding/binary"
	"math"
)

// PackIDs writes token ids as an attribute of type bytes: 4 bytes each, little
// endian.
func PackIDs(ids []int32) []byte {
	out := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		out = binary.LittleEndian.AppendUint32(out, uint32(id)) //nolint:gosec // read back as what it was
	}
	return out
}

// PackLogprobs writes log-probabilities as an attribute of type bytes: IEEE 754
// single precision, little endian.
func PackLogprobs(values []float32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// EachPacked calls each for the 4-byte words of a packed attribute, until it
// returns false. It reports whether it came to the end of whole words.
func EachPacked(packed []byte, each func(word uint32) bool) bool {
	for ; len(packed) >= 4; packed = packed[4:] {
		if !each(binary.LittleEndian.Uint32(packed)) {
			return false
		}
	}
	return len(packed) == 0
}
