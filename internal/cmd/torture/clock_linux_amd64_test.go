package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const clockChild = "TORTURE_TEST_CLOCK"

// TestClockChild is the process whose clock is set: it answers each line with
// its time, and how long it believes to run.
func TestClockChild(t *testing.T) {
	if os.Getenv(clockChild) == "" {
		t.Skip("only as a child of TestClockJumps")
	}
	began := time.Now()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println("at", time.Now().Unix(), int(time.Since(began).Minutes()))
	}
}

// A running process's wall clock jumps ahead, back and to the true time; its
// monotonic clock does not.
func TestClockJumps(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestClockChild$", "-test.v")
	cmd.Env = append(os.Environ(), clockChild+"=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	answers := bufio.NewScanner(out)
	ask := func() (offset time.Duration, minutes int) {
		_, err := fmt.Fprintln(in)
		require.NoError(t, err)
		for answers.Scan() {
			var unix int64
			if n, _ := fmt.Sscanf(answers.Text(), "at %d %d", &unix, &minutes); n == 2 {
				return time.Until(time.Unix(unix, 0)), minutes
			}
		}
		t.Fatal("no answer")
		return 0, 0
	}
	ask() // it runs
	c, err := takeClock(cmd.Process.Pid)
	require.NoError(t, err)
	for _, d := range []time.Duration{0, 26 * time.Hour, -26 * time.Hour, 90 * time.Second, 0} {
		require.NoError(t, c.jump(d))
		offset, minutes := ask()
		assert.InDelta(t, d.Seconds(), offset.Seconds(), 30, "%s", d)
		assert.Zero(t, minutes, "%s: time.Since is of the monotonic clock", d)
	}
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
}
