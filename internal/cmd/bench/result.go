package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// result is everything that was measured.
type result struct {
	Date      string        `json:"date"`
	Machine   machine       `json:"machine"`
	Load      loadInfo      `json:"load"`
	Pipelines []summary     `json:"pipelines"`
	Runs      []measurement `json:"runs"`
}

// summary is the medians of a pipeline over all rounds, with least and most.
type summary struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	CPU     spread `json:"cpu_s_per_million_spans"`
	Ratio   spread `json:"ratio"` // to the CPU of the base in the same round
	Base    string `json:"ratio_to"`
	RSS     spread `json:"peak_rss_mb"`
	Held    spread `json:"held_mb"`
	Written spread `json:"written_mb"`
}

type spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func spreadOf(list []float64) spread {
	if len(list) == 0 {
		return spread{}
	}
	list = slices.Sorted(slices.Values(list))
	mid := len(list) / 2
	s := spread{Median: list[mid], Least: list[0], Most: list[len(list)-1]}
	if len(list)%2 == 0 {
		s.Median = (list[mid-1] + list[mid]) / 2
	}
	return s
}

func (r *result) summarize(plan []pipeline) {
	base := map[string]float64{} // CPU by pipeline and round
	for _, m := range r.Runs {
		base[fmt.Sprint(m.Pipeline, m.Round)] = m.CPU
	}
	for _, p := range plan {
		var cpu, ratio, rss, held, written []float64
		for _, m := range r.Runs {
			if m.Pipeline == p.ID {
				cpu, rss, held, written = append(cpu, m.CPU), append(rss, m.RSS), append(held, m.Held), append(written, m.Written)
				ratio = append(ratio, m.CPU/base[fmt.Sprint(p.Base, m.Round)])
			}
		}
		r.Pipelines = append(r.Pipelines, summary{
			ID: p.ID, Name: p.Name, Base: p.Base, CPU: spreadOf(cpu), Ratio: spreadOf(ratio),
			RSS: spreadOf(rss), Held: spreadOf(held), Written: spreadOf(written),
		})
	}
}

func (r *result) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

func (r *result) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s, %d cores, %s, %s\n%s\n\n", r.Date, r.Machine.CPU, r.Machine.Cores, r.Machine.OS, r.Machine.Go, r.Load)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "\tpipeline\tCPU s per M spans\tratio\tpeak RSS MB\theld MB\twritten MB")
	for _, p := range r.Pipelines {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s %s\t%.0f\t%.0f\t%.1f\n", p.ID, p.Name, p.CPU.text(), p.Ratio.text(), p.Base, p.RSS.Median, p.Held.Median, p.Written.Median)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nMedians over the rounds, in brackets least and most. held: what the trajectory processor had in memory when all was in.")
	return err
}

func (s spread) text() string { return fmt.Sprintf("%.2f [%.2f–%.2f]", s.Median, s.Least, s.Most) }
