package trainer

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"github.com/tracegrad/tracegrad/trainer/prompt"
)

// scale maps values to pixels. It is padded so that marks at its ends are whole.
type scale struct {
	low, high, width float64
}

const chartPad = 6

func newScale(low, high, width float64) scale {
	if high-low < 1e-9 {
		low, high = low-0.5, high+0.5
	}
	return scale{low, high, width}
}

func (s scale) x(v float64) float64 {
	v = min(max(v, s.low), s.high)
	return chartPad + (v-s.low)/(s.high-s.low)*(s.width-2*chartPad)
}

// bins is the number of bars of a histogram.
const bins = 28

// histogram draws how values spread: one bar a bin, the mean as a line. Bars
// below zero have the class neg. The title says it in words for who cannot see it.
func histogram(values []float64, s scale, title string) template.HTML {
	const height = 44
	var counts [bins]int
	var sum float64
	highest := 1
	for _, v := range values {
		at := min(int((v-s.low)/(s.high-s.low)*bins), bins-1)
		counts[max(at, 0)]++
		highest = max(highest, counts[max(at, 0)])
		sum += v
	}
	var b strings.Builder
	open(&b, s.width, height, title)
	line(&b, "axis", s.x(s.low), height-0.5, s.x(s.high), height-0.5)
	if s.low < 0 && s.high > 0 {
		line(&b, "zero", s.x(0), 2, s.x(0), height)
	}
	step := (s.high - s.low) / bins
	for i, n := range counts {
		if n == 0 {
			continue
		}
		left := s.x(s.low + float64(i)*step)
		w := (s.width-2*chartPad)/bins - 1
		h := max(float64(n)/float64(highest)*(height-10), 2)
		class := "bar"
		if s.low+(float64(i)+0.5)*step < 0 {
			class = "bar neg"
		}
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="1"/>`, class, left, height-1-h, w, h)
	}
	if len(values) > 0 {
		m := s.x(sum / float64(len(values)))
		fmt.Fprintf(&b, `<path class="mean" d="M%.1f 8 l-4 -7 h8 z"/>`, m)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // numbers and an escaped title
}

// forest draws an estimate with its interval against zero.
func forest(i *prompt.Interval, s scale, title string) template.HTML {
	const height = 26
	var b strings.Builder
	open(&b, s.width, height, title)
	line(&b, "axis", s.x(s.low), height-0.5, s.x(s.high), height-0.5)
	line(&b, "zero", s.x(0), 0, s.x(0), height)
	if i != nil {
		class := "unsure"
		switch {
		case i.Low > 0:
			class = "good"
		case i.High < 0:
			class = "bad"
		}
		line(&b, "whisker "+class, s.x(i.Low), height/2, s.x(i.High), height/2)
		for _, end := range []float64{i.Low, i.High} {
			line(&b, "whisker "+class, s.x(end), height/2-4, s.x(end), height/2+4)
		}
		fmt.Fprintf(&b, `<circle class="dot %s" cx="%.1f" cy="%d" r="5"/>`, class, s.x(i.Estimate), height/2)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // numbers and an escaped title
}

// ticks labels a scale at round values.
func ticks(s scale) template.HTML {
	const height = 16
	var b strings.Builder
	open(&b, s.width, height, "")
	step := roundStep((s.high - s.low) / 6)
	for v := math.Ceil(s.low/step) * step; v <= s.high+step/1e6; v += step {
		if math.Abs(v) < step/1e6 {
			v = 0
		}
		anchor := "middle"
		switch x := s.x(v); {
		case x < 14:
			anchor = "start"
		case x > s.width-14:
			anchor = "end"
		}
		fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="12" text-anchor="%s">%s</text>`, s.x(v), anchor, number(v))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // numbers
}

// roundStep is the next of 1, 2, 5 × 10ⁿ.
func roundStep(x float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if x <= m*p*1.0001 {
			return m * p
		}
	}
	return 10 * p
}

func open(b *strings.Builder, width, height float64, title string) {
	fmt.Fprintf(b, `<svg viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img">`, width, height, width, height)
	if title != "" {
		fmt.Fprintf(b, "<title>%s</title>", template.HTMLEscapeString(title))
	}
}

func line(b *strings.Builder, class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

// number is short and has a true minus sign.
func number(v float64) string {
	text := fmt.Sprintf("%.2f", v)
	if text == "-0.00" {
		text = "0.00"
	}
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return strings.Replace(text, "-", "−", 1)
}

// signed is a difference: +0.41 or −0.2.
func signed(v float64) string {
	text := strings.Replace(fmt.Sprintf("%+.2f", v), "-", "−", 1)
	if text == "−0.00" {
		return "+0.00"
	}
	return text
}
