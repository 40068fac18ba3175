package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/tracegrad/tracegrad/trainer"
	"github.com/tracegrad/tracegrad/trainer/update"
)

// trainProgress shows a night: a line a stage, and on a terminal one that moves
// while a stage goes on. Of an update every step is a line in a pipe.
type trainProgress struct {
	out  io.Writer
	live bool
	bar  *progressbar.ProgressBar
	line int // columns of the line that moves; 0 = there is none
}

func newTrainProgress(out io.Writer) *trainProgress {
	return &trainProgress{out: out, live: isTerminal(out)}
}

func (p *trainProgress) event(e trainer.Event) {
	switch {
	case e.Run != "":
		fmt.Fprintf(p.out, "going on with run %s; --fresh begins a new one\n", e.Run)
	case e.Estimate != nil:
		p.close()
		printEstimate(p.out, e.Estimate)
	case e.Step != nil:
		p.step(e)
	case e.State == trainer.Working && e.Left > 0:
		p.moving(fmt.Sprintf("%-10s %d of %d, %s left", e.Stage, e.Done, e.Total, about(e.Left)))
	case e.State == trainer.Working:
		p.count(e)
	case e.Stage != "night" && (e.State == trainer.Done || e.State == trainer.Reused):
		p.close()
		fmt.Fprintf(p.out, "%-10s %s\n", e.Stage, e.State)
	}
}

func (p *trainProgress) count(e trainer.Event) {
	if !p.live {
		return
	}
	if p.bar == nil {
		p.bar = newBar(p.out, e.Total, "trajectories")
		p.bar.Describe(e.Stage)
	}
	_ = p.bar.Set(e.Done)
}

// step shows an optimizer step. The last lines of an update stay.
func (p *trainProgress) step(e trainer.Event) {
	rest := stepLine(e.Step)
	if e.Left > 0 {
		rest = fmt.Sprintf("%s left  %s", about(e.Left), rest)
	}
	if p.live && e.Done < e.Total && e.Step.Stop == "" {
		p.moving(fmt.Sprintf("%-10s %s %s", e.Stage, meter(e.Done, e.Total), rest))
		return
	}
	p.close()
	fmt.Fprintf(p.out, "%-10s %s\n", e.Stage, rest)
}

// stepLine is a step in figures.
func stepLine(s *update.Step) string {
	if s.Stop != "" {
		return fmt.Sprintf("stopped before step %d of %d: %s", s.Step, s.Of, s.Stop)
	}
	parts := []string{
		fmt.Sprintf("step %d/%d", s.Step, s.Of), fmt.Sprintf("loss %.4g", s.Loss), fmt.Sprintf("kl %.3g", s.Moved),
		fmt.Sprintf("clip %.1f%%", 100*s.ClipFraction),
	}
	if s.ESS != nil {
		parts = slices.Insert(parts, 3, fmt.Sprintf("ess %.2f", *s.ESS))
	}
	if s.KL != nil {
		parts = append(parts, fmt.Sprintf("kl to base %.3g", *s.KL))
	}
	if s.ValueLoss != nil {
		parts = append(parts, fmt.Sprintf("value loss %.4g", *s.ValueLoss))
	}
	if s.PerSecond > 0 {
		parts = append(parts, fmt.Sprintf("%.0f tokens/s", s.PerSecond))
	}
	return strings.Join(parts, "  ")
}

const meterWidth = 10

func meter(done, total int) string {
	full := meterWidth * done / max(total, 1)
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", meterWidth-full) + "]"
}

// moving replaces the line that moves; in a pipe there is none.
func (p *trainProgress) moving(line string) {
	if !p.live {
		return
	}
	if wide := columns(p.out); len(line) >= wide { // a line that breaks cannot be replaced
		line = line[:wide-1]
	}
	fmt.Fprintf(p.out, "\r%-*s", p.line, line)
	p.line = len(line)
}

// columns is the width of a terminal.
func columns(out io.Writer) int {
	if f, ok := out.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 20 {
			return width
		}
	}
	return 80
}

func (p *trainProgress) close() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
	if p.line > 0 {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.line))
		p.line = 0
	}
}

// about is a time in two figures at most.
func about(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

func printEstimate(out io.Writer, e *trainer.Estimate) {
	takes := "time not known"
	if e.Seconds != nil {
		takes = fmt.Sprintf("about %s (by %s)", about(time.Duration(*e.Seconds*float64(time.Second))), e.Basis)
	}
	memory := "memory: the engine's own matter"
	if e.Memory != nil {
		memory = "memory roughly " + size(*e.Memory)
	}
	fmt.Fprintf(out, "%-10s %s, %d tokens (%d generated), %s; %s; %s\n", "estimate",
		plural(e.Rollouts, "trajectory", "trajectories"), e.Tokens, e.Trained, count(e.Steps, "step"), takes, memory)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d kB", n/1000)
}

// worker is where our engine's own words go: what it sets up the first time is
// worth seeing; nil = nowhere.
func (p *trainProgress) worker() io.Writer { return &setup{p} }

// setup passes on the lines of a set-up and drops what the worker prints later.
type setup struct{ p *trainProgress }

func (s *setup) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "worker: ") {
			s.p.close()
			fmt.Fprintf(s.p.out, "%s\n", strings.TrimRight(line, "\n"))
		}
	}
	return len(text), nil
}
