package prompt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Profile is what guidance may be learned from: numbers and allow-listed
// identifiers read from one trajectory.
type Profile struct {
	ID     string `json:"trajectory_id"`
	Tenant string `json:"tenant,omitempty"`
	Bundle string `json:"bundle,omitempty"` // that served it; several: all of them

	Agents    []string `json:"agents,omitempty"`    // in order of first appearance; stand-ins for names that are no identifiers
	Offered   []string `json:"offered,omitempty"`   // tools that the model calls offered, sorted; empty = not shown
	Called    []string `json:"called,omitempty"`    // tools that ran, sorted
	Handovers []string `json:"handovers,omitempty"` // agents that took over from another one, sorted

	ModelCalls  int  `json:"model_calls"`
	ToolCalls   int  `json:"tool_calls"`
	ToolErrors  int  `json:"tool_errors,omitempty"`
	Answered    bool `json:"answered,omitempty"`      // there is a final answer
	Cites       bool `json:"cites,omitempty"`         // the answer holds a marker such as [doc:7]
	Repeats     bool `json:"repeats,omitempty"`       // a call that had succeeded was made again, same arguments
	Retries     bool `json:"retries,omitempty"`       // a tool was called again after it failed
	EndsOnError bool `json:"ends_on_error,omitempty"` // the last tool run failed

	Refused int `json:"refused_names,omitempty"` // names outside the allow-list
}

// Read extracts the profile of a trajectory. It looks at steps and at the final
// answer only; injected messages are never looked at.
func Read(t *trajectory.Trajectory) Profile {
	p := Profile{
		ID: t.ID, Tenant: t.Tenant, Bundle: servedBy(t),
		Answered: strings.TrimSpace(t.Output) != "",
		Cites:    cites(t.Output, t.Input),
	}
	r := reader{p: &p, done: map[string]bool{}, failed: map[string]bool{}}
	for i := range t.Steps {
		r.step(&t.Steps[i])
	}
	for _, name := range t.AgentNames {
		r.agent(name)
	}
	slices.Sort(p.Offered)
	slices.Sort(p.Called)
	slices.Sort(p.Handovers)
	return p
}

// servedBy names the policy of a trajectory: bundles, and adapters whose bundle
// is not known. Calls of one attempt that different ones served are of neither:
// such an attempt is compared only with those of the same mixture.
func servedBy(t *trajectory.Trajectory) string {
	var all []string
	calls := 0
	for i := range t.Steps {
		if m := t.Steps[i].Model; m != nil {
			calls++
			name := m.Bundle
			if name == "" && m.Adapter != "" {
				name = "adapter " + m.Adapter
			}
			all = add(all, name)
		}
	}
	switch {
	case calls == 0 || len(all) == 1 && all[0] == "":
		return t.Bundle
	case len(all) == 1:
		return all[0]
	}
	slices.Sort(all)
	return strings.Join(all, " + ")
}

// reader is the state of Read: what has run so far.
type reader struct {
	p      *Profile
	last   string          // agent of the latest model call
	tools  string          // tool definitions read last: they repeat from call to call
	done   map[string]bool // name and arguments that succeeded
	failed map[string]bool // names that failed
}

func (r *reader) step(s *trajectory.Step) {
	switch {
	case s.Kind == trajectory.KindModel && s.Model != nil:
		r.p.ModelCalls++
		r.offered(s.Model.Tools)
		if name := r.agent(s.AgentName); name != "" {
			if r.last != "" && name != r.last && readable(name) {
				r.p.Handovers = add(r.p.Handovers, name)
			}
			r.last = name
		}
	case s.Kind == trajectory.KindTool && s.Tool != nil:
		r.tool(s)
	}
}

func (r *reader) tool(s *trajectory.Step) {
	p := r.p
	p.ToolCalls++
	name, failed := s.Tool.Name, toolFailed(s)
	if r.failed[name] {
		p.Retries = true
	}
	call := name + "\x00" + canonical(s.Tool.Arguments)
	if r.done[call] && s.Tool.Arguments != "" {
		p.Repeats = true
	}
	p.EndsOnError = failed
	if failed {
		p.ToolErrors++
		r.failed[name] = true
	} else {
		r.done[call] = true
	}
	if !identifier.MatchString(name) {
		p.Refused++
		return
	}
	p.Called = add(p.Called, name)
}

// agent adds a name, or its stand-in, and returns it; "" if there is none.
func (r *reader) agent(name string) string {
	if name == "" {
		return ""
	}
	label, shown := agentLabel(name)
	if !shown {
		r.p.Refused++
	}
	r.p.Agents = add(r.p.Agents, label)
	return label
}

// offered reads tool names from definitions in any of the shapes in use: a name
// at the top, under "function", or as the keys of Gemini's declarations.
func (r *reader) offered(definitions string) {
	if definitions == "" || definitions == r.tools {
		return
	}
	r.tools = definitions
	var list []struct {
		Name     string `json:"name"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
		Declarations []struct {
			Name string `json:"name"`
		} `json:"functionDeclarations"`
	}
	if json.Unmarshal([]byte(definitions), &list) != nil {
		return
	}
	for _, tool := range list {
		names := []string{tool.Name, tool.Function.Name}
		for _, d := range tool.Declarations {
			names = append(names, d.Name)
		}
		for _, name := range names {
			if identifier.MatchString(name) {
				r.p.Offered = add(r.p.Offered, name)
			}
		}
	}
}

// toolFailed reports an error of the tool: on its span, or as a result that is
// a JSON object with an "error" that is not empty, null or false.
func toolFailed(s *trajectory.Step) bool {
	if s.Error != "" {
		return true
	}
	if s.Tool.Result == nil || !strings.Contains(*s.Tool.Result, `"error"`) {
		return false
	}
	var result struct {
		Error any `json:"error"`
	}
	if json.Unmarshal([]byte(*s.Tool.Result), &result) != nil {
		return false
	}
	return result.Error != nil && result.Error != false && result.Error != ""
}

// canonical is JSON with sorted keys and no spaces, or the text itself.
func canonical(arguments string) string {
	decoder := json.NewDecoder(strings.NewReader(arguments))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil {
		return arguments
	}
	var out bytes.Buffer
	if json.NewEncoder(&out).Encode(v) != nil {
		return arguments
	}
	return out.String()
}

// marker is a bracketed reference that holds a digit or a colon: [doc:faq], [HB-12], [3].
var marker = regexp.MustCompile(`\[[A-Za-z0-9_./#-]{0,32}[0-9:][A-Za-z0-9_./#:-]{0,64}\]`)

// cites reports a marker in the answer that is not an echo of the input.
func cites(answer, input string) bool {
	for _, m := range marker.FindAllString(answer, 64) {
		if !strings.Contains(input, m) {
			return true
		}
	}
	return false
}

func add(set []string, name string) []string {
	if slices.Contains(set, name) {
		return set
	}
	return append(set, name)
}

// digest is a short stable name for a text.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}
