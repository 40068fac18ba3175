package rewards

import (
	"fmt"
	"math"

	"go.yaml.in/yaml/v3"
)

// shape brings a value into the rule's units: first scale, which takes Scale[0]
// to 0 and Scale[1] to 1 along a line, then clip. Nulls stay what they are.
func (r *Rule) shape(v result) result {
	if v.reason != "" {
		return v
	}
	if s := r.Scale; s != nil {
		v.value = (v.value - s[0]) / (s[1] - s[0])
	}
	if c := r.Clip; c != nil {
		v.value = min(max(v.value, c[0]), c[1])
	}
	if math.IsInf(v.value, 0) {
		return result{reason: ReasonInf, explanation: "the scaled value is infinite"}
	}
	return v
}

// ranges reads the keys that hold two numbers.
func (d *document) ranges(r *rule, fields map[string]*yaml.Node) {
	if s, n := d.pair(fields["scale"], r.path+".scale"), fields["scale"]; s != nil {
		switch width := s[1] - s[0]; {
		case width == 0:
			d.fail(n, r.path+".scale", fmt.Sprintf("both ends are %g", s[0]), "the first number becomes 0 and the second 1, such as [60, 5] for seconds")
		case math.IsInf(width, 0):
			d.fail(n, r.path+".scale", "is too wide", "use numbers that the values can have")
		default:
			r.Scale = s
		}
	}
	if c, n := d.pair(fields["clip"], r.path+".clip"), fields["clip"]; c != nil {
		if c[0] > c[1] {
			d.fail(n, r.path+".clip", fmt.Sprintf("%g is more than %g", c[0], c[1]), "write the lower number first")
			return
		}
		r.Clip = c
	}
}

// pair reads a list of two finite numbers; nil if there is none.
func (d *document) pair(n *yaml.Node, path string) *[2]float64 {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode || n.Anchor != "" || len(n.Content) != 2 {
		d.fail(n, path, "must be a list of two numbers", "write it out, such as [0, 1]")
		return nil
	}
	var out [2]float64
	for i, c := range n.Content {
		v, ok := finite(c)
		if !ok || c.Kind != yaml.ScalarNode {
			d.fail(c, path, fmt.Sprintf("%q is not a finite number", c.Value), "write two numbers, such as [0, 1]")
			return nil
		}
		out[i] = v
	}
	return &out
}
