package prompt

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Demonstration is a good answer of an earlier attempt, redacted, for the same
// tenant only.
type Demonstration struct {
	ID     string `json:"id"` // of the trajectory
	Task   string `json:"task,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	Input  string `json:"input"`
	Output string `json:"output"`
}

// maxDemonstration bounds input and output together, in bytes; longer ones are
// left out, because a cut answer is a bad example.
const maxDemonstration = 8 << 10

// Candidates picks the training samples to demonstrate: the best of a group, if
// it is better than the group's mean, at most n, best first. Attempts that a
// bundle served are left out: what they say may be what we put there.
func Candidates(train []Sample, n int) []*Sample {
	best := map[string]*Sample{}
	for i := range train {
		s := &train[i]
		if s.Advantage <= 0 || s.Bundle != "" || !s.Answered {
			continue
		}
		if b := best[s.groupKey()]; b == nil || s.Advantage > b.Advantage || s.Advantage == b.Advantage && s.ID < b.ID {
			best[s.groupKey()] = s
		}
	}
	out := make([]*Sample, 0, len(best))
	for _, s := range best {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Sample) int {
		return cmp.Or(cmp.Compare(b.Advantage, a.Advantage), cmp.Compare(a.ID, b.ID))
	})
	return out[:min(n, len(out))]
}

// Demonstrate quotes a candidate; false if it cannot be shown.
func Demonstrate(s *Sample, t *trajectory.Trajectory) (Demonstration, bool) {
	if slices.ContainsFunc(t.Messages, func(m trajectory.Message) bool { return m.Injected != "" }) {
		return Demonstration{}, false
	}
	d := Demonstration{ID: s.ID, Tenant: s.Tenant, Input: Redact(t.Input), Output: Redact(t.Output)}
	if task := Label(s.Group); readable(task) {
		d.Task = task
	}
	ok := d.Input != "" && d.Output != "" && len(d.Input)+len(d.Output) <= maxDemonstration
	return d, ok
}

// redactions are tried in order; the first that matches a stretch wins.
var redactions = []struct {
	with    string
	pattern *regexp.Regexp
}{
	{"[key]", regexp.MustCompile(`(?i)-----BEGIN [A-Z ]+-----[^-]*-----END [A-Z ]+-----|\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}|\b(?:sk|pk|rk|ghp|gho|ghs|xox[abpr]|AKIA|AIza|eyJ)[-_A-Za-z0-9.]{12,}`)},
	{"[secret]", regexp.MustCompile(`(?i)\b(?:password|passwd|secret|token|api[_-]?key)\b\s*[:=]\s*\S+`)},
	{"[email]", regexp.MustCompile(`[\p{L}0-9._%+-]+@[\p{L}0-9.-]+\.\p{L}{2,}`)},
	{"[url]", regexp.MustCompile(`\b[a-z][a-z0-9+.-]*://\S+`)},
	{"[iban]", regexp.MustCompile(`\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b`)},
	{"[ip]", regexp.MustCompile(`\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b`)},
	{"[id]", regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{16,}\b`)},
	{"[number]", regexp.MustCompile(`\+?[0-9](?:[ ()/.-]{0,3}[0-9]){6,}`)},
	{"", regexp.MustCompile(`\s*\[ref:[^\]]{1,64}\]`)},
}

// Redact replaces what identifies people or opens doors: keys, passwords, mail
// and web addresses, account, phone and long numbers, ids. It cannot know
// names; that is one reason why demonstrations are off by default.
func Redact(text string) string {
	for _, r := range redactions {
		text = r.pattern.ReplaceAllString(text, r.with)
	}
	return strings.TrimSpace(text)
}
