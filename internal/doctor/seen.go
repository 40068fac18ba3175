package doctor

import (
	"cmp"
	"slices"
	"strings"
)

// Thing is something that telemetry can show of a model call, a tool run or a
// run of the agent.
type Thing string

// What model calls show.
const (
	Prompt          Thing = "prompt"           // what the model was sent
	Reply           Thing = "reply"            // what it answered; of the calls that did not fail
	SystemPrompt    Thing = "system_prompt"    // instructions in the prompt
	ToolDefinitions Thing = "tool_definitions" // the tools that were offered; of the calls of agents that run tools
	ResponseIDs     Thing = "response_id"      // the API's id of the answer
	TokenCounts     Thing = "token_counts"     // tokens read and written
	TokenIDs        Thing = "token_ids"        // exact token ids with log probabilities
)

// What tool runs show.
const (
	ToolArguments Thing = "tool_arguments"
	ToolResults   Thing = "tool_results" // of the runs that did not fail
	ToolCallIDs   Thing = "tool_call_id"
	ToolSpans     Thing = "tool_spans" // a span of their own, not only a result in the next prompt
)

// What runs show.
const (
	Sessions   Thing = "session_id"
	Users      Thing = "user_id"
	AgentNames Thing = "agent_names"
	Verdicts   Thing = "verdicts" // feedback, evaluations, annotations: what a reward can be made of
	Roots      Thing = "root"     // a span that stands for the run
)

// things in the order in which they are told.
var things = []Thing{
	Prompt, Reply, SystemPrompt, ToolDefinitions, ToolArguments, ToolResults, ToolCallIDs, ToolSpans,
	ResponseIDs, TokenCounts, TokenIDs, Sessions, Users, AgentNames, Verdicts, Roots,
}

// Count is how many show something, of how many could.
type Count struct {
	Have int `json:"have"`
	Of   int `json:"of"`
}

func (c *Count) add(have bool) {
	c.Of++
	if have {
		c.Have++
	}
}

// Shows counts what is shown. A thing that nothing could show is not in it.
type Shows map[Thing]*Count

func (s Shows) add(t Thing, have bool) { s.of(t).add(have) }

func (s Shows) of(t Thing) *Count {
	c := s[t]
	if c == nil {
		c = &Count{}
		s[t] = c
	}
	return c
}

// Set sets the count of a thing that could be shown at all.
func (s Shows) Set(t Thing, have, of int) {
	if of > 0 {
		s[t] = &Count{have, of}
	}
}

// sum adds counts.
func (s Shows) sum(o Shows) {
	for t, c := range o {
		all := s.of(t)
		all.Have += c.Have
		all.Of += c.Of
	}
}

// get is the count of a thing, zero if nothing could show it.
func (s Shows) get(t Thing) Count {
	if c := s[t]; c != nil {
		return *c
	}
	return Count{}
}

