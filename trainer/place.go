package trainer

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tracegrad/tracegrad/trainer/query"
)

// place is where the value of a key stands.
type place struct {
	file  string
	line  int  // of the value's first line of text
	lines bool // the value's lines are lines of the file
}

func placesOf(file string, at map[string]*yaml.Node) map[string]place {
	out := make(map[string]place, len(at))
	for key, n := range at {
		p := place{file: file, line: n.Line, lines: n.Style&yaml.LiteralStyle != 0}
		if p.lines { // they begin below the |, and the decoder drops empty ones
			text := strings.TrimLeft(n.Value, " \t\n")
			p.line += 1 + strings.Count(n.Value[:len(n.Value)-len(text)], "\n")
		}
		out[key] = p
	}
	return out
}

// located adds to an error about an expression where the expression stands.
func (c *Config) located(err error) error {
	var e *query.Error
	if !errors.As(err, &e) {
		return err
	}
	at, known := c.places[e.What]
	if !known {
		return err
	}
	line := at.line
	if at.lines && e.Line > 0 {
		line += e.Line - 1
	}
	return fmt.Errorf("%s:%d: %w", at.file, line, err)
}
