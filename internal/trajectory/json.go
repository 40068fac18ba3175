package trajectory

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
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

// parsedJSON is a JSON text and its value.
type parsedJSON struct {
	text  string
	value any
	valid bool
}

func parseJSON(s string) *parsedJSON {
	p := &parsedJSON{text: s}
	p.valid = json.Unmarshal([]byte(s), &p.value) == nil
	return p
}

// holds says whether p is the value q or has it inside: frameworks wrap the
// arguments that the model wrote ({"kwargs": {…}}). An empty object inside
// proves nothing. Texts that are not JSON are compared as they are.
func (p *parsedJSON) holds(q *parsedJSON) bool {
	if p.text == q.text {
		return true
	}
	if !p.valid || !q.valid {
		return strings.TrimSpace(p.text) == strings.TrimSpace(q.text)
	}
	if o, ok := q.value.(map[string]any); ok && len(o) == 0 {
		return reflect.DeepEqual(p.value, q.value)
	}
	return holds(p.value, q.value, 4)
}

// holdsJSON is the same for texts.
func holdsJSON(a, b string) bool { return a == b || parseJSON(a).holds(parseJSON(b)) }

func holds(x, y any, depth int) bool {
	if reflect.DeepEqual(x, y) {
		return true
	}
	if o, ok := x.(map[string]any); ok && depth > 0 {
		for _, v := range o {
			if holds(v, y, depth-1) {
				return true
			}
		}
	}
	return false
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
