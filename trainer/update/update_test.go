package update

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScheduleHasEverythingOncePerEpoch(t *testing.T) {
	for _, n := range []int{0, 1, 7, 64, 65, 200} {
		for _, size := range []int{1, 3, 64, 1000} {
			p := Plan{Epochs: 3, StepRollouts: size, Seed: 5}
			steps := p.Schedule(n)
			assert.Equal(t, steps, p.Schedule(n), "the seed decides")
			var all []int
			least, most := n, 0
			for _, s := range steps {
				all = append(all, s...)
				least, most = min(least, len(s)), max(most, len(s))
			}
			if n == 0 {
				assert.Empty(t, steps)
				continue
			}
			require.Len(t, all, 3*n)
			assert.LessOrEqual(t, most, size)
			assert.LessOrEqual(t, most-least, 1, "steps are of a size")
			for epoch := range 3 {
				own := slices.Sorted(slices.Values(all[epoch*n : (epoch+1)*n]))
				for i, v := range own {
					require.Equal(t, i, v)
				}
			}
		}
	}
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	open := func(inputs string) *Journal {
		j, err := OpenJournal(path, inputs)
		require.NoError(t, err)
		return j
	}
	j := open("a")
	require.NoError(t, j.add(Step{Step: 1, Checkpoint: "one"}))
	require.NoError(t, j.add(Step{Step: 2, Checkpoint: "two"}))
	require.NoError(t, j.add(Step{Step: 3}))
	first := j.Name("run", 3)

	j = open("a")
	require.Len(t, j.Steps, 2, "what no checkpoint holds is taken again")
	assert.Equal(t, "two", j.Checkpoint())
	assert.NotEqual(t, first, j.Name("run", 3), "no name is used twice")
	require.NoError(t, j.add(Step{Step: 3, Checkpoint: "three"}))

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for cut := 0; cut < len(text); cut += 11 { // killed while it was written
		require.NoError(t, os.WriteFile(path, text[:cut], 0o600))
		j = open("a")
		whole := strings.Count(string(text[:cut]), "\n") - 1
		require.Len(t, j.Steps, max(whole, 0), "cut at %d", cut)
	}
	require.NoError(t, os.WriteFile(path, text, 0o600))
	steps, err := ReadSteps(path)
	require.NoError(t, err)
	assert.Len(t, steps, 3)

	assert.Empty(t, open("b").Steps, "another update begins anew")
	assert.Empty(t, open("b").Checkpoint())
}

func TestJournalKeepsAStop(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	j, err := OpenJournal(path, "a")
	require.NoError(t, err)
	require.NoError(t, j.add(Step{Step: 1, Checkpoint: "one"}))
	require.NoError(t, j.add(Step{Step: 2, Stop: "max_kl: far"}))
	j, err = OpenJournal(path, "a")
	require.NoError(t, err)
	require.Len(t, j.Steps, 2)
	stop, err := Run(t.Context(), nil, make([]Item, 3), Plan{Epochs: 2, StepRollouts: 2}, Options{Journal: j})
	require.NoError(t, err)
	assert.Equal(t, "max_kl: far", stop, "an update that was stopped is not gone on with")
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"version":1,"inputs":"a","started":1}` + "\n" + `{"step":1,"checkpoint":"x"}` + "\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "metrics.jsonl")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		j, err := OpenJournal(path, "a")
		require.NoError(t, err)
		for i, s := range j.Steps {
			require.Equal(t, i+1, s.Step)
		}
		again, err := OpenJournal(path, "a")
		require.NoError(t, err)
		require.Len(t, again.Steps, len(j.Steps))
	})
}
