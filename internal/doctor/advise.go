package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// How much an advice is worth, before it is known how much is missing.
var weights = map[topic]float64{
	topicCalls: 110, topicContent: 100, topicLogs: 101, topicRedacted: 98, topicDropped: 92, topicTruncated: 90, topicLost: 80, topicOver: 85,
	topic(Roots): 65, topicTasks: 60, topicService: 45, topic(SystemPrompt): 42, topic(ToolDefinitions): 40, topic(Sessions): 33, topic(TokenCounts): 30,
	topicDuplicate: 12, topic(Users): 10,
}

// little is the share of missing things that is not worth a word: a failed
// stream here, a call that was cut there.
const little = 0.1

// off is the share that some show although the switch is off.
const off = 0.1

func (d *diagnosis) add(about topic, r *remedy, in *instrumentation, share float64, a Advice) {
	if r != nil {
		a.Do = r.lines()
		a.Docs = r.Docs
		if a.Docs == "" && in != nil && slices.Contains(in.Switches, r) {
			a.Docs = in.Docs
		}
		if r.Say != "" {
			a.Why = strings.TrimSpace(r.Say + " " + a.Why)
		}
	}
	a.ID = string(about)
	if in != nil {
		a.ID = in.ID + "/" + a.ID
	}
	a.weight = weights[about] * (0.5 + share/2)
	for _, have := range d.advice {
		if have.ID == a.ID && slices.Equal(have.Do, a.Do) {
			return
		}
	}
	d.advice = append(d.advice, a)
}

// content looks at what steps show, emitter by emitter: the switch is in the
// instrumentation that emitted them.
func (d *diagnosis) content() {
	if d.s.ModelCalls == 0 {
		d.noCalls()
		return
	}
	for _, em := range d.s.Emitters {
		in := d.book.of(em)
		dark := d.dark(em, in)
		d.single(em, in, TokenCounts)
		if !dark {
			d.single(em, in, SystemPrompt)
			d.single(em, in, ToolDefinitions)
		}
	}
}

// noCalls is for agents whose model calls are not seen at all.
func (d *diagnosis) noCalls() {
	for _, em := range d.s.Emitters {
		in := d.book.of(em)
		if r := d.book.remedy(in, in.language(em), true, topicCalls); r != nil {
			d.add(topicCalls, r, in, 1, Advice{Title: fmt.Sprintf("No model call is visible in %s.", plural(d.s.Runs, "run"))})
			return
		}
	}
	d.add(topicCalls, nil, nil, 1, Advice{
		Title: fmt.Sprintf("No model call is visible in %s.", plural(d.s.Runs, "run")),
		Why: "Either the client that calls the model is not instrumented, or in a way that tracegrad does not know yet. " +
			"The gateway sees the calls whatever the agent emits.",
		Do: gatewayLines,
	})
}

var gatewayLines = []string{
	"TRACEGRAD_UPSTREAM=http://127.0.0.1:8000 tracegrad-collector --config gateway.yaml",
	"export OPENAI_BASE_URL=http://127.0.0.1:4320/v1",
}

