// Command frameworks writes docs/frameworks.md: what arrives from each agent
// framework, as its captures show it, how exact the trajectories are, and how to
// switch content on.
//
// The captures are those of testdata/dialects, the grades those of the whole
// captures they were cut from (testdata/dialects/grade.json); what is known of
// switches is the doctor's.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/tracegrad/tracegrad/internal/doctor"
)

func main() {
	captures := flag.String("captures", "testdata/dialects", "`folder` of captures, gzipped, with grade.json")
	out := flag.String("out", "docs/frameworks.md", "`file` to write")
	flag.Parse()
	page, err := write(context.Background(), *captures)
	if err == nil {
		err = os.WriteFile(*out, page, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "frameworks:", err)
		os.Exit(1)
	}
}

//go:embed frameworks.md.tmpl
var page string

// grade is how many attempts of a whole capture are exact.
type grade struct {
	Exact    int `json:"exact"`
	Shuffled int `json:"shuffled"` // exact, too, when requests come reordered, split and twice
	Of       int `json:"of"`
}

// row is one capture.
type row struct {
	Framework, Instrumentation string
	Versions                   []string // of what emitted it
	Dialects                   []string
	Grade                      grade
	Shows                      map[string]string // by doctor.Thing
	Logs                       bool
	Known                      []*known
}

// known is an instrumentation and where it was seen.
type known struct {
	*doctor.Known
	Seen []string // scopes with versions
}

// How is how its content is switched on, on one line.
func (k *known) How() string {
	if k.On == nil {
		return "on by default"
	}
	how := "`" + strings.Join(k.On, "`<br>`") + "`"
	if strings.HasPrefix(k.On[0], "unset ") {
		how = "on by default, unless it was switched off:<br>" + how
	}
	return how
}

func write(ctx context.Context, dir string) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "grade.json"))
	if err != nil {
		return nil, err
	}
	var grades struct {
		Date     string           `json:"date"`
		Captures map[string]grade `json:"captures"`
	}
	if err := json.Unmarshal(raw, &grades); err != nil {
		return nil, fmt.Errorf("read grade.json: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*__*.jsonl.gz"))
	if err != nil {
		return nil, err
	}
	var rows []*row
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".jsonl.gz")
		if strings.HasSuffix(name, ".logs") {
			continue
		}
		g, ok := grades.Captures[name]
		if !ok {
			return nil, fmt.Errorf("%s is not in grade.json: grade the whole capture first", name)
		}
		r, err := look(ctx, f, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.Grade = g
		rows = append(rows, r)
	}
	sort.Slice(rows, func(i, j int) bool {
		a, b := rows[i], rows[j]
		return a.Framework+"\x00"+a.Instrumentation < b.Framework+"\x00"+b.Instrumentation
	})
	return render(rows, grades.Date)
}

// look examines one capture.
func look(ctx context.Context, file, name string) (*row, error) {
	framework, instrumentation, _ := strings.Cut(name, "__")
	paths := []string{file}
	logs := strings.TrimSuffix(file, ".jsonl.gz") + ".logs.jsonl.gz"
	if _, err := os.Stat(logs); err == nil {
		paths = append(paths, logs)
	}
	seen, err := doctor.Captures(ctx, paths, func(*doctor.Exam) {})
	if err != nil {
		return nil, err
	}
	if len(seen.Lost) > 0 {
		return nil, errors.New(seen.Lost[0])
	}
	r := &row{Framework: framework, Instrumentation: instrumentation, Shows: map[string]string{}}
	for _, s := range seen.Services {
		r.Logs = r.Logs || s.Records > 0
		for _, em := range s.Emitters {
			r.emitter(em)
		}
		for t, c := range s.Shows {
			r.Shows[string(t)] = share(c)
		}
		if s.ModelCalls > 0 {
			break // what calls no model is around the agent
		}
	}
	return r, nil
}

func (r *row) emitter(em *doctor.Emitter) {
	if em.Models+em.Tools+em.Agents == 0 && len(em.Shows) == 0 {
		return
	}
	if v := strings.TrimSpace(em.Scope + " " + em.Version); v != "" && len(r.Versions) < 3 {
		r.Versions = add(r.Versions, v)
	}
	for _, d := range em.Dialects {
		r.Dialects = add(r.Dialects, d)
	}
	if k := doctor.Look(em); k != nil {
		r.Known = append(r.Known, &known{Known: k, Seen: []string{strings.TrimSpace(em.Scope + " " + em.Version)}})
	}
}

func add(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// share says how many show something: all, some or none.
func share(c *doctor.Count) string {
	switch {
	case c.Of == 0:
		return ""
	case c.Have == 0:
		return "–"
	case c.Have == c.Of:
		return "all"
	}
	return fmt.Sprintf("%d/%d", c.Have, c.Of)
}

func render(rows []*row, date string) ([]byte, error) {
	t, err := template.New("frameworks").Funcs(template.FuncMap{
		"join": strings.Join,
		"cell": func(s string) string { return strings.ReplaceAll(s, "|", "\\|") },
	}).Parse(page)
	if err != nil {
		return nil, err
	}
	var all []*known
	byName := map[string]*known{}
	exact, of, shuffled := 0, 0, 0
	for _, r := range rows {
		if r.Dialects == nil {
			r.Dialects = []string{"–"}
		}
		for _, k := range r.Known {
			have := byName[k.Name]
			if have == nil {
				have = &known{Known: k.Known}
				byName[k.Name], all = have, append(all, have)
			}
			have.Seen = add(have.Seen, k.Seen[0])
		}
		if r.Framework != "haystack" {
			exact, of, shuffled = exact+r.Grade.Exact, of+r.Grade.Of, shuffled+r.Grade.Shuffled
		}
	}
	sort.Slice(all, func(i, j int) bool { return strings.ToLower(all[i].Name) < strings.ToLower(all[j].Name) })
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{"Rows": rows, "Known": all, "Date": date, "Exact": exact, "Of": of, "Shuffled": shuffled})
	return b.Bytes(), err
}
