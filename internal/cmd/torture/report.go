package main

import (
	"fmt"
	"io"
	"time"
)

// line is what one round did.
type line struct {
	Fault, What     string
	Planned, Acked  int // spans, of all rounds so far on this ground
	Retries, GaveUp int // requests
	Trajectories    int // that count, of all rounds so far on this ground
	Kills           int

	began time.Time
}

// report is what all rounds did. Only rounds without fault in the dataset are in it.
type report struct {
	Rounds  []line
	Slowest time.Duration // start of a Collector
	out     io.Writer
}

func (r *report) add(l line) {
	r.Rounds = append(r.Rounds, l)
	fmt.Fprintf(r.out, "%3d  %-14s  %-58s %4d sent again, %2d given up · %6d of %6d spans acknowledged, %5d trajectories: nothing missing, nothing twice (%.1f s)\n",
		len(r.Rounds), l.Fault, l.What, l.Retries, l.GaveUp, l.Acked, l.Planned, l.Trajectories, time.Since(l.began).Seconds())
}

func (r *report) summarize() {
	if len(r.Rounds) == 0 {
		return
	}
	count, kills := map[string]int{}, 0
	for _, l := range r.Rounds {
		count[l.Fault]++
		kills += l.Kills
	}
	fmt.Fprintf(r.out, "\n%d rounds with %d kills, without a loss and without a double:", len(r.Rounds), kills)
	for _, f := range faults {
		if n := count[f.name]; n > 0 {
			fmt.Fprintf(r.out, " %d %s", n, f.name)
		}
	}
	fmt.Fprintf(r.out, "\nslowest start of a Collector: %s\n", round(r.Slowest))
}