// dark adds the advice for an emitter that hides prompts, replies or what tools
// were called with. It returns whether prompts are hidden.
func (d *diagnosis) dark(em *Emitter, in *instrumentation) bool {
	var hidden []Thing
	worst, all := 0.0, true
	for _, t := range contents {
		c := em.Shows.get(t)
		if c.Of == 0 || missing(c) < little || in != nil && (slices.Contains(in.Never, t) || slices.Contains(in.Some, t)) {
			continue
		}
		if (t == ToolArguments || t == ToolResults) && len(hidden) == 0 && missing(c) < 1-off {
			continue // some tool run is shown by no later prompt: that is how runs end
		}
		hidden = append(hidden, t)
		worst = max(worst, missing(c))
		all = all && missing(c) >= 1-off
	}
	prompts := em.Shows.get(Prompt)
	dark := prompts.Of > 0 && missing(prompts) >= 1-off
	if len(hidden) == 0 || 2*(em.Redacted+em.Truncated+em.Dropped) > prompts.Of-prompts.Have && em.Redacted+em.Truncated+em.Dropped > 0 {
		return dark // what was hidden or cut on its way has its own advice
	}
	a := Advice{Title: shown(em.Shows, hidden)}
	if in != nil && in.Content == "logs" && d.s.Logs == 0 && dark {
		d.noLogs(em, in, a)
		return dark
	}
	about := []topic{topicContent}
	if len(hidden) == 1 {
		about = []topic{topic(hidden[0]), topicContent} // its own switch before that of all
	}
	var r *remedy
	for _, t := range about {
		if r == nil {
			r = d.book.remedy(in, in.language(em), all || dark, t)
		}
	}
	switch {
	case dark && r == nil:
		a.Why = "Without prompts and replies no run can be learned from, and we know no switch for " + nameOf(em, in) + ". The gateway sees every call, whatever the agent emits."
		a.Do = gatewayLines
	case dark:
		a.Why = "Without prompts and replies no run can be learned from."
	case r == nil:
		if a.Why = d.whyPartly(em); a.Why == "" {
			return dark
		}
	}
	d.add(topicContent, r, in, worst, a)
	return dark
}

// shown is "0 of 3 model calls show their prompt, 1 of 3 their reply."
func shown(shows Shows, ts []Thing) string {
	var parts []string
	last := ""
	for _, t := range ts {
		c := shows.get(t)
		switch carrier(t) {
		case last:
			parts[len(parts)-1] += fmt.Sprintf(", %d of %d %s", c.Have, c.Of, possessive(c.Of, t))
		default:
			verb := "show"
			if c.Of == 1 {
				verb = "shows"
			}
			parts = append(parts, fmt.Sprintf("%d of %s %s %s", c.Have, plural(c.Of, carrier(t)), verb, possessive(c.Of, t)))
		}
		last = carrier(t)
	}
	return strings.Join(parts, "; ") + "."
}

// whyPartly explains content that some calls show and others do not, "" if
// there is nothing to explain it with.
func (d *diagnosis) whyPartly(em *Emitter) string {
	if em.Truncated > 0 || em.Dropped > 0 || em.Redacted > 0 {
		return "" // has its own advice
	}
	if c := em.Shows.get(Prompt); c.Have > 0 && c.Have < c.Of {
		return "Others do: look whether those calls are streamed, take another path through your code, or go to a client that is not instrumented."
	}
	return ""
}

// noLogs is for instrumentations whose content leaves as log records.
func (d *diagnosis) noLogs(em *Emitter, in *instrumentation, a Advice) {
	a.Why = in.Name + " sends content as log records, and none came. Export logs to the same place, and switch content on; for a file, name the one with the logs too."
	logs, content := d.book.remedy(nil, in.language(em), true, topicLogs), d.book.remedy(in, in.language(em), true, topicContent)
	if content != nil {
		a.Do = content.lines()
	}
	if logs != nil && !slices.ContainsFunc(a.Do, func(line string) bool { return strings.Contains(line, "OTEL_LOGS_EXPORTER") }) {
		a.Do = append(slices.Clone(a.Do), logs.lines()...)
	}
	a.Docs = in.Docs
	d.add(topicLogs, nil, in, 1, a)
}

// single adds the advice for one thing that has a switch of its own.
func (d *diagnosis) single(em *Emitter, in *instrumentation, t Thing) {
	c := em.Shows.get(t)
	if c.Of == 0 || missing(c) < little || in == nil || slices.Contains(in.Never, t) || slices.Contains(in.Some, t) {
		return
	}
	r := d.book.remedy(in, in.language(em), missing(c) >= 1-off, topic(t))
	if r == nil {
		return
	}
	d.add(topic(t), r, in, missing(c), Advice{
		Title: shown(em.Shows, []Thing{t}), Why: brings[t],
	})
}

// brings is what a thing is good for.
var brings = map[Thing]string{
	SystemPrompt:    "Guidance is put into the system prompt: what it says should be known.",
	ToolDefinitions: "They say what the model could have done; adapter training puts them into the prompt.",
	TokenCounts:     "Rules can then weigh what a run costs.",
}

