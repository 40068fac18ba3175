package rewards

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

var (
	exampleKeys = []string{"name", "trajectory", "facts", "expect", "return"}
	nulls       = []string{ReasonMissing, ReasonError, ReasonNaN, ReasonInf, ReasonLimit}
)

// readExamples reads the list `examples`, once the rules have a shape: before,
// it would not know which names an example may expect something of.
func (d *document) readExamples(list *yaml.Node, rules []*rule) {
	if list == nil || len(d.problems) > 0 {
		return
	}
	if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		d.fail(list, "examples", "must be a list with at least one example", "begin each example with - name:")
		return
	}
	if alias := aliasIn(list); alias != nil {
		d.fail(alias, "examples", "uses a YAML anchor or alias", "write the value out: an example must be readable where it stands")
		return
	}
	for i, n := range list.Content {
		before := len(d.problems)
		x := d.example(n, fmt.Sprintf("examples[%d]", i), rules)
		if len(d.problems) == before {
			d.examples = append(d.examples, x)
		}
	}
}

func aliasIn(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return n
	}
	for _, c := range n.Content {
		if found := aliasIn(c); found != nil {
			return found
		}
	}
	return nil
}

func (d *document) example(n *yaml.Node, path string, rules []*rule) Example {
	x := Example{Line: n.Line}
	fields := d.mapping(n, path, exampleKeys)
	if fields == nil {
		return x
	}
	if name := d.scalar(fields["name"], path+".name"); name != nil {
		x.Name = name.Value
	} else if fields["name"] == nil {
		d.fail(n, path+".name", "is missing", "say in a few words what the example shows")
	}
	x.Trajectory = new(trajectory.Trajectory)
	if at := fields["trajectory"]; at != nil {
		x.Trajectory = d.fragment(at, path+".trajectory")
	} else {
		d.fail(n, path+".trajectory", "is missing", "write what the rules see, such as output: …")
	}
	if at := fields["facts"]; at != nil {
		x.Facts = d.exampleFacts(at, path+".facts", x.Trajectory)
	}
	if at := fields["expect"]; at != nil {
		x.expect = d.expect(at, path+".expect", rules)
	}
	if at := d.scalar(fields["return"], path+".return"); at != nil {
		v, ok := d.verdict(at, path+".return", []string{returnMasked, returnNone})
		if ok {
			x.total = &expectation{rule: "return", line: at.Line, col: at.Column, want: []verdict{v}}
		}
	}
	if fields["expect"] == nil && fields["return"] == nil {
		d.fail(n, path+".expect", "is missing", "say what a rule gives, such as expect: {solved: 1}, or what the return is")
	}
	return x
}

// expect reads what is expected of each rule.
func (d *document) expect(n *yaml.Node, path string, rules []*rule) (out []expectation) {
	var names []string
	for _, r := range rules {
		names = append(names, r.Name)
	}
	fields := d.mapping(n, path, names)
	for i := 0; i+1 < len(n.Content) && fields != nil; i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at := slices.Index(names, k.Value)
		if at < 0 {
			continue // mapping has said so
		}
		w := expectation{rule: k.Value, line: v.Line, col: v.Column, list: rules[at].Level == LevelStep}
		list := []*yaml.Node{v}
		switch {
		case w.list && v.Kind != yaml.SequenceNode:
			d.fail(v, path+"."+k.Value, "must be a list: the rule's level is step", "write one value for each step that it chooses, such as [0, -1]; [] for none")
			continue
		case w.list:
			list = v.Content
		case v.Kind == yaml.SequenceNode:
			d.fail(v, path+"."+k.Value, "must be one value: the rule's level is trajectory", "write the value, or the reason of a null")
			continue
		}
		for _, item := range list {
			if item = d.scalar(item, path+"."+k.Value); item != nil {
				one, _ := d.verdict(item, path+"."+k.Value, nulls)
				w.want = append(w.want, one)
			}
		}
		out = append(out, w)
	}
	return out
}

// verdict reads a number, true or false, or one of some words.
func (d *document) verdict(n *yaml.Node, path string, words []string) (v verdict, ok bool) {
	if number, ok := finite(n); ok {
		return verdict{value: number}, true
	}
	switch {
	case n.Tag == "!!bool" && n.Value == "true":
		return verdict{value: 1}, true
	case n.Tag == "!!bool" && n.Value == "false":
		return verdict{}, true
	case slices.Contains(words, n.Value):
		return verdict{reason: n.Value}, true
	}
	d.fail(n, path, fmt.Sprintf("%q cannot be expected", n.Value), "write a number, true or false, or why there is none: "+strings.Join(words, ", "))
	return v, false
}
