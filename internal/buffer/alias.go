package buffer

import (
	"encoding/hex"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// aliases remembers to which trajectory a trace belonged after the trajectory
// is forgotten: the newest max traces. Rollouts are remembered under the bytes
// of their trajectory id.
type aliases struct {
	ids  map[trajectory.TraceID][16]byte
	ring []trajectory.TraceID
	next int
	max  int

	before bool // something was remembered
}

func newAliases(most int) *aliases {
	return &aliases{ids: map[trajectory.TraceID][16]byte{}, max: most}
}

func (a *aliases) add(trace trajectory.TraceID, id string) {
	var raw [16]byte
	if n, err := hex.Decode(raw[:], []byte(id)); err != nil || n != len(raw) || a.max <= 0 {
		return
	}
	if _, ok := a.ids[trace]; !ok {
		if len(a.ring) < a.max {
			a.ring = append(a.ring, trace)
		} else {
			delete(a.ids, a.ring[a.next])
			a.ring[a.next] = trace
			a.next = (a.next + 1) % a.max
		}
	}
	a.ids[trace] = raw
}

// get returns "" for a trace that is not remembered.
func (a *aliases) get(trace trajectory.TraceID) string {
	raw, ok := a.ids[trace]
	if !ok {
		return ""
	}
	return hex.EncodeToString(raw[:])
}

// remember notes a trajectory of before, of which no more than the id is known.
func (a *aliases) remember(id string) {
	a.before = true
	a.add(rawID(id), id)
}

// of returns the trajectory of a trace, "" for none. Of those of before it finds
// the ones that are named after the trace.
func (a *aliases) of(trace trajectory.TraceID) string {
	if id := a.get(trace); id != "" || !a.before {
		return id
	}
	return a.get(rawID(trajectory.IDOf(trace.String())))
}

// rolloutAlias is the key of a trace's rollout in aliases.
func rolloutAlias(t *trace) trajectory.TraceID {
	return rawID(t.rolloutID())
}

// rawID is the bytes of a trajectory's id: 32 hex digits, so that it cannot fail.
func rawID(id string) (raw trajectory.TraceID) {
	_, _ = hex.Decode(raw[:], []byte(id))
	return raw
}
