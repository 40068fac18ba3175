package doctor

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	page      = "../../docs/doctor.md"
	sample    = "testdata/cases/content-off.txtar"
	exampleOn = "<!-- begin example: generated from internal/doctor/testdata/cases/content-off.txtar -->\n"
	exampleTo = "<!-- end example -->\n"
	beginning = "<!-- begin switches: generated from internal/doctor/advice.yaml by go test ./internal/doctor -update -->\n"
	ending    = "<!-- end switches -->\n"
)

// TestThePageHasEverySwitch holds the table in docs/doctor.md to advice.yaml.
func TestThePageHasEverySwitch(t *testing.T) {
	data, err := os.ReadFile(page)
	require.NoError(t, err)
	a, err := txtar.ParseFile(sample)
	require.NoError(t, err)
	example := ""
	for _, f := range a.Files {
		if f.Name == "want" {
			example = "```text\n$ tracegrad doctor traces.jsonl\n" + string(f.Data) + "```\n"
		}
	}
	want := between(t, string(data), exampleOn, exampleTo, example)
	want = between(t, want, beginning, ending, switches(theBook()))
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(data), "docs/doctor.md is out of date: go test ./internal/doctor -update")
}

// between replaces what stands between two marks.
func between(t *testing.T, text, begin, end, what string) string {
	t.Helper()
	head, rest, ok := strings.Cut(text, begin)
	require.True(t, ok, begin)
	_, tail, ok := strings.Cut(rest, end)
	require.True(t, ok, end)
	return head + begin + what + end + tail
}

func switches(b *book) string {
	var out strings.Builder
	out.WriteString("| instrumentation | for | switch |\n|---|---|---|\n")
	for _, in := range b.Instrumentations {
		name := in.Name
		if in.Docs != "" {
			name = fmt.Sprintf("[%s](%s)", in.Name, in.Docs)
		}
		for _, r := range in.Switches {
			if in.Like != "" {
				break // stands with the other
			}
			row(&out, name, r)
			name = ""
		}
	}
	for i, r := range b.General {
		name := ""
		if i == 0 {
			name = "any"
		}
		row(&out, name, r)
	}
	return out.String()
}

func row(out *strings.Builder, name string, r *remedy) {
	var about []string
	for _, a := range r.For {
		about = append(about, strings.ReplaceAll(string(a), "_", " "))
	}
	if len(r.Languages) > 0 {
		about[len(about)-1] += " (" + r.Languages[0] + ")"
	}
	var lines []string
	for _, l := range r.lines() {
		lines = append(lines, "`"+strings.ReplaceAll(strings.TrimSpace(l), "|", "\\|")+"`")
	}
	fmt.Fprintf(out, "| %s | %s | %s |\n", name, strings.Join(about, ", "), strings.Join(lines, "<br>"))
}
