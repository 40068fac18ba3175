package main

import (
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	columnGap = "  "
	minColumn = 8 // characters that a cut column keeps
)

// terminalWidth is how many characters a line of w holds; 0 = any number.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// columnWidths are the characters of the widest cell of each column.
func columnWidths(table [][]string) []int {
	widths := make([]int, len(table[0]))
	for _, cells := range table {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// fit returns the widths at which a line takes at most room characters: the
// widest columns are cut first, down to minColumn, then the last are left out.
// One column always stays.
func fit(widths []int, room int) []int {
	for len(widths) > 1 && lineWidth(widths, minColumn) > room {
		widths = widths[:len(widths)-1]
	}
	limit := max(room, minColumn)
	for limit > minColumn && lineWidth(widths, limit) > room {
		limit--
	}
	out := make([]int, len(widths))
	for i, width := range widths {
		out[i] = min(width, limit)
	}
	return out
}

// lineWidth is the length of a line whose columns have at most limit characters.
func lineWidth(widths []int, limit int) int {
	sum := len(columnGap) * (len(widths) - 1)
	for _, width := range widths {
		sum += min(width, limit)
	}
	return sum
}

// cut shortens s to width characters.
func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
