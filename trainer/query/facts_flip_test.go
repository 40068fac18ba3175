//go:build cgo

package query

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestTheNewestObservationOfAFactCounts: whoever changes their mind under one
// id is heard, in whatever order and batches the verdicts are written.
func TestTheNewestObservationOfAFactCounts(t *testing.T) {
	one := attempt(0, "a")
	say := func(id string, second int, value float64) trajectory.Fact {
		return trajectory.Fact{ID: id, Name: "solved", Source: "feedback", TrajectoryID: one.ID, Value: &value,
			ObservedAt: start.Add(time.Hour + time.Duration(second)*time.Second).UnixMicro()}
	}
	for name, batches := range map[string][][]trajectory.Fact{
		"one flush":            {{say("f", 0, 1), say("f", 1, 0), say("f", 2, 1), say("f", 3, 0)}},
		"several":              {{say("f", 0, 1)}, {say("f", 3, 0)}},
		"the older comes last": {{say("f", 3, 0)}, {say("f", 1, 1)}},
		"sent twice":           {{say("f", 3, 0)}, {say("f", 3, 0), say("f", 3, 0)}},
	} {
		for _, turned := range []bool{false, true} {
			root := t.TempDir()
			write(t, root, []*trajectory.Trajectory{one})
			for _, facts := range batches {
				facts = slices.Clone(facts)
				if turned {
					slices.Reverse(facts)
				}
				write(t, root, nil, facts...)
			}
			got, err := open(t, root).Facts(context.Background())
			require.NoError(t, err)
			require.Len(t, got[one.ID], 1, name)
			assert.Zero(t, *got[one.ID][0].Value, name)
			assert.Equal(t, say("f", 3, 0).ObservedAt, got[one.ID][0].ObservedAt, name)
		}
	}
}
