package rewards

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is a rewards file while it is read: it collects every problem.
type document struct {
	name     string
	src      []byte
	lines    []string
	problems []*Problem
	examples []Example
}

var (
	topKeys  = []string{"rewards", "examples"}
	ruleKeys = []string{"name", "level", "expr", "when", "weight", "missing", "scale", "clip"}
	ruleName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`)
)

// rules reads the YAML. Rules with problems are left out, so that the rest is
// checked too.
func (d *document) rules() []*rule {
	if len(d.src) > MaxFileBytes {
		d.fail(nil, "", fmt.Sprintf("the file has more than %d bytes", MaxFileBytes), "split the rewards over several files, one per trained agent")
		return nil
	}
	d.lines = strings.Split(string(d.src), "\n")
	dec := yaml.NewDecoder(bytes.NewReader(d.src))
	var root yaml.Node
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		d.fail(nil, "", "the file is empty", "write a list of rules under rewards:")
		return nil
	case err != nil:
		d.failYAML(err)
		return nil
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		d.fail(nil, "", "the file holds more than one YAML document", "keep one and remove the --- between them")
		return nil
	}
	top := d.mapping(root.Content[0], "", topKeys)
	list := top["rewards"]
	if list == nil {
		if len(d.problems) == 0 {
			d.fail(root.Content[0], "rewards", "is missing", "write a list of rules under rewards:")
		}
		return nil
	}
	if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		d.fail(list, "rewards", "must be a list with at least one rule", "begin each rule with - name:")
		return nil
	}
	if len(list.Content) > MaxRules {
		d.fail(list, "rewards", fmt.Sprintf("has %d rules, at most %d are allowed", len(list.Content), MaxRules), "")
		return nil
	}
	rules := d.list(list)
	d.readExamples(top["examples"], rules)
	return rules
}

func (d *document) list(list *yaml.Node) []*rule {
	var out []*rule
	seen := map[string]int{}
	for i, n := range list.Content {
		before := len(d.problems)
		r := d.rule(n, fmt.Sprintf("rewards[%d]", i))
		if line, ok := seen[r.Name]; ok && r.Name != "" {
			d.fail(r.nameNode, r.path+".name", fmt.Sprintf("%q is already the name of the rule in line %d", r.Name, line), "names are the dimensions of the reward: choose another")
		} else if r.nameNode != nil {
			seen[r.Name] = r.nameNode.Line
		}
		if len(d.problems) == before {
			out = append(out, r)
		}
	}
	return out
}

// rule reads one rule and fills in the defaults.
func (d *document) rule(n *yaml.Node, path string) *rule {
	r := &rule{path: path, Rule: Rule{Level: LevelTrajectory, Weight: 1}}
	fields := d.mapping(n, path, ruleKeys)
	if fields == nil {
		return r
	}
	if r.nameNode = d.required(n, fields, path, "name"); r.nameNode != nil {
		if r.Name = r.nameNode.Value; !ruleName.MatchString(r.Name) {
			d.fail(r.nameNode, path+".name", fmt.Sprintf("%q is not a name", r.Name), "use letters, digits, _ . -, at most 64, beginning with a letter")
		}
	}
	if v := d.scalar(fields["level"], path+".level"); v != nil {
		if r.Level = Level(v.Value); r.Level != LevelTrajectory && r.Level != LevelStep {
			d.fail(v, path+".level", fmt.Sprintf("%q is not a level", v.Value), "use trajectory (the default) or step")
		}
	}
	if r.exprNode = d.required(n, fields, path, "expr"); r.exprNode != nil {
		r.Expr = strings.TrimSpace(r.exprNode.Value)
	}
	if r.whenNode = d.scalar(fields["when"], path+".when"); r.whenNode != nil {
		r.When = strings.TrimSpace(r.whenNode.Value)
	}
	if v := d.scalar(fields["weight"], path+".weight"); v != nil {
		if w, ok := finite(v); ok {
			r.Weight = w
		} else {
			d.fail(v, path+".weight", fmt.Sprintf("%q is not a finite number", v.Value), "use a number such as 1.0 or -0.2; 0 records the reward without training on it")
		}
	}
	d.missing(r, fields["missing"])
	d.ranges(r, fields)
	r.seal()
	return r
}

func (d *document) missing(r *rule, n *yaml.Node) {
	r.Missing = MissingMask
	if r.Weight == 0 {
		r.Missing = MissingSkip // it has no part in the return, so its null cannot mask it
	}
	if n = d.scalar(n, r.path+".missing"); n == nil {
		return
	}
	if v, ok := finite(n); ok {
		r.Missing, r.Substitute = MissingNumber, v
		return
	}
	switch Missing(n.Value) {
	case MissingMask, MissingSkip:
		r.Missing = Missing(n.Value)
	default:
		d.fail(n, r.path+".missing", fmt.Sprintf("%q does not say what a null means", n.Value), "use mask (do not train on the trajectory), skip (leave the rule out) or a finite number that stands for it")
	}
}

// mapping returns the values of a mapping by key; unknown and repeated keys
// are problems.
func (d *document) mapping(n *yaml.Node, path string, keys []string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "must be a mapping", "write key: value, with the keys "+strings.Join(keys, ", "))
		return nil
	}
	out := make(map[string]*yaml.Node, len(keys))
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+k.Value, ".")
		switch {
		case !slices.Contains(keys, k.Value):
			d.fail(k, at, "unknown key", didYouMean(k.Value, keys)+"the keys are "+strings.Join(keys, ", "))
		case out[k.Value] != nil:
			d.fail(k, at, fmt.Sprintf("is already set in line %d", out[k.Value].Line), "remove one of them")
		default:
			out[k.Value] = v
		}
	}
	return out
}

func (d *document) required(parent *yaml.Node, fields map[string]*yaml.Node, path, key string) *yaml.Node {
	n := fields[key]
	if n == nil {
		d.fail(parent, path+"."+key, "is missing", "every rule needs a name and an expr")
		return nil
	}
	if n = d.scalar(n, path+"."+key); n != nil && strings.TrimSpace(n.Value) == "" {
		d.fail(n, path+"."+key, "is empty", "every rule needs a name and an expr")
		return nil
	}
	return n
}

// scalar returns n if it is a plain value: lists, mappings, aliases and nulls
// are problems. nil stays nil.
func (d *document) scalar(n *yaml.Node, path string) *yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fail(n, path, "uses a YAML anchor or alias", "write the value out: a rule must be readable where it stands")
	case n.Kind != yaml.ScalarNode:
		d.fail(n, path, "must be a single value", "quote it if it is an expression with { [ or :")
	case n.Tag == "!!null":
		d.fail(n, path, "is empty", "give it a value or remove the key")
	default:
		return n
	}
	return nil
}

func finite(n *yaml.Node) (float64, bool) {
	if n.Tag != "!!int" && n.Tag != "!!float" {
		return 0, false
	}
	v, err := strconv.ParseFloat(n.Value, 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}
