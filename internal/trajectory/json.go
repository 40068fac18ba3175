package trajectory

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
)

// sameJSON says whether two JSON texts hold the same value; texts that are not
// JSON are compared as they are.
func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return strings.TrimSpace(a) == strings.TrimSpace(b)
	}
	return reflect.DeepEqual(x, y)
}

// parsedJSON is a JSON text and its value, which is read when it is asked for:
// most texts that are compared are the same.
type parsedJSON struct {
	text   string
	parsed bool
	value  any
	valid  bool
}

func parseJSON(s string) *parsedJSON { return &parsedJSON{text: s} }

// read says whether the text is JSON.
func (p *parsedJSON) read() bool {
	if !p.parsed {
		p.parsed = true
		p.valid = json.Unmarshal([]byte(p.text), &p.value) == nil
	}
	return p.valid
}

// fit says how well the arguments that a tool run shows are those that the
// model wrote: the same, or they with something around ({"kwargs": {…}}); else
// they and members that the framework added, such as its context, the fewer the
// better; or their values without the names (a bare value, {"args": […],
// "kwargs": {…}}).
type fit int

const (
	fitNo   fit = 0
	fitNone fit = 1 // none are shown
	fitSame fit = 1 << 20
)

// fits compares what a tool run shows with what the model wrote. An empty object
// inside another proves nothing. Texts that are not JSON are compared as they
// are.
func (p *parsedJSON) fits(q *parsedJSON) fit {
	if p.text == q.text {
		return fitSame
	}
	if !p.read() || !q.read() {
		if strings.TrimSpace(p.text) == strings.TrimSpace(q.text) {
			return fitSame
		}
		return fitNo
	}
	if o, ok := q.value.(map[string]any); ok && len(o) == 0 {
		if reflect.DeepEqual(p.value, q.value) {
			return fitSame
		}
		return fitNo
	}
	if f := fits(p.value, q.value, 4); f != fitNo {
		return f
	}
	return unnamed(p.value, q.value)
}

// maxUnnamed bounds the arguments that are compared without their names.
const maxUnnamed = 16

// unnamed fits what a function was given without the names of all or some of its
// arguments y: in any order, for JSON objects have none.
func unnamed(x, y any) fit {
	named, ok := y.(map[string]any)
	if !ok || len(named) > maxUnnamed {
		return fitNo
	}
	values, rest := []any{x}, map[string]any(nil)
	if call, ok := x.(map[string]any); ok {
		values, _ = call["args"].([]any)
		rest, _ = call["kwargs"].(map[string]any)
		if len(call) != 2 || len(values) == 0 || rest == nil || !includes(named, rest) {
			return fitNo
		}
	}
	if len(values)+len(rest) != len(named) {
		return fitNo
	}
	values = slices.Clone(values)
	for k, v := range named {
		if _, ok := rest[k]; ok {
			continue
		}
		i := slices.IndexFunc(values, func(given any) bool { return reflect.DeepEqual(given, v) })
		if i < 0 {
			return fitNo
		}
		values = slices.Delete(values, i, i+1)
	}
	if len(named) > 1 {
		return fitSame - 1
	}
	return fitSame
}

// fitsJSON is the same for texts.
func fitsJSON(a, b string) bool { return a == b || parseJSON(a).fits(parseJSON(b)) != fitNo }

func fits(x, y any, depth int) (best fit) {
	if reflect.DeepEqual(x, y) {
		return fitSame
	}
	o, ok := x.(map[string]any)
	if !ok || depth == 0 {
		return fitNo
	}
	if more, ok := y.(map[string]any); ok && includes(o, more) {
		best = max(fitSame-fit(len(o)-len(more)), fitNone+1)
	}
	for _, v := range o {
		if f := fits(v, y, depth-1); f > best {
			best = f
		}
	}
	return best
}

// includes says whether all members of y are members of x.
func includes(x, y map[string]any) bool {
	for k, v := range y {
		if have, ok := x[k]; !ok || !reflect.DeepEqual(have, v) {
			return false
		}
	}
	return true
}

// values counts the JSON values that s is made of; -1 when it is not JSON.
// Merged parallel tool calls have two or more: {"a":1}{"b":2}.
func values(s string) int {
	if json.Valid([]byte(s)) {
		return 1
	}
	d := json.NewDecoder(strings.NewReader(s))
	for n := 0; ; n++ {
		var v json.RawMessage
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return n
		} else if err != nil {
			return -1
		}
	}
}
