//go:build !linux

package main

import (
	"errors"
	"time"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

func cpuOf(int) (time.Duration, error) {
	return 0, errors.New("the benchmark reads the CPU time of another process, which it can do on Linux only")
}

func watchRSS(*localcollector.Collector) <-chan int64 { return nil }
