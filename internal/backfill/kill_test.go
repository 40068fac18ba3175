package backfill

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const childRoot = "TRACEGRAD_TEST_KILLED_IMPORT"

// TestKilledChild is the process that TestKilledImport kills.
func TestKilledChild(t *testing.T) {
	root := os.Getenv(childRoot)
	if root == "" {
		t.Skip("only as a child of TestKilledImport")
	}
	_, err := Run(context.Background(), Options{Dataset: root, Files: many, Memory: little, OnProgress: func(p Progress) {
		fmt.Printf("%s %d\n", p.Stage, 100*p.Done/p.Total)
	}})
	require.NoError(t, err)
	fmt.Println("done 100")
}

// TestKilledImport: an import that is killed again and again, at any moment,
// leaves what an undisturbed one does.
func TestKilledImport(t *testing.T) {
	want, _ := imported(t, Options{Memory: little}, many...)
	root := t.TempDir()
	for _, at := range []struct {
		stage   string
		percent int
	}{{StageRead, 5}, {StageRead, 60}, {StageRead, 95}, {StageAssemble, 1}, {StageAssemble, 50}, {StageAssemble, 99}} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.v")
		cmd.Env = append(os.Environ(), childRoot+"="+root)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		for s := bufio.NewScanner(out); s.Scan(); {
			var stage string
			var percent int
			if _, err := fmt.Sscanf(s.Text(), "%s %d", &stage, &percent); err == nil && stage == at.stage && percent >= at.percent {
				break
			}
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed, or done before
	}
	got, _ := imported(t, Options{Dataset: root, Memory: little}, many...)
	assert.Equal(t, want, got)
	once(t, root)
}
