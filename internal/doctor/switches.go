package doctor

import "strings"

// Known is what is known of an instrumentation.
type Known struct {
	Name  string
	Docs  string   // where it says so
	Logs  bool     // content leaves as log records
	On    []string // lines that switch content on; nil = it is on, or nothing does
	Say   string   // to know before
	Never []Thing  // what it records nowhere
}

// Look says what is known of an emitter, nil for nothing.
func Look(em *Emitter) *Known {
	b := theBook()
	in := b.of(em)
	if in == nil {
		return nil
	}
	k := &Known{Name: in.Name, Docs: in.Docs, Logs: in.Content == "logs", Never: in.Never}
	for _, r := range in.Switches {
		for _, t := range r.For {
			if (t == topicContent || t == topicRedacted) && k.On == nil && speaks(r.Languages, in.language(em)) {
				k.On, k.Say = lines(r.Do), strings.TrimSpace(r.Say)
			}
		}
	}
	return k
}

func lines(do string) (out []string) {
	for l := range strings.Lines(do) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}
