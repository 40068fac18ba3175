package dataset

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
)

// part is one committed file, taken apart by its path.
type part struct {
	table, day, writer, batch string
	path                      string
	bytes                     int64
}

// partOf is false for paths that no writer of ours makes.
func partOf(table, path string) (part, bool) {
	day, ok := strings.CutPrefix(filepath.Base(filepath.Dir(path)), "date=")
	name := strings.TrimSuffix(filepath.Base(path), fileExt)
	cut := len(name) - ulid.EncodedSize - 1
	if !ok || cut < 1 || name[cut] != '-' {
		return part{}, false
	}
	if _, err := ulid.ParseStrict(name[cut+1:]); err != nil {
		return part{}, false
	}
	return part{table: table, day: day, writer: name[:cut], batch: name[cut+1:], path: path}, true
}

// partsOf lists the files of all tables that writers of ours made. Trajectories
// are listed first: of a set that is committed meanwhile nothing is taken for whole.
func partsOf(root string) (map[string][]part, error) {
	parts := map[string][]part{}
	for _, table := range slices.Backward(Tables) {
		files, err := Files(root, table)
		if err != nil {
			return nil, err
		}
		for _, path := range files {
			p, ok := partOf(table, path)
			if !ok {
				continue
			}
			info, err := os.Stat(path)
			if err != nil {
				continue // removed meanwhile
			}
			p.bytes = info.Size()
			parts[table] = append(parts[table], p)
		}
	}
	return parts, nil
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
