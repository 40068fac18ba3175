package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// sweeper checks the file sets of a dataset while it is written, and removes
// them: ten million spans would fill the disk. A set is whole when its file of
// trajectories is there.
type sweeper struct {
	lab     *lab
	out     string
	seen    map[[16]byte]bool // ids of trajectories
	samples []sample
	table   io.Writer // takes a line for each sample as it comes
}

func newSweeper(l *lab, out string, table io.Writer) *sweeper {
	return &sweeper{lab: l, out: out, table: table, seen: map[[16]byte]bool{}}
}

// sweep takes what is there.
func (s *sweeper) sweep() error {
	commits, err := filepath.Glob(filepath.Join(s.out, "v*", dataset.TableTrajectories, "*", "*.parquet"))
	for _, f := range commits {
		err = errors.Join(err, s.take(f))
	}
	return err
}

func (s *sweeper) take(commit string) error {
	list, err := parquet.ReadFile[counted](commit)
	if err != nil {
		return fmt.Errorf("check %s: %w", commit, err)
	}
	for _, t := range list {
		var id [16]byte
		if n, err := hex.Decode(id[:], []byte(t.ID)); err != nil || n != len(id) {
			return fmt.Errorf("check %s: %q is no id of a trajectory", commit, t.ID)
		}
		if s.seen[id] || !s.lab.whole(t) {
			return fmt.Errorf("%s: a trajectory is there twice or not whole: %+v", commit, t)
		}
		s.seen[id] = true
	}
	day, name := filepath.Base(filepath.Dir(commit)), filepath.Base(commit)
	files, err := filepath.Glob(filepath.Join(s.out, "v*", "*", day, name))
	if err != nil {
		return err
	}
	for _, f := range files {
		if filepath.Base(filepath.Dir(filepath.Dir(f))) == dataset.TableSteps {
			steps, err := rowsOf(f)
			if want := int64(len(list) * (s.lab.shape.Calls + s.lab.shape.ToolRuns())); err != nil || steps != want {
				return errors.Join(err, fmt.Errorf("%s has %d steps, want %d", f, steps, want))
			}
		}
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}

// finish takes the rest and says whether all trajectories came.
func (s *sweeper) finish() error {
	if err := s.sweep(); err != nil {
		return err
	}
	if len(s.seen) != s.lab.trajectories() {
		return fmt.Errorf("the dataset had %d trajectories, want %d", len(s.seen), s.lab.trajectories())
	}
	return nil
}
