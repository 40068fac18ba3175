package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/tracegrad/tracegrad/internal/backfill"
	"github.com/tracegrad/tracegrad/internal/otlp"
)

// isTerminal reports whether stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// replayProgress shows a replay: a bar on a terminal, a line a capture in a
// pipe.
type replayProgress struct {
	skips
	live bool
	done map[string]int // requests by capture
}

// skips names what was skipped, the first few, and counts the others.
type skips struct {
	out io.Writer
	bar *progressbar.ProgressBar // on a terminal, after the first step
	n   int
}

// shownSkips is how many skipped lines are named; the others are counted.
const shownSkips = 10

func (s *skips) skipped(err error) {
	if s.n++; s.n > shownSkips {
		return
	}
	if s.bar != nil {
		_ = s.bar.Clear()
	}
	fmt.Fprintf(s.out, "skipped %s\n", indented(err))
}

func (s *skips) close() {
	if s.bar != nil {
		_ = s.bar.Exit()
	}
	if more := s.n - shownSkips; more > 0 {
		fmt.Fprintf(s.out, "skipped %d more\n", more)
	}
}

func newReplayProgress(out io.Writer) *replayProgress {
	return &replayProgress{skips: skips{out: out}, live: isTerminal(out), done: map[string]int{}}
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

// importProgress shows an import: a bar for each of its stages on a terminal, a
// line a file in a pipe.
type importProgress struct {
	skips
	live  bool
	stage string
	file  string
}

func newImportProgress(out io.Writer) *importProgress {
	return &importProgress{skips: skips{out: out}, live: isTerminal(out)}
}

func (p *importProgress) step(now backfill.Progress) {
	if !p.live {
		p.line(now)
		return
	}
	if p.stage != now.Stage {
		if p.bar != nil {
			_ = p.bar.Finish()
		}
		p.stage = now.Stage
		p.bar = newImportBar(p.out, now)
	}
	what := now.Stage
	if now.File != "" {
		what += " " + filepath.Base(now.File)
	}
	p.bar.Describe(what)
	_ = p.bar.Set64(now.Done)
}

func (p *importProgress) line(now backfill.Progress) {
	switch {
	case now.Stage == backfill.StageRead && now.File != p.file:
		p.file = now.File
		fmt.Fprintln(p.out, "reading", now.File)
	case now.Stage != p.stage && now.Stage == backfill.StageAssemble:
		fmt.Fprintln(p.out, "assembling", plural(int(now.Total), "span or log record", "spans and log records"))
	}
	p.stage = now.Stage
}

func newImportBar(out io.Writer, now backfill.Progress) *progressbar.ProgressBar {
	unit := progressbar.OptionShowBytes(true)
	if now.Stage == backfill.StageAssemble {
		unit = progressbar.OptionSetItsString("spans")
	}
	return progressbar.NewOptions64(now.Total, progressbar.OptionSetWriter(out), unit, progressbar.OptionShowIts(), progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(50*time.Millisecond), progressbar.OptionOnCompletion(func() { fmt.Fprintln(out) }))
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

// fetched shows on a terminal how a dataset in a bucket is copied; nil elsewhere.
func fetched(out io.Writer) func(done, total int64) {
	if !isTerminal(out) {
		return nil
	}
	var bar *progressbar.ProgressBar
	return func(done, total int64) {
		if bar == nil {
			bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(out), progressbar.OptionShowBytes(true), progressbar.OptionSetDescription("copying the dataset"),
				progressbar.OptionSetWidth(30), progressbar.OptionThrottle(50*time.Millisecond), progressbar.OptionOnCompletion(func() { fmt.Fprintln(out) }))
		}
		_ = bar.Set64(done)
	}
}
