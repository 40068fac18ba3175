package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// What tracegrad does with runs.
const (
	Joining   = "joining"
	Grouping  = "grouping"
	Prompts   = "prompt training"
	Adapters  = "adapter training"
	fewRuns   = 5
	mostShare = 0.8
)

func (d *diagnosis) abilities() []Ability {
	return []Ability{d.joining(), d.grouping(), d.prompts(), d.adapters()}
}

// joining says whether the spans of a run are found together.
func (d *diagnosis) joining() Ability {
	s := d.s
	a := Ability{What: Joining, State: Yes}
	traces, runs := plural(s.Traces, "trace"), plural(s.Runs, "run")
	switch {
	case s.Shows.get(Roots).Of == 0:
		a.Why = fmt.Sprintf("%s in %s, as the collector joined them", traces, runs)
	case s.Fragments == 0 && s.Joined.ByRollout > 0:
		a.Why = fmt.Sprintf("rollout ids tie %s to %s", traces, runs)
	case s.Fragments == 0:
		a.Why = "a root span holds each run together"
	case s.Joined.BySession > 0 && s.Joined.ByHistory == 0:
		a.Why = fmt.Sprintf("the session id ties %s to %s", traces, runs)
	case s.Joined.BySession+s.Joined.ByHistory+s.Joined.ByRollout > 0:
		a.Why = fmt.Sprintf("message history ties %s to %s", traces, runs)
	case missing(s.Shows.get(Prompt)) > 1-off && s.Fragments*2 > s.Traces && s.Runs > 1:
		a.State, a.Why = No, fmt.Sprintf("nothing ties %s together: no root span, no session id, no message history", traces)
	default:
		a.Why = "each run is a single trace"
	}
	if n := s.Reasons[string(trajectory.ReasonAmbiguous)]; n > 0 {
		a.State = Partly
		a.Why += fmt.Sprintf("; %d fit several runs", n)
	}
	if n := s.Reasons[string(trajectory.ReasonOrphans)]; n > 0 && a.State == Yes {
		a.State, a.Why = Partly, fmt.Sprintf("spans are missing in %d of %s", n, runs)
	}
	return a
}

// grouping says whether there are several attempts at the same task.
func (d *diagnosis) grouping() Ability {
	s := d.s
	a := Ability{What: Grouping, State: Yes, Why: fmt.Sprintf("%s at %s", plural(s.Runs, "run"), plural(s.Tasks, "task"))}
	if s.Repeated < s.Runs {
		a.Why += fmt.Sprintf(", %d of them with another attempt to be compared with", s.Repeated)
	}
	switch {
	case s.Tasks == 0:
		a.State, a.Why = No, "no run shows what it was asked"
	case s.Runs < fewRuns:
		a.State, a.Why = Unknown, fmt.Sprintf("%s are too few to tell", plural(s.Runs, "run"))
		if s.Runs == 1 {
			a.Why = "one run is too few to tell"
		}
	case s.Repeated == 0:
		a.State = No
		a.Why = fmt.Sprintf("no two of %s are attempts at the same task", plural(s.Runs, "run"))
	case share(s.Repeated, s.Runs) < 1-mostShare:
		a.State = Partly
	}
	return a
}

// prompts says whether runs can be learned from.
func (d *diagnosis) prompts() Ability {
	s := d.s
	a := Ability{What: Prompts, State: Yes, Why: fmt.Sprintf("%d of %s can be learned from", s.Trainable, plural(s.Runs, "run"))}
	switch {
	case s.Trainable == 0:
		a.State = No
	case share(s.Trainable, s.Runs) < mostShare:
		a.State = Partly
	}
	if s.Trainable < s.Runs {
		a.Why += ": " + d.reasons()
	}
	return a
}

// reasons are the most frequent ones why runs are left out.
func (d *diagnosis) reasons() string {
	names := slices.SortedFunc(maps.Keys(d.s.Reasons), func(a, b string) int {
		return cmp.Or(-cmp.Compare(d.s.Reasons[a], d.s.Reasons[b]), cmp.Compare(a, b))
	})
	var out []string
	for _, r := range names[:min(len(names), 3)] {
		out = append(out, fmt.Sprintf("%s in %d", cmp.Or(reasonWords[trajectory.Reason(r)], r), d.s.Reasons[r]))
	}
	return list(out, "and")
}

