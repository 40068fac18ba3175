package trainer

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder reads YAML into a struct by its yaml tags, strictly: it collects
// every problem instead of stopping at the first.
type decoder struct {
	file     string
	at       map[string]*yaml.Node // where a key's value stands, for later checks
	problems []problem
}

type problem struct {
	line, column int // from 1; 0 = the file as a whole
	text         string
}

func (d *decoder) fail(n *yaml.Node, key, message, fix string) {
	p := problem{}
	where := d.file
	if n != nil && n.Line > 0 {
		p.line, p.column = n.Line, n.Column
		where = fmt.Sprintf("%s:%d:%d", d.file, n.Line, n.Column)
	}
	if key != "" {
		message = key + ": " + message
	}
	p.text = fmt.Sprintf("%s: %s; %s", where, message, fix)
	d.problems = append(d.problems, p)
}

// err joins the problems in the order of the file.
func (d *decoder) err() error {
	slices.SortStableFunc(d.problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	errs := make([]error, len(d.problems))
	for i, p := range d.problems {
		errs[i] = errors.New(p.text)
	}
	return errors.Join(errs...)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func (d *decoder) decode(text []byte, into any) {
	d.at = map[string]*yaml.Node{}
	reader := yaml.NewDecoder(bytes.NewReader(text))
	var root yaml.Node
	switch err := reader.Decode(&root); {
	case errors.Is(err, io.EOF):
		return // an empty file: all defaults
	case err != nil:
		found := yamlLine.FindStringSubmatch(err.Error())
		n := &yaml.Node{Column: 1}
		if len(found) == 2 {
			n.Line, _ = strconv.Atoi(found[1])
		}
		d.fail(n, "", "not valid YAML: "+yamlLine.ReplaceAllString(err.Error(), ""), "check the indentation and quote texts with '…'")
		return
	}
	if err := reader.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		d.fail(nil, "", "the file holds more than one YAML document", "keep one and remove the --- between them")
		return
	}
	d.mapping(root.Content[0], "", reflect.ValueOf(into).Elem())
}

func (d *decoder) mapping(n *yaml.Node, path string, into reflect.Value) {
	fields := map[string]reflect.Value{}
	var keys []string
	for i := range into.NumField() {
		key := into.Type().Field(i).Tag.Get("yaml")
		if key == "" {
			continue
		}
		fields[key], keys = into.Field(i), append(keys, key)
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "must be a mapping", "write key: value, with the keys "+strings.Join(keys, ", "))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+k.Value, ".")
		field, known := fields[k.Value]
		switch {
		case !known:
			d.fail(k, at, "unknown key", didYouMean(k.Value, keys)+"the keys are "+strings.Join(keys, ", "))
		case seen[k.Value] > 0:
			d.fail(k, at, fmt.Sprintf("is already set in line %d", seen[k.Value]), "remove one of them")
		default:
			seen[k.Value], d.at[at] = k.Line, v
			d.value(v, at, field)
		}
	}
}

func (d *decoder) value(n *yaml.Node, path string, into reflect.Value) {
	if _, whole := into.Addr().Interface().(encoding.TextUnmarshaler); into.Kind() == reflect.Struct && !whole {
		if kind := kindOf(into); kind.IsValid() && n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
			kind.SetString(strings.TrimSpace(n.Value)) // policy: adapter = policy: {kind: adapter}
			d.at[path+".kind"] = n
			return
		}
		d.mapping(n, path, into)
		return
	}
	if into.Kind() == reflect.Slice {
		if n.Kind != yaml.SequenceNode {
			d.fail(n, path, "must be a list", "write [a, b]")
			return
		}
		list := reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content))
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			d.at[at] = item
			d.value(item, at, list.Index(i))
		}
		into.Set(list)
		return
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.fail(n, path, "must be a single value", "give it one, or remove the key")
		return
	}
	if fix := scalar(n, into); fix != "" {
		d.fail(n, path, fmt.Sprintf("%q is not a value for it", n.Value), fix)
	}
}

// kindOf is the field that a struct can be written in short as, or none.
func kindOf(v reflect.Value) reflect.Value {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == "kind" {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

// scalar sets a value, or says what would have been one.
func scalar(n *yaml.Node, into reflect.Value) (fix string) {
	text := strings.TrimSpace(n.Value)
	if v, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := v.UnmarshalText([]byte(text)); err != nil {
			return err.Error()
		}
		return ""
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(text)
		return ""
	case reflect.Bool:
		v, err := strconv.ParseBool(text)
		into.SetBool(v)
		return ifFailed(err, "use true or false")
	case reflect.Int:
		v, err := strconv.Atoi(text)
		into.SetInt(int64(v))
		return ifFailed(err, "use a whole number")
	case reflect.Uint64:
		v, err := strconv.ParseUint(text, 10, 64)
		into.SetUint(v)
		return ifFailed(err, "use a whole number that is not negative")
	case reflect.Float64:
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
			return "use a number"
		}
		into.SetFloat(v)
		return ""
	}
	panic("internal error: config field of type " + into.Type().String())
}

func ifFailed(err error, fix string) string {
	if err != nil {
		return fix
	}
	return ""
}

// didYouMean names the key that has the most letters in place, if that is most
// of them.
func didYouMean(word string, keys []string) string {
	best, distance := "", max(2, len(word)/3)+1
	for _, k := range keys {
		if n := edits(word, k); n < distance {
			best, distance = k, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %s? ", best)
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
