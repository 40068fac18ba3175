package query

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// leaveOut takes the files that cannot be read out of the views, each with the
// rest of its set: a trajectory without its steps would look like one that has
// none. say is called for each such file.
func (db *DB) leaveOut(ctx context.Context, say func(file string, err error)) error {
	sets := map[string]bool{}
	for _, table := range dataset.Tables {
		if _, err := db.checkFiles(ctx, table); err == nil {
			continue
		}
		for _, file := range db.files[table] {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := db.checkColumns(ctx, table, file); err != nil {
				sets[filepath.Base(file)] = true
				say(file, err)
			}
		}
	}
	if len(sets) == 0 {
		return nil
	}
	for _, table := range dataset.Tables {
		db.files[table] = slices.DeleteFunc(slices.Clone(db.files[table]), func(file string) bool { return sets[filepath.Base(file)] })
	}
	return nil
}
