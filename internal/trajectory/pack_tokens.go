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

// UnpackIDs reads what [PackIDs] wrote; nil when it is not that.
func UnpackIDs(packed []byte) []int32 {
	if len(packed)%4 != 0 {
		return nil
	}
	out := make([]int32, len(packed)/4)
	for i := range out {
		if out[i] = int32(binary.LittleEndian.Uint32(packed[4*i:])); out[i] < 0 { //nolint:gosec // as it was written
			return nil
		}
	}
	return out
}

// UnpackLogprobs reads what [PackLogprobs] wrote; nil when it is not that.
func UnpackLogprobs(packed []byte) []float32 {
	if len(packed)%4 != 0 {
		return nil
	}
	out := make([]float32, len(packed)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(packed[4*i:]))
	}
	return out
}