var reasonWords = map[trajectory.Reason]string{
	trajectory.ReasonNoInput:       "a prompt is not shown",
	trajectory.ReasonNoOutput:      "a reply is not shown",
	trajectory.ReasonNoResult:      "a tool's result is not shown",
	trajectory.ReasonNoArguments:   "a tool's arguments are not shown",
	trajectory.ReasonTruncated:     "content is cut",
	trajectory.ReasonDropped:       "the SDK dropped attributes",
	trajectory.ReasonRedacted:      "content is a placeholder",
	trajectory.ReasonMerged:        "parallel tool calls are merged into one",
	trajectory.ReasonOverwritten:   "a span was written over",
	trajectory.ReasonFailed:        "a model call failed",
	trajectory.ReasonNoModelCall:   "no model call was answered",
	trajectory.ReasonOrphans:       "spans are missing",
	trajectory.ReasonAmbiguous:     "a call fits several runs",
	trajectory.ReasonClosedEarly:   "the run was cut short",
	trajectory.ReasonLate:          "spans came too late",
	trajectory.ReasonSplit:         "spans went to several collectors",
	trajectory.ReasonDuplicate:     "it was seen twice",
	trajectory.ReasonRewardMissing: "a verdict is missing",
	trajectory.ReasonNotRecorded:   "a tool's result was not recorded",
	trajectory.ReasonTooManyCalls:  "it went on for too long",
}

// adapters says whether exact tokens are there.
func (d *diagnosis) adapters() Ability {
	c := d.s.Shows.get(TokenIDs)
	a := Ability{What: Adapters, State: Yes, Why: "every answer has its exact tokens"}
	switch {
	case c.Of == 0 || d.s.Trainable == 0:
		a.State, a.Why = No, "there is no run to train on"
	case c.Have == 0 && hosted(d.s.Models):
		a.State, a.Why = No, d.s.model()+" is a hosted model: it gives no token ids and takes no adapter"
	case c.Have == 0:
		a.State, a.Why = No, "no answer has its exact tokens (token ids and log probabilities)"
	case c.Have < c.Of:
		a.State, a.Why = Partly, fmt.Sprintf("%d of %s have their exact tokens", c.Have, plural(c.Of, "answer"))
	}
	return a
}

// families are models that only their makers serve, by the beginning of the name.
var families = []string{"gpt-", "chatgpt-", "o1", "o3", "o4", "claude-", "gemini-"}

// hosted says whether all models are of such a family.
func hosted(models map[string]int) bool {
	for m := range models {
		m = m[strings.LastIndexByte(m, '/')+1:]
		if !hasPrefix(m, families) || strings.HasPrefix(m, "gpt-oss") {
			return false
		}
	}
	return len(models) > 0
}

// model is the one that was called most often.
func (s *Service) model() string {
	names := slices.SortedFunc(maps.Keys(s.Models), func(a, b string) int {
		return cmp.Or(-cmp.Compare(s.Models[a], s.Models[b]), cmp.Compare(a, b))
	})
	return names[0]
}

// everywhere is advice that would help every service alike.
func everywhere(seen *Seen) []Advice {
	out := []Advice{}
	verdicts, tokens := 0, 0 // runs and answers of services that have none
	for _, s := range seen.Services {
		if s.ModelCalls == 0 {
			continue // first things first
		}
		v, t := s.Shows.get(Verdicts), s.Shows.get(TokenIDs)
		if v.Have == 0 {
			verdicts += v.Of
		}
		if !hosted(s.Models) && t.Have == 0 {
			tokens += t.Of
		}
	}
	b := theBook()
	if verdicts > 0 {
		r := b.remedy(nil, "", true, topic(Verdicts))
		title := fmt.Sprintf("Nothing says which of %s were good.", plural(verdicts, "run"))
		if verdicts == 1 {
			title = "Nothing says whether the run was good."
		}
		out = append(out, Advice{
			ID: string(Verdicts), Title: title,
			Why: "Without a verdict only what the telemetry shows can be rewarded, such as tool errors. Your application posts it whenever it knows, by trace id, response id or session id.",
			Do:  r.lines(),
		})
	}
	if tokens > 0 {
		r := b.remedy(nil, "", true, topic(TokenIDs))
		out = append(out, Advice{
			ID: string(TokenIDs), Title: "Exact tokens, if you serve the model yourself (vLLM) and want to train adapters.",
			Why: "The gateway asks for token ids and log probabilities with every call. Prompt training needs none of it, and hosted APIs give none.",
			Do:  r.lines(),
		})
	}
	return out
}
