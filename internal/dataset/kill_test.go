package dataset_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

const (
	childRoot = "TRACEGRAD_TEST_KILLED_WRITER"
	days      = 6
)

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
			tr.FirstSeenAt = noon.AddDate(0, 0, i%days).UnixMicro() // many files: it takes long to move them all
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
	for round := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.v")
		cmd.Env = append(os.Environ(), childRoot+"="+root)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		s := bufio.NewScanner(out)
		for n := 0; n < 2 && s.Scan(); {
			var batch string
			if _, err := fmt.Sscanf(s.Text(), "committed %s", &batch); err == nil {
				acked[batch] = true
				n++
			}
		}
		if round%2 == 1 { // while it moves the next one, else while it writes it
			first := filepath.Join(root, "v1", dataset.TableMessages, "date=2026-03-14")
			for before := count(t, first); count(t, first) <= before; {
				runtime.Gosched()
			}
		}
		require.NoError(t, cmd.Process.Kill())
		for s.Scan() {
			var batch string
			if _, err := fmt.Sscanf(s.Text(), "committed %s", &batch); err == nil {
				acked[batch] = true
			}
		}
		require.Error(t, cmd.Wait())
		checkAfterKill(t, root, acked)
	}
	assert.GreaterOrEqual(t, len(acked), 4*2)
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

func count(t *testing.T, dir string) int {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	return len(entries)
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
