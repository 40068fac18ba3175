package rescore

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed backtest.html
var page string

var backtest = template.Must(template.New("backtest").Funcs(template.FuncMap{
	"number": func(v any) string {
		switch v := v.(type) {
		case *float64:
			if v != nil {
				return fmt.Sprintf("%.4g", *v)
			}
		case float64:
			return fmt.Sprintf("%.4g", v)
		}
		return "–"
	},
	"share": func(n, all int) string {
		if all == 0 {
			return fmt.Sprint(n)
		}
		return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(all))
	},
}).Parse(page))

// column is a bin of the plot, in pixels from the top left.
type column struct {
	X, Width  float64
	Y, Height [2]float64
	Count     [2]int
	From, To  float64
}

// plot sizes, in pixels
const (
	plotWidth  = 720
	plotHeight = 180
)

// WriteHTML writes a report as one page that needs nothing else: no script, no
// other file. files are the names of the two rewards files.
func WriteHTML(w io.Writer, r *Report, files [2]string, now time.Time) error {
	pairs := r.Groups.Alike + r.Groups.Flipped + r.Groups.Tied
	return backtest.Execute(w, map[string]any{
		"Report": r, "Names": files, "Made": now.UTC().Format("2006-01-02 15:04 MST"), "Pairs": pairs,
		"Columns": columns(&r.Histogram), "Width": plotWidth, "Height": plotHeight,
	})
}

func columns(h *Histogram) (out []column) {
	highest := 1
	for _, counts := range h.Counts {
		for _, n := range counts {
			highest = max(highest, n)
		}
	}
	width := h.High/bins - h.Low/bins
	for i := range bins {
		c := column{X: float64(i) * plotWidth / bins, Width: plotWidth/(2.0*bins) - 1}
		c.From, c.To = h.Low+float64(i)*width, h.Low+float64(i+1)*width
		for side := range 2 {
			c.Count[side] = h.Counts[side][i]
			c.Height[side] = float64(c.Count[side]) / float64(highest) * plotHeight
			c.Y[side] = plotHeight - c.Height[side]
		}
		out = append(out, c)
	}
	return out
}
