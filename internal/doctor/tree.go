package doctor

import (
	"fmt"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// damage looks at content that was hidden or cut on its way.
func (d *diagnosis) damage() {
	for _, em := range d.s.Emitters {
		in := d.book.of(em)
		spans := max(em.Models+em.Tools, 1)
		if em.Redacted > 0 {
			d.add(topicRedacted, d.book.remedy(in, in.language(em), true, topicRedacted, topicContent), in, share(em.Redacted, spans), Advice{
				Title: fmt.Sprintf("There is a placeholder instead of content in %s.", plural(em.Redacted, "span")),
				Why:   "A placeholder is never learned from: those runs are left out.",
			})
		}
		if em.Dropped > 0 {
			d.add(topicDropped, d.book.remedy(in, in.language(em), true, topicDropped), nil, share(em.Dropped, spans), Advice{
				Title: fmt.Sprintf("The SDK dropped attributes or events of %s.", plural(em.Dropped, "span")),
				Why:   fmt.Sprintf("It keeps %d by default, and long conversations have more. Runs with gaps are left out.", sdkLimit),
			})
		}
		if em.Truncated > 0 && (em.Limit > 0 || share(em.Truncated, spans) >= little) { // else it is a reply that broke off
			why := "Cut content is never learned from: those runs are left out."
			if em.Limit > 0 {
				why = fmt.Sprintf("Values end at %d characters: a limit is set. ", em.Limit) + why
			}
			d.add(topicTruncated, d.book.remedy(in, in.language(em), true, topicTruncated), in, share(em.Truncated, spans), Advice{
				Title: fmt.Sprintf("The content of %s is cut.", plural(em.Truncated, "span")),
				Why:   why,
			})
		}
	}
	d.overwritten()
	if d.s.Skewed > 0 {
		d.add("clocks", nil, nil, 1, Advice{
			Title: fmt.Sprintf("Clocks disagree by %d ms: %s before what caused it in another process.", d.s.Skew, begins(d.s.Skewed, "span")),
			Why:   "Steps are put in order by what they say, as far as they say it. Keep the clocks in step (NTP) for the rest.",
			Do:    []string{},
		})
	}
}

// sdkLimit is how many attributes and events OTel SDKs keep of a span.
const sdkLimit = 128

func begins(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " begins"
	}
	return plural(n, noun) + " begin"
}

func share(n, of int) float64 { return min(float64(n)/float64(max(of, 1)), 1) }

// tree looks at what holds runs together.
func (d *diagnosis) tree() {
	s := d.s
	d.lost()
	if s.Fragments == 0 {
		return
	}
	tied := s.Joined.BySession + s.Joined.ByRollout
	loose := s.Runs - tied
	ambiguous := s.Reasons[string(trajectory.ReasonAmbiguous)]
	if c := s.Shows.get(Sessions); missing(c) < little && ambiguous == 0 {
		return // the session holds them together
	}
	about, what := topic(Roots), "Message history ties them together as long as each call repeats it and no two runs ask the same at the same time."
	if missing(s.Shows.get(Prompt)) > 1-off {
		what = "Nothing ties them together."
	}
	in, language := d.first()
	why := what + " A span around the run, or a session id, does it for good."
	if ambiguous > 0 {
		why = fmt.Sprintf("%d of them fit several runs and were left alone. ", ambiguous) + why
	}
	r := d.book.remedy(in, language, true, about)
	if in != nil {
		for _, em := range s.Emitters {
			if own := d.own(in, em, topic(Sessions)); own != nil && d.book.of(em) == in {
				r = own
				break
			}
		}
	}
	d.add(about, r, in, share(loose, s.Runs), Advice{
		Title: fmt.Sprintf("%s with a model call, without a root.", begins(s.Fragments, "trace")), Why: why,
	})
}

// overwritten looks at spans that an instrumentation wrote over.
func (d *diagnosis) overwritten() {
	n := d.s.Reasons[string(trajectory.ReasonOverwritten)]
	if n == 0 {
		return
	}
	in, language := d.first()
	d.add(topicOver, d.book.remedy(in, language, true, topicOver), in, share(n, d.s.Runs), Advice{
		Title: fmt.Sprintf("In %d of %s a model call was written over another span: calls after it may be lost.", n, plural(d.s.Runs, "run")),
	})
}

// oftenLost is the share of runs with missing spans from where on a sampler is
// the likely cause, and not a span here and there that was never ended.
const oftenLost = 0.2

// lost looks at spans whose parents never came.
func (d *diagnosis) lost() {
	n := d.s.Reasons[string(trajectory.ReasonOrphans)]
	if n == 0 {
		return
	}
	in, language := d.first()
	a := Advice{
		Title: fmt.Sprintf("Spans are missing in %d of %s: their parents never came.", n, plural(d.s.Runs, "run")),
		Why:   "A process that ended before it flushed, or a span that was never ended (a stream that threw).",
	}
	often := share(n, d.s.Runs) > oftenLost
	if often {
		a.Why = "A sampler in front of tracegrad, or a process that ended before it flushed. Sample whole traces behind tracegrad, not before it."
	}
	for _, about := range []topic{topicSampling, topicLost} {
		if r := d.book.remedy(in, language, true, about); r != nil && often {
			a.Do = append(a.Do, r.lines()...)
		}
	}
	d.add(topicLost, nil, nil, share(n, d.s.Runs), a)
}

// first is the instrumentation with most model calls.
func (d *diagnosis) first() (in *instrumentation, language string) {
	for _, em := range d.s.Emitters {
		in = d.book.of(em)
		return in, in.language(em)
	}
	return nil, ""
}
