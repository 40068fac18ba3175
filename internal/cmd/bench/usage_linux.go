package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// cpuOf is the CPU time that a process has used, user and system, of all its
// threads. It has no resolution to speak of: the scheduler's own clock is read.
func cpuOf(pid int) (time.Duration, error) {
	const ofAllThreads = 2 // CPUCLOCK_SCHED, see clock_getcpuclockid(3)
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|ofAllThreads), &t); err != nil { //nolint:gosec // how the clock is named
		return 0, fmt.Errorf("read CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// watchRSS gives the most memory that the Collector had at a time, in bytes,
// when it has exited. What wait4 says of it is of no use: it begins with the
// memory of the process that forked.
func watchRSS(c *localcollector.Collector) <-chan int64 {
	peak := make(chan int64, 1)
	go func() {
		best := int64(0)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			best = max(best, highWater(c.PID()))
			select {
			case <-tick.C:
			case <-c.Exited():
				peak <- best
				return
			}
		}
	}()
	return peak
}

func highWater(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, line, ok := bytes.Cut(status, []byte("VmHWM:"))
	if !ok {
		return 0 // it is a zombie
	}
	kb, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
	n, _ := strconv.ParseInt(string(kb), 10, 64)
	return n << 10
}
