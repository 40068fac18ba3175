package dataset_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const childRoot = "TRACEGRAD_TEST_KILLED_WRITER"

// TestKilledChild is the process that TestKilledWriter kills: it commits until
// it dies and says the batch of each commit that came back.
func TestKilledChild(t *testing.T) {
	root := os.Getenv(childRoot)
	if root == "" {
		t.Skip("only as a child of TestKilledWriter")
	}
	w, err := dataset.NewWriter(root, "a", dataset.Options{})
	require.NoError(t, err)
	for n := 0; ; n++ {
		var list []*trajectory.Trajectory
		for i := range 20 {
			tr := sample()[0]
			tr.ID = fmt.Sprintf("%032d", n*100+i)
			tr.FirstSeenAt = noon.AddDate(0, 0, i%2).UnixMicro() // two commits in one
			tr.Facts[0].TrajectoryID = tr.ID
			list = append(list, tr)
		}
		c, err := w.Write(context.Background(), list, nil)
		require.NoError(t, err)
		fmt.Printf("committed %s\n", c.Batch)
	}
}

// A writer that is killed at any moment loses nothing that it committed, and
// after the next start nothing half-written is left.
func TestKilledWriter(t *testing.T) {
	root := t.TempDir()
	acked := map[string]bool{}
	for round := range 6 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.v")
		cmd.Env = append(os.Environ(), childRoot+"="+root)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		s := bufio.NewScanner(out)
		for n := 0; n < 3+round && s.Scan(); {
			var batch string
			if _, err := fmt.Sscanf(s.Text(), "committed %s", &batch); err == nil {
				acked[batch] = true
				n++
			}
		}
		require.NoError(t, cmd.Process.Kill()) // while it writes the next one
		for s.Scan() {
			var batch string
			if _, err := fmt.Sscanf(s.Text(), "committed %s", &batch); err == nil {
				acked[batch] = true
			}
		}
		require.Error(t, cmd.Wait())
		checkAfterKill(t, root, acked)
	}
	assert.GreaterOrEqual(t, len(acked), 3+4+5+6+7+8)
}

func checkAfterKill(t *testing.T, root string, acked map[string]bool) {
	w, err := dataset.NewWriter(root, "a", dataset.Options{})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	assert.NoDirExists(t, filepath.Join(root, "v1", "_tmp", "a"))

	commits := names(t, root, dataset.TableTrajectories)
	for _, table := range []string{dataset.TableSteps, dataset.TableMessages, dataset.TableRewards} {
		assert.Equal(t, commits, names(t, root, table), "every file belongs to a commit")
	}
	set := readSet(t, root)
	batches := map[string]int{}
	list, err := dataset.Trajectories(set)
	require.NoError(t, err)
	for i, tr := range list {
		batches[set.Trajectories[i].Batch]++
		assert.Len(t, tr.Steps, 3)
		assert.Len(t, tr.Messages, 4)
		assert.Len(t, tr.Rewards, 2)
	}
	for batch := range acked {
		assert.Equal(t, 20, batches[batch], "batch %s was committed", batch)
	}
}

var dayAndFile = regexp.MustCompile(`date=.*$`)

func names(t *testing.T, root, table string) (list []string) {
	files, err := dataset.Files(root, table)
	require.NoError(t, err)
	for _, f := range files {
		list = append(list, dayAndFile.FindString(f))
	}
	return list
}
