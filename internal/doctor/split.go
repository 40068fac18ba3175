package doctor

import "fmt"

// Split is how much reached several collectors that only one could make a whole of.
type Split struct {
	Kind    string `json:"kind"` // "trace" or "conversation"
	Count   int    `json:"count"`
	Example string `json:"example"` // the id of the first one
	Writers string `json:"writers"` // who had a part of it
}

func (s Split) note() string {
	what := s.Kind + "s"
	if s.Count == 1 {
		what = s.Kind
	}
	return fmt.Sprintf("%d %s went to several Collectors, and none has it whole; the first is %s (%s). Send what belongs together to one of them, by %s: docs/scale-out.md. All are in the view splits of tracegrad sql.",
		s.Count, what, s.Example, s.Writers, s.Kind)
}
