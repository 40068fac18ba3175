package sequence

import (
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/tracegrad/tracegrad/trainer/engine"
)

// index finds the row that a prompt begins with, in one pass over the prompt
// however many rows there are.
type index struct {
	rows    map[end]int // whole rows; the latest of equal ones
	lengths []int       // of them, sorted, each once
	of      []end       // row → its entry
}

// end is a row's tokens in short.
type end struct {
	length int
	hash   uint64
}

// set notes that row at now holds tokens.
func (x *index) set(at int, tokens []int32) {
	var e end
	if at < len(x.of) {
		e = x.of[at] // tokens were only appended
		if x.rows[e] == at {
			delete(x.rows, e)
		}
	} else {
		x.of = append(x.of, end{})
	}
	for _, id := range tokens[e.length:] {
		e.hash = mix(e.hash, id)
	}
	e.length = len(tokens)
	x.of[at], x.rows[e] = e, at
	if i, found := slices.BinarySearch(x.lengths, e.length); !found {
		x.lengths = slices.Insert(x.lengths, i, e.length)
	}
}

// longest is the longest row whose tokens a prompt begins with, -1 for none.
func (x *index) longest(prompt []int32, rows []engine.Row) int {
	var e end
	var found []int
	for _, n := range x.lengths {
		if n > len(prompt) {
			break
		}
		for _, id := range prompt[e.length:n] {
			e.hash = mix(e.hash, id)
		}
		e.length = n
		if at, ok := x.rows[e]; ok {
			found = append(found, at)
		}
	}
	for _, at := range slices.Backward(found) {
		if begins(prompt, rows[at].Tokens) {
			return at
		}
	}
	return -1
}

// secret makes collisions impossible to prepare; it is fixed for the life of the
// process and never leaves it. Equality is checked afterwards, so no result
// depends on it.
var secret = maphash.String(maphash.MakeSeed(), "rows")

// mix folds the next id into h; the order counts.
func mix(h uint64, id int32) uint64 {
	high, low := bits.Mul64(h^secret, uint64(uint32(id))^0x9E3779B97F4A7C15) //nolint:gosec // bits, not a number
	return high ^ low
}
