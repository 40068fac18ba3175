package reroll

import (
	"encoding/json"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// recordings are results of tools by call, in the order in which one attempt saw
// them. The zero value is ready.
type recordings struct{ results map[string][]string }

// add takes the results that the tools of an attempt gave, of calls that are not
// known yet.
func (r *recordings) add(t *trajectory.Trajectory) {
	own := recordings{results: map[string][]string{}}
	for i := range t.Steps {
		if s := &t.Steps[i]; s.Tool != nil && s.Tool.Result != nil && s.Tool.Name != "" {
			key := callKey(s.Tool.Name, s.Tool.Arguments)
			own.results[key] = append(own.results[key], *s.Tool.Result)
		}
	}
	r.merge(own)
}

func (r *recordings) merge(other recordings) {
	if r.results == nil {
		r.results = map[string][]string{}
	}
	for key, list := range other.results {
		if _, known := r.results[key]; !known {
			r.results[key] = list
		}
	}
}

// result is what the nth call of these arguments gave, from 0. Later ones than
// were recorded get the last result.
func (r *recordings) result(name, arguments string, n int) (string, bool) {
	list := r.results[callKey(name, arguments)]
	if len(list) == 0 {
		return "", false
	}
	return list[min(n, len(list)-1)], true
}

func callKey(name, arguments string) string { return name + "\x00" + canonical(arguments) }

// canonical is JSON with sorted keys and no spaces; what is no JSON stands for
// itself. No arguments at all are an empty object.
func canonical(arguments string) string {
	if strings.TrimSpace(arguments) == "" {
		return "{}"
	}
	d := json.NewDecoder(strings.NewReader(arguments))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return arguments
	}
	text, err := json.Marshal(v)
	if err != nil {
		return arguments
	}
	return string(text)
}
