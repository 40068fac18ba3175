package genai

import (
	"encoding/json"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// leaf is a value that was flattened into attributes, or a part of it.
type leaf struct {
	value pcommon.Value // where it has no members
	names []string
	under map[string]*leaf
}

// maxLeafDepth bounds the parts of a name.
const maxLeafDepth = 64

// unflatten puts a value together that was flattened to one attribute a leaf:
// a text as it is, anything else as JSON; "" where there is none. Members that
// are numbered from 0 without a gap are a list.
func unflatten(a pcommon.Map, name string) string {
	if v, ok := a.Get(name); ok {
		if v.Type() == pcommon.ValueTypeStr {
			return v.Str()
		}
		return v.AsString()
	}
	root := &leaf{}
	for k, v := range a.All() {
		rest, ok := strings.CutPrefix(k, name+".")
		if !ok {
			continue
		}
		path := strings.Split(rest, ".")
		if len(path) > maxLeafDepth {
			return ""
		}
		at := root
		for _, p := range path {
			at = at.member(p)
		}
		at.value = v
	}
	if len(root.names) == 0 {
		return ""
	}
	return string(root.json(nil))
}

func (l *leaf) member(name string) *leaf {
	m := l.under[name]
	if m == nil {
		m = &leaf{}
		if l.under == nil {
			l.under = map[string]*leaf{}
		}
		l.under[name] = m
		l.names = append(l.names, name)
	}
	return m
}

func (l *leaf) json(b []byte) []byte {
	if len(l.names) == 0 {
		return append(b, leafJSON(l.value)...)
	}
	if l.isList() {
		b = append(b, '[')
		for i := range l.names {
			if i > 0 {
				b = append(b, ',')
			}
			b = l.under[strconv.Itoa(i)].json(b)
		}
		return append(b, ']')
	}
	b = append(b, '{')
	for i, name := range l.names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, jsonText(name)...), ':')
		b = l.under[name].json(b)
	}
	return append(b, '}')
}

func (l *leaf) isList() bool {
	for i := range l.names {
		if l.under[strconv.Itoa(i)] == nil {
			return false
		}
	}
	return true
}

func leafJSON(v pcommon.Value) []byte {
	if v.Type() == pcommon.ValueTypeStr {
		return jsonText(v.Str())
	}
	raw, err := json.Marshal(v.AsRaw())
	if err != nil {
		return []byte("null")
	}
	return raw
}

// jsonText is a JSON string.
func jsonText(s string) []byte {
	raw, _ := json.Marshal(s) // a string: cannot fail
	return raw
}
