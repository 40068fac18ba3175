package trajectory

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

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
