package trainer

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// point is a step of an update on a curve.
type point struct {
	x, y float64
	stop bool // the step was not taken
}

const (
	curveWidth, curveHeight = 320.0, 120.0
	curveLeft, curveBottom  = 52.0, 18.0
)

// curve draws values over steps; limit is a dashed line, 0 = none. The title
// says first and last value for who cannot see it.
func curve(points []point, limit float64, title string) template.HTML {
	first, last := points[0], points[len(points)-1]
	low, high := first.y, first.y
	for _, p := range points {
		low, high = min(low, p.y), max(high, p.y)
	}
	if near := high - low; limit != 0 && (limit <= high+3*near || limit <= 2*high) {
		low, high = min(low, limit), max(high, limit)
	}
	if low > 0 && low < high/2 {
		low = 0
	}
	switch flat := high-low < 1e-12; {
	case flat && high == 0:
		high = 1
	case flat:
		low, high = low-math.Abs(low)/10, high+math.Abs(high)/10
	}
	x := func(v float64) float64 {
		if last.x == first.x {
			return (curveLeft + curveWidth) / 2
		}
		return curveLeft + 4 + (v-first.x)/(last.x-first.x)*(curveWidth-curveLeft-12)
	}
	y := func(v float64) float64 { return 8 + (high-v)/(high-low)*(curveHeight-curveBottom-14) }
	var b strings.Builder
	open(&b, curveWidth, curveHeight, fmt.Sprintf("%s: %s at step %.0f, %s at step %.0f", title, number3(first.y), first.x, number3(last.y), last.x))
	line(&b, "axis", curveLeft, curveHeight-curveBottom, curveWidth, curveHeight-curveBottom)
	for _, v := range []float64{low, high} {
		fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="end">%s</text>`, curveLeft-4, y(v)+4, number3(v))
	}
	fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="start">%.0f</text>`, x(first.x)-3, curveHeight-4, first.x)
	if last.x != first.x {
		fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="end">%.0f</text>`, x(last.x)+3, curveHeight-4, last.x)
	}
	if limit != 0 && low <= limit && limit <= high {
		line(&b, "limit", curveLeft, y(limit), curveWidth, y(limit))
	}
	b.WriteString(`<polyline class="line" points="`)
	for _, p := range points {
		fmt.Fprintf(&b, "%.1f,%.1f ", x(p.x), y(p.y))
	}
	b.WriteString(`"/>`)
	for _, p := range points {
		if class := "point"; p.stop || len(points) <= 40 {
			if p.stop {
				class = "stop"
			}
			fmt.Fprintf(&b, `<circle class="%s" cx="%.1f" cy="%.1f" r="2.6"/>`, class, x(p.x), y(p.y))
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // numbers and an escaped title
}

// number3 has three digits and a true minus sign.
func number3(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) >= 1000 && math.Abs(v) < 1e7:
		return strings.Replace(fmt.Sprintf("%.0f", v), "-", "−", 1)
	}
	mantissa, exponent, small := strings.Cut(fmt.Sprintf("%.3g", v), "e")
	if n, err := strconv.Atoi(exponent); small && err == nil {
		mantissa += fmt.Sprintf("e%d", n)
	}
	return strings.ReplaceAll(mantissa, "-", "−")
}
