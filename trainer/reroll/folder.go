package reroll

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/internal/dataset"
)

// PolicyFile says in the folder of a dataset of rollouts whose they are.
const PolicyFile = "reroll.json"

// claim makes the folder, or checks that it holds rollouts of the same policy.
func claim(out string, p Policy) error {
	if bucket.IsURL(out) {
		return fmt.Errorf("write rollouts to %s: they are written to a folder: name one", out)
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", PolicyFile, err)
	}
	text = append(text, '\n')
	path := filepath.Join(out, PolicyFile)
	old, err := os.ReadFile(path)
	switch {
	case err == nil && !bytes.Equal(old, text):
		return fmt.Errorf("write rollouts to %s: it holds rollouts of another model, seed or sampling (%s): name another folder", out, PolicyFile)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("write rollouts to %s: %w", out, err)
	}
	if files, _ := dataset.Files(out, dataset.TableTrajectories); len(files) > 0 {
		return fmt.Errorf("write rollouts to %s: it holds a dataset that is not of rollouts: name another folder", out)
	}
	if err = os.MkdirAll(out, 0o750); err == nil {
		tmp := path + ".tmp"
		if err = os.WriteFile(tmp, text, 0o640); err == nil { //nolint:gosec // as the dataset's files
			err = os.Rename(tmp, path)
		}
	}
	if err != nil {
		return fmt.Errorf("write rollouts to %s: %w", out, err)
	}
	return nil
}

// rolloutsOf are the ids of the rollouts in a dataset.
func rolloutsOf(out string) (map[string]bool, error) {
	files, err := dataset.Files(out, dataset.TableTrajectories)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read rollouts of %s: %w", out, err)
	}
	have := map[string]bool{}
	for _, path := range files {
		if err := idsOf(path, have); err != nil {
			return nil, fmt.Errorf("read rollouts: %s: %w: move the file away, its rollouts are asked for again", path, err)
		}
	}
	return have, nil
}

type idRow struct {
	ID string `parquet:"trajectory_id"`
}

func idsOf(path string, into map[string]bool) error {
	return dataset.ReadFile(path, func(row *idRow) { into[row.ID] = true })
}
