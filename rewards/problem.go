package rewards

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one mistake in a rewards file, in the user's words.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"` // from 1; 0 = the file as a whole
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"` // such as rewards[0].expr
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	snippet string // the line with a caret under the mistake, for expressions
}

// Problems are the mistakes that an error of [Load] or [Parse] consists of, in
// the order of the file; none if the file could not be read.
func Problems(err error) []*Problem {
	var all []*Problem
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, Problems(e)...)
		}
	} else if p := (*Problem)(nil); errors.As(err, &p) {
		all = append(all, p)
	}
	return all
}

// Error is file:line:column: key: message; fix, and the line with a caret.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Column > 0 {
		fmt.Fprintf(&b, ":%d", p.Column)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	if p.Fix != "" {
		b.WriteString("; " + p.Fix)
	}
	b.WriteString(p.snippet)
	return b.String()
}

// err joins the problems in the order of the file.
func (d *document) err() error {
	slices.SortStableFunc(d.problems, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(d.problems))
	for i, p := range d.problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

func (d *document) fail(n *yaml.Node, path, message, fix string) {
	p := &Problem{File: d.name, Key: path, Message: message, Fix: fix}
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	d.problems = append(d.problems, p)
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// failYAML reports text that is not YAML at all.
func (d *document) failYAML(err error) {
	p := &Problem{File: d.name, Message: strings.TrimPrefix(err.Error(), "yaml: "), Fix: "check the indentation and quote expressions with '…'"}
	if m := yamlLine.FindStringSubmatch(p.Message); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Message = p.Message[len(m[0]):]
	}
	p.Message = "not valid YAML: " + p.Message
	d.problems = append(d.problems, p)
}

// failExpr reports a mistake at a rune offset of an expression, with the
// file's own line and a caret under it.
func (d *document) failExpr(n *yaml.Node, path string, offset int, message, fix string) {
	line, col := d.locate(n, offset)
	d.problems = append(d.problems, &Problem{
		File: d.name, Line: line, Column: col, Key: path, Message: message, Fix: fix,
		snippet: d.snippet(line, col),
	})
}

// snippetWidth is how many runes are shown on each side of the caret.
const snippetWidth = 60

func (d *document) snippet(line, col int) string {
	if line < 1 || line > len(d.lines) {
		return ""
	}
	text := []rune(strings.TrimRight(strings.ReplaceAll(d.lines[line-1], "\t", " "), "\r"))
	at := min(max(col-1, 0), len(text))
	from, to := max(0, at-snippetWidth), min(len(text), at+snippetWidth)
	head, tail := "", ""
	if from > 0 {
		head = "…"
	}
	if to < len(text) {
		tail = "…"
	}
	label := strconv.Itoa(line)
	return fmt.Sprintf("\n  %s | %s%s%s\n  %s | %s^",
		label, head, string(text[from:to]), tail,
		strings.Repeat(" ", len(label)), strings.Repeat(" ", len([]rune(head))+at-from))
}

// locate finds where rune offset of the scalar n stands in the file. YAML folds
// lines and drops quotes and indentation, so both texts are walked in step:
// every rune of the value that is not space stands in the file, in order.
func (d *document) locate(n *yaml.Node, offset int) (line, col int) {
	if n.Line < 1 || n.Line > len(d.lines) {
		return n.Line, n.Column
	}
	text := []rune(strings.Join(d.lines[n.Line-1:], "\n"))
	at := cursor{line: n.Line, col: 1}
	for at.col < n.Column && at.i < len(text) {
		at.step(text)
	}
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		for at.line == n.Line && at.i < len(text) {
			at.step(text)
		}
	}
	for i, r := range []rune(n.Value) {
		if i > offset || isSpace(r) {
			continue
		}
		for at.i < len(text) && text[at.i] != r {
			at.step(text)
		}
		if at.i == len(text) {
			return n.Line, n.Column
		}
		if i < offset {
			at.step(text)
		}
	}
	return at.line, at.col
}

// cursor is a position in a text, by rune, with its line and column.
type cursor struct{ i, line, col int }

func (c *cursor) step(text []rune) {
	if text[c.i] == '\n' {
		c.line, c.col = c.line+1, 0
	}
	c.i, c.col = c.i+1, c.col+1
}

func isSpace(r rune) bool { return r == ' ' || r == '\n' || r == '\t' || r == '\r' }

// didYouMean proposes the nearest candidate, "" if none is near.
func didYouMean(word string, candidates []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if n := editDistance(word, c); n < distance {
			best, distance = c, n
		}
	}
	if best == "" || distance >= len(best) {
		return ""
	}
	return fmt.Sprintf("did you mean %s? ", best)
}

// editDistance is Levenshtein's, over bytes: names are ASCII.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost++
			}
			prev = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
