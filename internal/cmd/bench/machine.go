package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
)

type machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	OS    string `json:"os"`
	Go    string `json:"go"`
}

func thisMachine() machine {
	return machine{CPU: cpuModel(), Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

type loadInfo struct {
	Kind             string `json:"kind"`
	Shape            string `json:"shape"`
	Open             int    `json:"open_traces"`
	SpansPerTrace    int    `json:"spans_per_trace"`
	Spans            int    `json:"spans_per_run"`
	Traces           int    `json:"traces_per_run"`
	BytesPerTrace    int    `json:"bytes_per_trace"`
	OrdinaryPerTrace int    `json:"bytes_per_ordinary_trace"`
	Senders          int    `json:"senders"`
	Procs            int    `json:"collector_gomaxprocs"`
	Rounds           int    `json:"rounds"`
}

func (l *lab) describe() loadInfo {
	size := func(s *load.Set) int {
		if s == nil {
			return 0
		}
		return s.BytesPerTrace()
	}
	return loadInfo{
		Kind: l.opt.kind, Shape: l.shape.Name, Open: l.shape.Open, SpansPerTrace: l.shape.Spans(), Spans: l.spans(), Traces: l.trajectories(), BytesPerTrace: size(l.agents), OrdinaryPerTrace: size(l.ordinary),
		Senders: l.opt.senders, Procs: l.opt.procs, Rounds: l.opt.rounds,
	}
}

func (l loadInfo) String() string {
	return fmt.Sprintf("%s: %d spans a run in traces of %d, agents' traces %.1f KB (%s), ordinary ones %.1f KB; %d requests at a time; GOMAXPROCS=%d in the Collector; %d rounds",
		l.Shape, l.Spans, l.SpansPerTrace, float64(l.BytesPerTrace)/1e3, l.Kind, float64(l.OrdinaryPerTrace)/1e3, l.Senders, l.Procs, l.Rounds)
}
