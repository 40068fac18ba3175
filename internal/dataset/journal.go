package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// replacement is a note that files were made from others, which are to go. It
// is written before the first of the new files takes its place, so whatever
// happens it can be told which of the two count.
type replacement struct {
	Version  int       `json:"version"` // 1
	At       time.Time `json:"at"`
	Made     []string  `json:"made"`     // below the version's folder, in the order of the commit
	Replaced []string  `json:"replaced"` // what is to be removed, trajectories first

	name string // of the note, below the root
}

func noteDir() string { return path.Join(layout, upkeep) + "/" }

// note writes r down durably.
func (r *replacement) note(ctx context.Context, b Bucket, batch string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	r.name = noteDir() + batch + ".json"
	return b.Put(ctx, r.name, bytes.NewReader(text), int64(len(text)))
}

// notes lists the replacements that are not done with, oldest first.
func notes(ctx context.Context, b Bucket) (list []*replacement, err error) {
	found, err := b.List(ctx, noteDir())
	if err != nil {
		return nil, err
	}
	for _, o := range found {
		if base := path.Base(o.Name); path.Ext(base) != ".json" || base[0] == '.' {
			continue
		}
		var text bytes.Buffer
		if err := b.Get(ctx, o.Name, &text, o.Bytes); err != nil {
			return nil, err
		}
		r := &replacement{name: o.Name}
		if err := json.Unmarshal(text.Bytes(), r); err != nil || r.Version != 1 || !r.local() {
			return nil, fmt.Errorf("read %s/%s: it is broken: move the file away; what it names is merged again", b, o.Name)
		}
		list = append(list, r)
	}
	return list, nil
}

// local guards against names that lead out of the dataset.
func (r *replacement) local() bool {
	outside := func(name string) bool { return !filepath.IsLocal(filepath.FromSlash(name)) }
	return !slices.ContainsFunc(r.Made, outside) && !slices.ContainsFunc(r.Replaced, outside)
}

// committed reports whether the new files count. The last of them is the commit.
func (r *replacement) committed(ctx context.Context, b Bucket) (bool, error) {
	if len(r.Made) == 0 {
		return true, nil
	}
	last := below(r.Made[len(r.Made)-1])
	list, err := b.List(ctx, last)
	return slices.ContainsFunc(list, func(o Object) bool { return o.Name == last }), err
}

// undo removes new files that do not count, and the note.
func (r *replacement) undo(ctx context.Context, b Bucket) error {
	for _, name := range r.Made {
		if err := b.Remove(ctx, below(name)); err != nil {
			return err
		}
	}
	return b.Remove(ctx, r.name)
}

// finish removes the files that were replaced, of those that are there, and the note.
func (r *replacement) finish(ctx context.Context, b Bucket, there map[string]int64) (removed []File, err error) {
	for _, table := range slices.Backward(Tables) {
		var names []string
		for _, name := range r.Replaced {
			if bytes, ok := there[below(name)]; ok && tableOf(name) == table {
				names = append(names, below(name))
				removed = append(removed, File{Table: table, Path: b.String() + "/" + below(name), Bytes: bytes})
			}
		}
		if err := removeAll(ctx, b, names); err != nil {
			return nil, err
		}
	}
	return removed, b.Remove(ctx, r.name)
}

// removeAll removes several at once: a bucket takes its time for each.
func removeAll(ctx context.Context, b Bucket, names []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, name := range names {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return b.Remove(ctx, name)
		})
	}
	return g.Wait()
}

// below is a name below the root for one below the version's folder, as notes
// have it.
func below(name string) string { return path.Join(layout, name) }

func tableOf(name string) string {
	table, _, _ := strings.Cut(name, "/")
	return table
}

func nameInNote(name string) string { return strings.TrimPrefix(name, layout+"/") }
