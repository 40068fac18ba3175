package rewards

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// decode reads a mapping into a struct with yaml tags, or a list of them: unknown and repeated
// keys and values of the wrong type are problems, each at its own place.
func (d *document) decode(n *yaml.Node, path string, into any) bool {
	return d.decodeValue(n, path, reflect.ValueOf(into).Elem())
}

func (d *document) decodeValue(n *yaml.Node, path string, into reflect.Value) bool {
	switch {
	case into.Kind() == reflect.Struct:
		return d.decodeStruct(n, path, into)
	case into.Kind() == reflect.Slice && into.Type().Elem().Kind() == reflect.Struct:
		if n.Kind != yaml.SequenceNode {
			d.fail(n, path, "must be a list", "begin each element with -")
			return false
		}
		into.Set(reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content)))
		good := true
		for i, c := range n.Content {
			good = d.decodeValue(c, fmt.Sprintf("%s[%d]", path, i), into.Index(i)) && good
		}
		return good
	}
	if n.Tag == "!!null" {
		return true // not written
	}
	if err := n.Decode(into.Addr().Interface()); err != nil {
		d.fail(n, path, "must be "+wanted(into.Type()), "quote a text that looks like something else")
		return false
	}
	return true
}

func (d *document) decodeStruct(n *yaml.Node, path string, into reflect.Value) bool {
	t := into.Type()
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("yaml")
	}
	before := len(d.problems)
	fields := d.mapping(n, path, keys)
	for i, key := range keys {
		if v := fields[key]; v != nil {
			d.decodeValue(v, path+"."+key, into.Field(i))
		}
	}
	return len(d.problems) == before
}

// wanted names a type as people write its values.
func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of texts"
	}
	return "a mapping"
}
