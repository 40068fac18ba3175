package backfill

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// state is what is kept of an import between its start and its end, in a
// folder of its own beside the tables of the dataset: runs, and state.json,
// which says up to where the files are in them. Of one that is done the report
// is kept.
//
// It is named after the files: their paths, sizes and times. With another one
// it begins anew.
type state struct {
	dir  string
	keep bool // when the import ends before it is done

	Version string    `json:"version"` // of the program
	Writer  string    `json:"writer"`
	Inputs  []input   `json:"inputs"`
	Since   time.Time `json:"since"` // what was committed before does not count, with Again
	Runs    []string  `json:"runs"`
	Pieces  int       `json:"pieces"` // in the runs
	File    int       `json:"file"`   // the next one to read
	Record  int       `json:"record"` // of it these are in the runs
	Counted *Report   `json:"counted,omitempty"`
	Last    [3]int64  `json:"last"`
	Done    *Report   `json:"done,omitempty"`
}

const stateFile = "state.json"

func openState(opt Options, local string, inputs []input) (*state, error) {
	s := &state{Version: opt.Version, Writer: opt.Writer, Since: opt.Now().UTC()}
	for _, in := range inputs {
		abs, err := filepath.Abs(in.Path)
		if err != nil {
			return nil, fmt.Errorf("open file: %w", err)
		}
		in.Path = abs
		s.Inputs = append(s.Inputs, in)
	}
	if opt.DryRun {
		dir, err := os.MkdirTemp("", "tracegrad-import-")
		if err != nil {
			return nil, fmt.Errorf("make a folder for runs: %w", err)
		}
		s.dir = dir
		return s, nil
	}
	root := dataset.ImportDir(local)
	s.dir = filepath.Join(root, s.name(opt))
	s.keep = true
	s.removeStale(root)
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return nil, fmt.Errorf("make a folder for runs: %w", err)
	}
	return s, s.load(opt)
}

// name is the same for the same import.
func (s *state) name(opt Options) string {
	b, _ := json.Marshal([]any{s.Inputs, opt.Writer, opt.Key, opt.Read.TaskKey, opt.Read.Tenant, opt.Read.Attributes}) // texts and numbers: cannot fail
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// load takes over what an earlier import left.
func (s *state) load(opt Options) error {
	data, err := os.ReadFile(filepath.Join(s.dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state of the import: %w", err)
	}
	var old state
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&old); err != nil || old.Version != s.Version || old.Done != nil && opt.Again {
		return s.clear()
	}
	for _, name := range old.Runs {
		if name != filepath.Base(name) {
			return s.clear()
		}
		if _, err := os.Stat(filepath.Join(s.dir, name)); err != nil {
			return s.clear()
		}
	}
	old.dir, old.keep, old.Inputs = s.dir, s.keep, s.Inputs
	*s = old
	return nil
}

// clear removes runs that are of no use.
func (s *state) clear() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove old runs: %w", err)
	}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return fmt.Errorf("make a folder for runs: %w", err)
	}
	return nil
}

// save makes what was spilled count.
func (s *state) save() error {
	if !s.keep {
		return nil
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, stateFile)
	if err := writeFile(path+".tmp", data); err != nil {
		return fmt.Errorf("write state of the import: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write state of the import: %w", err)
	}
	return nil
}

func writeFile(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// finish removes the runs and keeps the report.
func (s *state) finish(r *Report) error {
	if !s.keep {
		return nil
	}
	runs := s.Runs
	s.Done, s.Runs, s.Counted = r, nil, nil
	if err := s.save(); err != nil {
		return err
	}
	var errs []error
	for _, name := range runs {
		errs = append(errs, os.Remove(filepath.Join(s.dir, name)))
	}
	return errors.Join(errs...)
}

// close removes what nobody will go on with.
func (s *state) close() error {
	if s.keep && s.saved() {
		return nil
	}
	return os.RemoveAll(s.dir)
}

func (s *state) saved() bool {
	_, err := os.Stat(filepath.Join(s.dir, stateFile))
	return err == nil
}

// removeStale removes what is left of imports whose files have changed or are
// gone: nothing can go on with it. Other writers may be at work.
func (s *state) removeStale(root string) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return
	}
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		data, err := os.ReadFile(filepath.Join(dir, stateFile))
		var old state
		if dir == s.dir || err != nil || json.Unmarshal(data, &old) != nil || old.Writer != s.Writer {
			continue
		}
		for _, in := range old.Inputs {
			info, err := os.Stat(in.Path)
			if errors.Is(err, fs.ErrNotExist) || err == nil && (info.Size() != in.Size || info.ModTime().UnixNano() != in.Modified) {
				_ = os.RemoveAll(dir) // the next import tries again
				break
			}
		}
	}
}
