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
