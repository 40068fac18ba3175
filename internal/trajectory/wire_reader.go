package trajectory

import (
	"errors"
	"math"
	"unicode/utf8"
)

var (
	errCut     = errors.New("data ends inside a field")
	errVarint  = errors.New("a number is longer than 64 bits")
	errText    = errors.New("a text is not UTF-8")
	errTag     = errors.New("a field has no valid number or wire type")
	errPacked  = errors.New("a packed list ends inside an element")
	errNesting = errors.New("groups are nested too deeply")
)

// reader walks the fields of one message. Texts it returns are parts of s.
// After the first error it is at its end and all values are zero.
type reader struct {
	s   string
	i   int // the next byte
	n   int // the end of the message that is being read
	err error

	shown []resultRef // likewise, when all messages are
	tools []toolsRef  // to be resolved when all steps are read

	// What optional fields point to, a few at a time.
	wholes  []int64
	doubles []float64
	results []string
	indices []int32
}

// place puts v among others of its kind and returns where it is.
func place[T any](room *[]T, v T) *T {
	if len(*room) == cap(*room) {
		*room = make([]T, 0, 16)
	}
	*room = append(*room, v)
	return &(*room)[len(*room)-1]
}

func newReader(s string) *reader { return &reader{s: s, n: len(s)} }

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.i, r.n = len(r.s), len(r.s)
}

func (r *reader) more() bool { return r.i < r.n }

// enter steps into an embedded message; leave, with what enter gave, out of it.
func (r *reader) enter() (outer int) {
	n := r.varint()
	if n > uint64(r.n-r.i) {
		r.fail(errCut)
		return r.n
	}
	outer, r.n = r.n, r.i+int(n)
	return outer
}

func (r *reader) leave(outer int) { r.n = outer }

// tag is the next field's number << 3 | wire type.
func (r *reader) tag() uint64 {
	t := r.varint()
	if r.err == nil && (t>>3 == 0 || t>>3 > 1<<29-1) {
		r.fail(errTag)
		return 0
	}
	return t
}

func (r *reader) varint() uint64 {
	var v uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if r.i >= r.n {
			r.fail(errCut)
			return 0
		}
		c := r.s[r.i]
		r.i++
		if shift == 63 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.fail(errVarint)
	return 0
}

func (r *reader) bytes() string {
	n := r.varint()
	if n > uint64(r.n-r.i) {
		r.fail(errCut)
		return ""
	}
	s := r.s[r.i : r.i+int(n)]
	r.i += int(n)
	return s
}

func (r *reader) text() string {
	s := r.bytes()
	if !utf8.ValidString(s) {
		r.fail(errText)
		return ""
	}
	return s
}

func (r *reader) fixed64() uint64 {
	if r.n-r.i < 8 {
		r.fail(errCut)
		return 0
	}
	lo, hi := le32(r.s[r.i:]), le32(r.s[r.i+4:])
	r.i += 8
	return uint64(hi)<<32 | uint64(lo)
}

func (r *reader) fixed32() uint32 {
	if r.n-r.i < 4 {
		r.fail(errCut)
		return 0
	}
	v := le32(r.s[r.i:])
	r.i += 4
	return v
}

func le32(s string) uint32 {
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// skip passes over the field that tag announced.
func (r *reader) skip(tag uint64) { r.skipDepth(tag, 0) }

func (r *reader) skipDepth(tag uint64, depth int) {
	const startGroup, endGroup, maxDepth = 3, 4, 100
	switch tag & 7 {
	case wireVarint:
		r.varint()
	case wireFixed64:
		r.fixed64()
	case wireBytes:
		r.bytes()
	case wireFixed32:
		r.fixed32()
	case startGroup: // of a future or foreign writer
		if depth == maxDepth {
			r.fail(errNesting)
			return
		}
		for r.err == nil {
			inner := r.tag()
			if inner == tag&^7|endGroup {
				return
			}
			r.skipDepth(inner, depth+1)
		}
	default:
		r.fail(errTag)
	}
}

// manyIndices is room for the lists of several steps.
const manyIndices = 64

// ints adds a packed list to list.
func (r *reader) ints(list []int32) []int32 {
	outer := r.enter()
	n := 0
	for i := r.i; i < r.n; i++ {
		if r.s[i] < 0x80 {
			n++
		}
	}
	switch {
	case n == 0:
	case len(list) == 0 && n <= cap(r.indices)-len(r.indices):
		list, r.indices = r.indices[len(r.indices):len(r.indices):len(r.indices)+n], r.indices[:len(r.indices)+n]
	case len(list) == 0 && n <= manyIndices/4:
		room := make([]int32, manyIndices)
		list, r.indices = room[:0:n], room[:n]
	case cap(list)-len(list) < n:
		list = append(make([]int32, 0, len(list)+n), list...)
	}
	for r.more() {
		list = append(list, int32(r.varint()))
	}
	r.leave(outer)
	return list
}

// floats adds a packed list to list.
func (r *reader) floats(list []float32) []float32 {
	s := r.bytes()
	if len(s)%4 != 0 {
		r.fail(errPacked)
		return nil
	}
	if cap(list)-len(list) < len(s)/4 {
		list = append(make([]float32, 0, len(list)+len(s)/4), list...)
	}
	for ; len(s) > 0; s = s[4:] {
		list = append(list, math.Float32frombits(le32(s)))
	}
	return list
}

func (r *reader) optInt() *int64 {
	return place(&r.wholes, int64(r.varint()))
}

func (r *reader) optInt32() *int32 {
	v := int32(r.varint())
	return &v
}

func (r *reader) optDouble() *float64 {
	return place(&r.doubles, math.Float64frombits(r.fixed64()))
}

func (r *reader) float() float32 { return math.Float32frombits(r.fixed32()) }
