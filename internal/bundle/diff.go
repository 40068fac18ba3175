package bundle

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Difference is what changes from one bundle to another. It is empty for equal
// bundles.
type Difference struct {
	From     string      `json:"from"`
	To       string      `json:"to"`
	Manifest []Change    `json:"manifest,omitempty"` // members other than id and files
	Items    []Change    `json:"items,omitempty"`    // guidance items by id
	Files    []FileDelta `json:"files,omitempty"`
}

// Change is one changed member or item; an empty side means absent there.
type Change struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// FileDelta is a file whose content differs; an empty side means absent there.
type FileDelta struct {
	Path string `json:"path"`
	From string `json:"from,omitempty"` // SHA-256
	To   string `json:"to,omitempty"`
}

// Diff says what changes from a to b.
func Diff(a, b *Bundle) Difference {
	return Difference{
		From:     a.ID(),
		To:       b.ID(),
		Manifest: diffPairs(manifestPairs(a.Manifest), manifestPairs(b.Manifest)),
		Items:    diffPairs(itemPairs(a.Prompt), itemPairs(b.Prompt)),
		Files:    diffFiles(a.Manifest.Files, b.Manifest.Files),
	}
}

// Empty says that the bundles are the same.
func (d Difference) Empty() bool { return d.From == d.To }

// WriteText writes the difference for people, one change a line: - removed,
// + added, ~ changed.
func (d Difference) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "from %s\nto   %s\n", d.From, d.To)
	writeChanges(&b, "manifest", d.Manifest)
	writeChanges(&b, "items", d.Items)
	files := make([]Change, len(d.Files))
	for i, f := range d.Files {
		files[i] = Change{Name: f.Path, From: ShortID(f.From), To: ShortID(f.To)}
	}
	writeChanges(&b, "files", files)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeChanges(b *strings.Builder, title string, changes []Change) {
	if len(changes) > 0 {
		fmt.Fprintf(b, "\n%s\n", title)
	}
	for _, c := range changes {
		switch {
		case c.From == "":
			fmt.Fprintf(b, "  + %s: %s\n", c.Name, c.To)
		case c.To == "":
			fmt.Fprintf(b, "  - %s: %s\n", c.Name, c.From)
		default:
			fmt.Fprintf(b, "  ~ %s: %s -> %s\n", c.Name, c.From, c.To)
		}
	}
}

// pair is a named value, printed.
type pair struct{ name, value string }

// manifestPairs lists the manifest's members by their JSON names, nested ones
// with a dot.
func manifestPairs(m Manifest) []pair {
	m.ID, m.Files = "", nil
	return structPairs("", reflect.ValueOf(m))
}

func structPairs(prefix string, v reflect.Value) []pair {
	var pairs []pair
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		field := v.Field(i)
		switch {
		case name == "provenance" || name == "gate":
			pairs = append(pairs, structPairs(name+".", field)...)
		case field.IsZero():
		case field.Kind() == reflect.Pointer:
			pairs = append(pairs, pair{prefix + name, fmt.Sprint(field.Elem())})
		default:
			pairs = append(pairs, pair{prefix + name, fmt.Sprint(field)})
		}
	}
	return pairs
}

func itemPairs(p *Prompt) []pair {
	if p == nil {
		return nil
	}
	pairs := make([]pair, len(p.Items))
	for i, it := range p.Items {
		scope := ""
		if it.Scope != (Scope{}) {
			scope = fmt.Sprintf("[task=%q agent=%q] ", it.Scope.Task, it.Scope.Agent)
		}
		pairs[i] = pair{it.ID, scope + it.Text}
	}
	return pairs
}

// diffPairs lists changes in the order of a, then what only b has.
func diffPairs(a, b []pair) []Change {
	inB := make(map[string]string, len(b))
	for _, p := range b {
		inB[p.name] = p.value
	}
	var changes []Change
	inA := make(map[string]bool, len(a))
	for _, p := range a {
		inA[p.name] = true
		if to := inB[p.name]; to != p.value {
			changes = append(changes, Change{p.name, p.value, to})
		}
	}
	for _, p := range b {
		if !inA[p.name] {
			changes = append(changes, Change{p.name, "", p.value})
		}
	}
	return changes
}

func diffFiles(a, b []File) []FileDelta {
	pairs := func(files []File) []pair {
		out := make([]pair, len(files))
		for i, f := range files {
			out[i] = pair{f.Path, f.SHA256}
		}
		return out
	}
	var deltas []FileDelta
	for _, c := range diffPairs(pairs(a), pairs(b)) {
		deltas = append(deltas, FileDelta{Path: c.Name, From: c.From, To: c.To})
	}
	return deltas
}
