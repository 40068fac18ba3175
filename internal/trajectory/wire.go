package trajectory

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"
)

// The protobuf wire format, as little of it as docs/trajectory.proto needs.
// A tag is field number << 3 | wire type; a known number with another wire
// type is an unknown field, as protobuf has it.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

func putTag(b []byte, field, wire int) []byte {
	return binary.AppendUvarint(b, uint64(field)<<3|uint64(wire))
}

// putString omits "". Text that is not UTF-8 would be refused by every
// protobuf reader and by Parquet's, so broken bytes become U+FFFD here.
func putString[S ~string](b []byte, field int, s S) []byte {
	if s == "" {
		return b
	}
	return putText(b, field, string(s))
}

func putText(b []byte, field int, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	b = putTag(b, field, wireBytes)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func putStrings[S ~string](b []byte, field int, list []S) []byte {
	for _, s := range list {
		b = putText(b, field, string(s)) // an empty element is an element
	}
	return b
}

func putInt[I ~int | ~int64](b []byte, field int, v I) []byte {
	if v == 0 {
		return b
	}
	return binary.AppendUvarint(putTag(b, field, wireVarint), uint64(v))
}

func putBool(b []byte, field int, v bool) []byte {
	if !v {
		return b
	}
	return append(putTag(b, field, wireVarint), 1)
}

func putOptInt[I ~int | ~int32 | ~int64](b []byte, field int, v *I) []byte {
	if v == nil {
		return b
	}
	return binary.AppendUvarint(putTag(b, field, wireVarint), uint64(int64(*v)))
}

func putOptBool(b []byte, field int, v *bool) []byte {
	if v == nil {
		return b
	}
	b = putTag(b, field, wireVarint)
	if *v {
		return append(b, 1)
	}
	return append(b, 0)
}

func putOptDouble(b []byte, field int, v *float64) []byte {
	if v == nil {
		return b
	}
	return binary.LittleEndian.AppendUint64(putTag(b, field, wireFixed64), math.Float64bits(*v))
}

func putInts(b []byte, field int, list []int32) []byte {
	if len(list) == 0 {
		return b
	}
	b, at := begin(b, field)
	for _, v := range list {
		b = binary.AppendUvarint(b, uint64(int64(v)))
	}
	return end(b, at)
}

func putFloats(b []byte, field int, list []float32) []byte {
	if len(list) == 0 {
		return b
	}
	b = putTag(b, field, wireBytes)
	b = binary.AppendUvarint(b, uint64(4*len(list)))
	for _, v := range list {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// begin opens a length-delimited field whose length is not known yet; end
// closes it. One byte is reserved: most are short, longer ones are moved once.
func begin(b []byte, field int) ([]byte, int) {
	b = append(putTag(b, field, wireBytes), 0)
	return b, len(b)
}

func end(b []byte, at int) []byte {
	n := len(b) - at
	if n < 0x80 {
		b[at-1] = byte(n)
		return b
	}
	var size [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(size[:], uint64(n))
	b = append(b, size[1:k]...) // make room
	copy(b[at+k-1:], b[at:at+n])
	copy(b[at-1:], size[:k])
	return b
}