// Origin is who emitted a span.
type Origin struct {
	Service  string `json:"service,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Version  string `json:"version,omitempty"`
	Language string `json:"language,omitempty"` // telemetry.sdk.language
}

// Emitter is what was seen of one origin within a service.
type Emitter struct {
	Origin
	Dialects []string `json:"dialects,omitempty"`
	Spans    int      `json:"spans"`
	Models   int      `json:"model_spans"`
	Tools    int      `json:"tool_spans"`
	Agents   int      `json:"agent_spans"`
	Shows    Shows    `json:"shows,omitempty"` // of the steps that were read from its spans

	Redacted  int `json:"redacted,omitempty"`  // spans whose content is a placeholder
	Truncated int `json:"truncated,omitempty"` // spans whose content was cut
	Dropped   int `json:"dropped,omitempty"`   // spans of which the SDK dropped attributes or events
	Limit     int `json:"limit,omitempty"`     // characters at which values were cut, if all were cut there
	Attached  int `json:"attached,omitempty"`  // most attributes on one span
	Failed    int `json:"failed,omitempty"`    // model spans with an error
}

// Service is what was seen of the runs of one service.
type Service struct {
	Name     string     `json:"service"`
	Emitters []*Emitter `json:"emitters"`

	Spans   int `json:"spans"`
	Records int `json:"log_records"` // that say something of an agent's calls
	Logs    int `json:"logs"`        // log records of any kind
	Traces  int `json:"traces"`
	Runs    int `json:"runs"`
	Idle    int `json:"idle"` // trajectories beside them that neither call a model nor run a tool

	ModelCalls int `json:"model_calls"`
	ToolRuns   int `json:"tool_runs"`
	Failures   struct {
		Runs  int `json:"runs"`
		Calls int `json:"model_calls"`
		Tools int `json:"tool_runs"`
	} `json:"failed"`
	Shows Shows `json:"shows"`

	Trainable int            `json:"trainable"` // runs that can be trained on
	Reasons   map[string]int `json:"reasons"`   // why others can not, in runs

	Joined struct { // runs of several traces, by what ties them
		ByRollout int `json:"by_rollout"`
		BySession int `json:"by_session"`
		ByHistory int `json:"by_history"`
	} `json:"joined"`
	Alone      int `json:"alone"`     // runs of a single model call without a root, tied to nothing
	Fragments  int `json:"fragments"` // traces that begin with a model call or a tool run
	Sessions   int `json:"sessions"`  // distinct session ids
	Tasks      int `json:"tasks"`     // distinct task keys
	Repeated   int `json:"repeated"`  // runs whose task another run has, too
	NamedTasks int `json:"named_tasks"`

	Skewed int   `json:"skewed,omitempty"`  // spans that start before their parent in another process
	Skew   int64 `json:"skew_ms,omitempty"` // by at most so much
	Open   int   `json:"open,omitempty"`    // spans that were sent before they ended, and never again

	Facts      map[string]*FactCount `json:"facts,omitempty"`      // by name
	Models     map[string]int        `json:"models,omitempty"`     // calls by model
	Tools      map[string]*ToolCount `json:"tools,omitempty"`      // by name
	Attributes map[string]*Spread    `json:"attributes,omitempty"` // what else stands on roots and resources
}

// ToolCount is how often a tool ran, and failed.
type ToolCount struct {
	Runs   int `json:"runs"`
	Failed int `json:"failed"`
}

// FactCount is how many runs a fact is known of.
type FactCount struct {
	Source string `json:"source"` // feedback, evaluation or annotation
	Runs   int    `json:"runs"`
}

// Spread is how the values of an attribute spread over runs.
type Spread struct {
	Runs   int `json:"runs"`
	Values int `json:"values"` // that differ
}

// Seen is what was seen of all services.
type Seen struct {
	Services []*Service     `json:"services"`         // those with most model calls first
	Others   map[string]int `json:"others,omitempty"` // spans of services without an agent
	Cut      string         `json:"cut,omitempty"`    // why not everything was looked at
	Lost     []string       `json:"lost,omitempty"`   // what could not be read
	Splits   []Split        `json:"splits,omitempty"` // what several collectors had a part of
}

// NewService is a service of which nothing was seen.
func NewService(name string) *Service {
	return &Service{
		Name: name, Shows: Shows{}, Reasons: map[string]int{}, Facts: map[string]*FactCount{}, Models: map[string]int{},
		Tools: map[string]*ToolCount{}, Attributes: map[string]*Spread{},
	}
}

// NewSeen sums up what the emitters of services show, and puts both into the
// order in which they are told.
func NewSeen(services []*Service) *Seen {
	seen := &Seen{Services: services}
	for _, s := range services {
		for _, em := range s.Emitters {
			s.Shows.sum(em.Shows)
		}
	}
	seen.sort()
	return seen
}

// sort puts services and emitters into the order in which they are told.
func (s *Seen) sort() {
	slices.SortFunc(s.Services, func(a, b *Service) int {
		return cmp.Or(-cmp.Compare(a.ModelCalls, b.ModelCalls), -cmp.Compare(a.Spans, b.Spans), strings.Compare(a.Name, b.Name))
	})
	for _, sv := range s.Services {
		slices.SortFunc(sv.Emitters, func(a, b *Emitter) int {
			return cmp.Or(-cmp.Compare(a.Models, b.Models), -cmp.Compare(a.Tools, b.Tools), -cmp.Compare(a.Spans, b.Spans),
				strings.Compare(a.Scope, b.Scope), strings.Compare(a.Service, b.Service), strings.Compare(a.Version, b.Version))
		})
	}
}
