package doctor

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Findings are what a doctor says. As JSON they are what tracegrad doctor
// --json prints.
type Findings struct {
	Services   []*Report      `json:"services"`
	Everywhere []Advice       `json:"everywhere"` // what would help every service
	Others     map[string]int `json:"others,omitempty"`
	Notes      []string       `json:"notes,omitempty"` // what was not looked at
}

// Report is what is said of one service.
type Report struct {
	*Service
	Speaks []Speaker `json:"speaks"`
	Works  []Ability `json:"works"`
	Advice []Advice  `json:"advice"` // most valuable first
	Limits []string  `json:"limits"` // what no switch will bring

	Retries string `json:"retries,omitempty"` // whether a call that was repeated after an error can be seen; "" = not known
}

// Speaker is an instrumentation that was recognised.
type Speaker struct {
	ID       string   `json:"id,omitempty"` // in advice.yaml; "" = not known
	Name     string   `json:"name"`
	Scopes   []string `json:"scopes,omitempty"`  // with versions
	Service  string   `json:"service,omitempty"` // where it is another one of the same runs
	Language string   `json:"language,omitempty"`
	Dialects []string `json:"dialects,omitempty"`
}

// State says whether something works.
type State string

// The states.
const (
	Yes     State = "yes"
	Partly  State = "partly"
	No      State = "no"
	Unknown State = "unknown" // too little was seen
)

// Ability is something that tracegrad does with runs, and whether it can.
type Ability struct {
	What  string `json:"what"`
	State State  `json:"state"`
	Why   string `json:"why"`
}

// Advice is one thing to do.
type Advice struct {
	ID    string   `json:"id"`
	Title string   `json:"title"` // what is wrong, with counts
	Why   string   `json:"why"`   // what it brings, or what to know before
	Do    []string `json:"do"`    // lines to copy
	Docs  string   `json:"docs,omitempty"`

	weight float64
}

// Diagnose turns counts into findings.
func Diagnose(seen *Seen) *Findings {
	f := &Findings{Services: []*Report{}, Everywhere: []Advice{}, Others: seen.Others, Notes: slices.Clone(seen.Lost)}
	if seen.Cut != "" {
		f.Notes = append(f.Notes, seen.Cut)
	}
	for _, s := range seen.Splits {
		f.Notes = append(f.Notes, s.note())
	}
	for _, s := range seen.Services {
		d := diagnosis{book: theBook(), s: s}
		f.Services = append(f.Services, d.report())
	}
	f.Everywhere = everywhere(seen)
	return f
}

// Healthy says that there is nothing to switch on, in any service.
func (f *Findings) Healthy() bool {
	return len(f.Services) > 0 && !slices.ContainsFunc(f.Services, func(r *Report) bool { return len(r.Advice) > 0 })
}

// diagnosis is the diagnosis of one service.
type diagnosis struct {
	book *book
	s    *Service

	advice []Advice
}

func (d *diagnosis) report() *Report {
	d.content()
	d.damage()
	d.tree()
	d.identity()
	d.tasks()
	d.duplicates()
	slices.SortStableFunc(d.advice, func(a, b Advice) int { return -cmp.Compare(a.weight, b.weight) })
	if d.advice == nil {
		d.advice = []Advice{}
	}
	return &Report{Service: d.s, Speaks: d.speakers(), Works: d.abilities(), Advice: d.advice, Limits: d.limits(), Retries: d.retries()}
}

// retries says what the instrumentation with most calls shows of them.
func (d *diagnosis) retries() string {
	in, _ := d.first()
	if in == nil || d.s.ModelCalls == 0 {
		return ""
	}
	switch in.Retries {
	case "hidden":
		return "are invisible: a call that the client repeats after an error is one span"
	case "shown":
		return "are spans of their own; failed ones are not learned from"
	}
	return ""
}

// speakers names every instrumentation once, those with most calls first.
func (d *diagnosis) speakers() []Speaker {
	out := []Speaker{}
	for _, em := range d.s.Emitters {
		if em.Models+em.Tools+em.Agents == 0 && len(d.s.Emitters) > 1 {
			continue // the web server above the agent
		}
		s := Speaker{Name: em.Scope, Service: em.Service, Language: em.Language, Dialects: em.Dialects}
		if in := d.book.of(em); in != nil {
			s.ID, s.Name = in.ID, in.Name
		}
		if s.Name == "" {
			s.Name = cmp.Or(strings.Join(em.Dialects, ", "), "unknown instrumentation")
		}
		same := slices.IndexFunc(out, func(o Speaker) bool { return o.Name == s.Name && o.Service == s.Service })
		if same < 0 {
			same = len(out)
			out = append(out, s)
		}
		if scope := strings.TrimSpace(em.Scope + " " + em.Version); scope != "" && !slices.Contains(out[same].Scopes, scope) {
			out[same].Scopes = append(out[same].Scopes, scope)
		}
	}
	return out
}

// limits are what is missing for good: what an instrumentation never records.
func (d *diagnosis) limits() []string {
	by := map[string][]Thing{}
	for _, em := range d.s.Emitters {
		in := d.book.of(em)
		if in == nil {
			continue
		}
		for t, c := range em.Shows {
			switch {
			case c.Have == c.Of:
			case slices.Contains(in.Never, t):
				by[" ("+in.Name+")"] = append(by[" ("+in.Name+")"], t)
			case slices.Contains(in.Some, t):
				by[" of some calls ("+in.Name+")"] = append(by[" of some calls ("+in.Name+")"], t)
			case c.Have > 0 && slices.Contains(in.Streamed, t):
				by[" of streamed answers ("+in.Name+")"] = append(by[" of streamed answers ("+in.Name+")"], t)
			}
		}
		for _, t := range []Thing{Sessions, Users} {
			if c := d.s.Shows.get(t); c.Have < c.Of && slices.Contains(in.Never, t) {
				by[" ("+in.Name+")"] = append(by[" ("+in.Name+")"], t)
			}
		}
	}
	out := []string{}
	for _, tail := range slices.Sorted(maps.Keys(by)) {
		slices.SortFunc(by[tail], func(a, b Thing) int { return cmp.Compare(slices.Index(things, a), slices.Index(things, b)) })
		out = append(out, list(words(slices.Compact(by[tail])), "and")+tail)
	}
	return out
}

// never says whether an emitter of the service records the thing nowhere.
func (d *diagnosis) never(t Thing) bool {
	return slices.ContainsFunc(d.s.Emitters, func(em *Emitter) bool {
		in := d.book.of(em)
		return in != nil && slices.Contains(in.Never, t)
	})
}
