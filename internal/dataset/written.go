package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// WrittenTrajectories visits the id and revision of every trajectory that the
// writer of the given name has committed to the dataset at root since a time
// (the zero time: ever). A dataset that is not there yet has none.
func WrittenTrajectories(root, writer string, since time.Time, visit func(id string, revision int64)) error {
	type row struct {
		TrajectoryID string `parquet:"trajectory_id"`
		Revision     int64  `parquet:"revision"`
	}
	return written(root, TableTrajectories, writer, since, func(r *row) { visit(r.TrajectoryID, r.Revision) })
}

// WrittenFacts visits the id of every fact, like WrittenTrajectories.
func WrittenFacts(root, writer string, since time.Time, visit func(id string)) error {
	type row struct {
		FactID string `parquet:"fact_id"`
	}
	return written(root, TableFacts, writer, since, func(r *row) { visit(r.FactID) })
}

func written[T any](root, table, writer string, since time.Time, visit func(*T)) error {
	paths, err := Files(root, table)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, path := range paths {
		if !writtenBy(filepath.Base(path), SafeName(writer), since) {
			continue
		}
		if err := ReadFile(path, visit); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	return nil
}

// writtenBy says whether a file is of a writer and a batch that is not older.
func writtenBy(name, writer string, since time.Time) bool {
	batch, ok := strings.CutPrefix(strings.TrimSuffix(name, fileExt), writer+"-")
	if !ok {
		return false
	}
	id, err := ulid.ParseStrict(batch)
	return err == nil && (since.IsZero() || id.Time() >= ulid.Timestamp(since))
}