func missing(c Count) float64 { return 1 - float64(c.Have)/float64(max(c.Of, 1)) }

// identity looks at what names runs, users and the service.
func (d *diagnosis) identity() {
	s := d.s
	if s.Name == "" || strings.HasPrefix(s.Name, "unknown_service") {
		d.add(topicService, d.book.remedy(nil, "", true, topicService), nil, 1, Advice{
			Title: "The service has no name.",
			Why:   "Runs of different agents fall into one heap, and a policy cannot say whom it is for.",
		})
	}
	c := s.Shows.get(Sessions)
	if c.Of == 0 || missing(c) < little || d.never(Sessions) {
		return
	}
	// With a root each run stands for itself. Without, the session ties it
	// together: see tree.
	if roots := s.Shows.get(Roots); missing(roots) > little {
		return
	}
	for _, em := range s.Emitters {
		in := d.book.of(em)
		if in == nil || len(in.Switches) == 0 {
			continue
		}
		if r := d.own(in, em, topic(Sessions)); r != nil {
			d.add(topic(Sessions), r, in, missing(c), Advice{
				Title: shown(s.Shows, []Thing{Sessions}),
				Why:   "Your application can then post verdicts by the id that it knows, and the turns of one conversation are found together.",
			})
			return
		}
	}
}

// manyRuns are enough to say that tasks do not repeat.
const manyRuns = 20

// tasks looks at whether attempts at the same task are recognised.
func (d *diagnosis) tasks() {
	s := d.s
	if s.Runs < manyRuns || s.Tasks == 0 || share(s.Repeated, s.Runs) > 0.2 {
		return
	}
	a := Advice{
		Title: fmt.Sprintf("%d of %s have another attempt at the same task.", s.Repeated, plural(s.Runs, "run")),
		Why:   "Attempts are compared within a task, which is told by the input with ids, numbers and dates masked. If inputs vary more, name the task: by an attribute in collector.yaml, or by an expression in train.yaml.",
		Do:    []string{"trajectory: {task_key: [app.task]}      # collector.yaml, processors", "group_by: agent_names[1]      # train.yaml: any SQL over the view trajectories"},
	}
	if c := s.TaskKeys(); len(c) > 0 {
		a.Do[0] = "trajectory: {task_key: [" + c[0] + "]}      # collector.yaml, processors"
	}
	d.add(topicTasks, nil, nil, 1-share(s.Repeated, s.Runs), a)
}

// own is an instrumentation's own remedy, nil if there are general ones only.
func (d *diagnosis) own(in *instrumentation, em *Emitter, about topic) *remedy {
	if r := d.book.remedy(in, in.language(em), true, about); r != nil && slices.Contains(in.Switches, r) {
		return r
	}
	return nil
}

// duplicates looks for two instrumentations that record the same calls: the
// spans of one never become steps of their own.
func (d *diagnosis) duplicates() {
	var both []*Emitter
	folded := false
	for _, em := range d.s.Emitters {
		if em.Models > 0 {
			both = append(both, em)
			folded = folded || em.Shows.get(Prompt).Of <= em.Models/10 && em.Tools+em.Agents == 0 // else what it alone shows would be gone
		}
	}
	if !folded || len(both) < 2 {
		return
	}
	var r *remedy
	var in *instrumentation
	names := []string{}
	for _, em := range both {
		names = append(names, nameOf(em, d.book.of(em)))
		if r == nil {
			in = d.book.of(em)
			r = d.book.remedy(in, in.language(em), true, topicDuplicate)
		}
	}
	d.add(topicDuplicate, r, in, 1, Advice{
		Title: "Model calls are recorded twice: by " + list(names, "and") + ".",
		Why:   "The two are merged and do no harm. To halve the volume, keep the one that shows more.",
	})
}

func nameOf(em *Emitter, in *instrumentation) string {
	switch {
	case em.Scope != "":
		return em.Scope
	case in != nil:
		return in.Name
	}
	return strings.Join(em.Dialects, ", ")
}
