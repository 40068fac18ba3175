package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/trainer"
)

// isTerminal reports whether stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// replayProgress shows a replay: a bar on a terminal, a line a capture in a
// pipe.
type replayProgress struct {
	out  io.Writer
	live bool
	bar  *progressbar.ProgressBar // live, after the first step
	done map[string]int           // requests by capture

	skips int
}

// shownSkips is how many skipped lines are named; the others are counted.
const shownSkips = 10

func newReplayProgress(out io.Writer) *replayProgress {
	return &replayProgress{out: out, live: isTerminal(out), done: map[string]int{}}
}

func (p *replayProgress) step(now otlp.Progress) {
	if p.live {
		if p.bar == nil {
			p.bar = newBar(p.out, now.Contents.Requests, "requests")
		}
		p.bar.Describe(filepath.Base(now.Request.File))
		_ = p.bar.Set(now.Done)
		return
	}
	p.done[now.Request.File]++
	for _, f := range now.Contents.Files {
		if f.File == now.Request.File && f.Requests == p.done[f.File] {
			fmt.Fprintf(p.out, "sent %s: %s, %s, %s\n", filepath.Base(f.File), count(f.Requests, "request"), count(f.Spans, "span"), count(f.LogRecords, "log record"))
		}
	}
}

func (p *replayProgress) skipped(err error) {
	if p.skips++; p.skips > shownSkips {
		return
	}
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintf(p.out, "skipped %s\n", indented(err))
}

func (p *replayProgress) close() {
	if p.bar != nil {
		_ = p.bar.Exit()
	}
	if more := p.skips - shownSkips; more > 0 {
		fmt.Fprintf(p.out, "skipped %d more\n", more)
	}
}

// trainProgress shows a night: a line a stage, and on a terminal a bar while a
// stage goes through trajectories.
type trainProgress struct {
	out  io.Writer
	live bool
	bar  *progressbar.ProgressBar
}

func newTrainProgress(out io.Writer) *trainProgress {
	return &trainProgress{out: out, live: isTerminal(out)}
}

func (p *trainProgress) event(e trainer.Event) {
	switch e.State {
	case trainer.Working:
		if p.live {
			if p.bar == nil {
				p.bar = newBar(p.out, e.Total, "trajectories")
				p.bar.Describe(e.Stage)
			}
			_ = p.bar.Set(e.Done)
		}
	case trainer.Done, trainer.Reused:
		p.close()
		fmt.Fprintf(p.out, "%-10s %s\n", e.Stage, e.State)
	}
}

func (p *trainProgress) close() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

func newBar(out io.Writer, total int, unit string) *progressbar.ProgressBar {
	return progressbar.NewOptions(total,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetItsString(unit),
		progressbar.OptionShowIts(),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(out) }),
	)
}
