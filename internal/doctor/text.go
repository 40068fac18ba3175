package doctor

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Style says how findings are told.
type Style struct {
	Width int  // of a line; 0 = 100
	All   bool // every advice and every service, not only those that matter most
}

// What is told without Style.All.
const (
	shownAdvice   = 4
	shownServices = 8
	labelWidth    = 18
)

// Write tells the findings to a person: what is there, what works, and what to
// do, most valuable first.
func (f *Findings) Write(w io.Writer, style Style) error {
	t := teller{style: style}
	t.style.Width = max(cmp.Or(style.Width, 100), 60)
	services := f.Services
	if !style.All && len(services) > shownServices {
		services = services[:shownServices]
	}
	for _, r := range services {
		t.report(r)
	}
	if left := len(f.Services) - len(services); left > 0 {
		t.line(fmt.Sprintf("%s more: --all\n", plural(left, "service")))
	}
	if len(f.Everywhere) > 0 {
		t.line("besides")
		for i, a := range f.Everywhere {
			t.advice(i+1, a)
		}
		t.line("")
	}
	t.rest(f)
	_, err := io.WriteString(w, visible(strings.TrimRight(t.b.String(), "\n"))+"\n")
	return err
}

// visible replaces what a terminal would obey: names come from the telemetry.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

type teller struct {
	b     strings.Builder
	style Style
}

func (t *teller) line(s string) {
	t.b.WriteString(strings.TrimRight(s, " "))
	t.b.WriteByte('\n')
}

func (t *teller) report(r *Report) {
	head := fmt.Sprintf("%s: %s, %s, %s", cmp.Or(r.Name, "(no service name)"), plural(r.Runs, "run"), plural(r.ModelCalls, "model call"), plural(r.ToolRuns, "tool run"))
	if r.Idle > 0 {
		head += fmt.Sprintf(" (and %s without either)", plural(r.Idle, "trace"))
	}
	t.line(head)
	for i, s := range r.Speaks {
		label := ""
		if i == 0 {
			label = "emitted by"
		}
		t.item(label, s.String())
	}
	full, some, none := sorted(r.Shows)
	t.item("all show", strings.Join(full, ", "))
	t.item("some show", strings.Join(some, "; "))
	t.item("none shows", strings.Join(none, ", "))
	t.item("no switch for", strings.Join(r.Limits, "; "))
	t.item("failures", failures(r.Service))
	if t.style.All && r.Retries != "" {
		t.item("retries", r.Retries)
	}
	t.line("")
	for _, a := range r.Works {
		t.item(a.What, fmt.Sprintf("%s: %s", a.State, a.Why))
	}
	t.line("")
	if len(r.Advice) == 0 {
		t.line("  Nothing to switch on in this agent.")
	}
	shown := r.Advice
	if !t.style.All && len(shown) > shownAdvice {
		shown = shown[:shownAdvice]
	}
	for i, a := range shown {
		t.advice(i+1, a)
	}
	if left := len(r.Advice) - len(shown); left > 0 {
		t.line(fmt.Sprintf("  %d more of less weight: --all", left))
	}
	t.line("")
}

// String is the name, version and dialect of an instrumentation.
func (s Speaker) String() string {
	out := s.Name
	scopes := strings.Join(s.Scopes, ", ")
	if version, same := strings.CutPrefix(scopes, s.Name); same {
		out += version
	} else if scopes != "" {
		out += ": " + scopes
	}
	if s.Service != "" {
		out += ", service " + s.Service
	}
	return out
}

// sorted tells what is shown always, sometimes and never.
func sorted(shows Shows) (full, some, none []string) {
	for _, t := range things {
		switch c := shows.get(t); {
		case c.Of == 0 || t == Roots:
		case c.Have == c.Of:
			full = append(full, nouns[t])
		case c.Have == 0:
			none = append(none, nouns[t])
		default:
			some = append(some, counted(c, t))
		}
	}
	return full, some, none
}

func failures(s *Service) string {
	var out []string
	for _, f := range []struct {
		n    int
		what string
	}{{s.Failures.Runs, "run"}, {s.Failures.Calls, "model call"}, {s.Failures.Tools, "tool run"}} {
		if f.n > 0 {
			out = append(out, plural(f.n, f.what))
		}
	}
	if len(out) == 0 {
		return "none recorded"
	}
	return strings.Join(out, ", ")
}

// item is a label with a text beside it, nothing without a text.
func (t *teller) item(label, text string) {
	if text == "" {
		return
	}
	for i, line := range wrap(text, t.style.Width-labelWidth-3) {
		if i > 0 {
			label = ""
		}
		t.line(fmt.Sprintf("  %-*s %s", labelWidth, label, line))
	}
}

func (t *teller) advice(n int, a Advice) {
	for i, line := range wrap(a.Title, t.style.Width-5) {
		mark := "   "
		if i == 0 {
			mark = fmt.Sprintf("%2d.", n)
		}
		t.line(fmt.Sprintf(" %s %s", mark, line))
	}
	for _, line := range wrap(a.Why, t.style.Width-5) {
		t.line("     " + line)
	}
	for _, line := range a.Do {
		t.line("         " + line) // as it is: it is to be copied
	}
	if a.Docs != "" {
		t.line("     " + a.Docs)
	}
}

// rest tells what was not looked at.
func (t *teller) rest(f *Findings) {
	if len(f.Others) > 0 {
		names := slices.SortedFunc(maps.Keys(f.Others), func(a, b string) int {
			return cmp.Or(-cmp.Compare(f.Others[a], f.Others[b]), cmp.Compare(a, b))
		})
		var out []string
		for _, n := range names[:min(len(names), 5)] {
			out = append(out, fmt.Sprintf("%s (%s)", cmp.Or(n, "no service name"), plural(f.Others[n], "span")))
		}
		if more := len(names) - len(out); more > 0 {
			out = append(out, fmt.Sprintf("%d more", more))
		}
		for _, line := range wrap("No agent in: "+strings.Join(out, ", ")+". Those spans pass through the collector as they are.", t.style.Width) {
			t.line(line)
		}
	}
	for _, n := range f.Notes {
		for _, line := range wrap(n, t.style.Width) {
			t.line(line)
		}
	}
}

// wrap breaks a text into lines of at most width characters, at spaces.
func wrap(text string, width int) []string {
	var out []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			out = append(out, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		out = append(out, line)
	}
	return out
}
