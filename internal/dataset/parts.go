package dataset

import (
	"cmp"
	"context"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
)

// part is one committed file, taken apart by its name.
type part struct {
	table, day, writer, batch string
	name                      string // below the root
	bytes                     int64
}

// partOf is false for names that no writer of ours makes.
func partOf(table string, o Object) (part, bool) {
	day, ok := strings.CutPrefix(path.Base(path.Dir(o.Name)), "date=")
	name := strings.TrimSuffix(path.Base(o.Name), fileExt)
	cut := len(name) - ulid.EncodedSize - 1
	if !ok || cut < 1 || name[cut] != '-' {
		return part{}, false
	}
	if _, err := ulid.ParseStrict(name[cut+1:]); err != nil {
		return part{}, false
	}
	return part{table: table, day: day, writer: name[:cut], batch: name[cut+1:], name: o.Name, bytes: o.Bytes}, true
}

// IsFile reports whether a name below a dataset's root, with slashes, is that of
// a file that readers of its tables read, and stays below the root.
func IsFile(name string) bool {
	if path.Ext(name) != fileExt || !filepath.IsLocal(filepath.FromSlash(name)) {
		return false
	}
	for _, segment := range strings.Split(name, "/") {
		if segment == "" || strings.ContainsAny(segment[:1], "._") {
			return false
		}
	}
	return true
}

// filesOf lists the committed files of a table.
func filesOf(ctx context.Context, b Bucket, table string) ([]Object, error) {
	list, err := b.List(ctx, path.Join(layout, table)+"/")
	return slices.DeleteFunc(list, func(o Object) bool { return !IsFile(o.Name) }), err
}

// partsOf lists the files of all tables that writers of ours made, and the
// others. Trajectories are listed first: of a set that is committed meanwhile
// nothing is taken for whole.
func partsOf(ctx context.Context, b Bucket) (parts map[string][]part, strange []Object, err error) {
	parts = map[string][]part{}
	for _, table := range slices.Backward(Tables) {
		files, err := filesOf(ctx, b, table)
		if err != nil {
			return nil, nil, err
		}
		for _, o := range files {
			if p, ok := partOf(table, o); ok {
				parts[table] = append(parts[table], p)
			} else {
				strange = append(strange, o)
			}
		}
	}
	return parts, strange, nil
}

// bytesOf are the files' sizes by name.
func bytesOf(parts map[string][]part) map[string]int64 {
	there := map[string]int64{}
	for _, list := range parts {
		for _, p := range list {
			there[p.name] = p.bytes
		}
	}
	return there
}

// lot is what may be merged: what one writer wrote of one day. Its sets are
// those of one family, in order of their batches.
type lot struct {
	day, writer string
	family      []string // tables whose rows share a batch
	sets        []set
}

// set is the parts of one batch.
type set struct {
	batch string
	parts []part
	bytes int64
}

// families are the tables that are merged together. Rewards and facts are not
// tied to the batch that they came with.
var families = [][]string{{TableMessages, TableSteps, TableTrajectories}, {TableRewards}, {TableFacts}}

// lotsOf groups files. Messages and steps without their trajectories are on
// their way, or were left behind: they are in no lot.
func lotsOf(parts map[string][]part) []lot {
	type key struct {
		day, writer string
		family      int
	}
	sets := map[key]map[string]*set{}
	for i, family := range families {
		for _, table := range slices.Backward(family) { // what commits the others comes first
			for _, p := range parts[table] {
				k := key{p.day, p.writer, i}
				s := sets[k][p.batch]
				if s == nil && table != family[len(family)-1] {
					continue
				}
				if sets[k] == nil {
					sets[k] = map[string]*set{}
				}
				if s == nil {
					s = &set{batch: p.batch}
					sets[k][p.batch] = s
				}
				s.parts = append(s.parts, p)
				s.bytes += p.bytes
			}
		}
	}
	var lots []lot
	for k, byBatch := range sets {
		l := lot{day: k.day, writer: k.writer, family: families[k.family]}
		for _, s := range byBatch {
			l.sets = append(l.sets, *s)
		}
		slices.SortFunc(l.sets, func(a, b set) int { return strings.Compare(a.batch, b.batch) })
		lots = append(lots, l)
	}
	slices.SortFunc(lots, func(a, b lot) int {
		return cmp.Or(strings.Compare(a.day, b.day), strings.Compare(a.writer, b.writer), strings.Compare(a.family[0], b.family[0]))
	})
	return lots
}
