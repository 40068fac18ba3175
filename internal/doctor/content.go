package doctor

import (
	"fmt"
	"slices"
	"strings"
)

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
