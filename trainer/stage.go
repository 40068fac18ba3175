package trainer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Manifest is run.json: what a run is and what its stages were made from.
type Manifest struct {
	Version int       `json:"version"` // 1
	ID      string    `json:"id"`
	Now     time.Time `json:"now"` // the run's clock: windows and ages are counted from it, also when it is resumed
	Config  Config    `json:"config"`
	Stages  []Stage   `json:"stages"`
	Starts  int       `json:"starts,omitempty"` // of an adapter night: how often it was begun or gone on with
	Ended   string    `json:"ended,omitempty"`  // of an adapter night: done, or failed; "" = it can go on

	Stuck   int    `json:"stuck,omitempty"`    // of an adapter night: how often trouble with its engine ended it at one place
	StuckAt string `json:"stuck_at,omitempty"` // the place: stages and steps that are done
}

// Stage is a finished stage.
type Stage struct {
	Name     string `json:"name"`
	Inputs   string `json:"inputs"`   // hash of what it was made from
	Artifact string `json:"artifact"` // file in the run's directory
	Digest   string `json:"digest"`   // SHA-256 of the artifact
}

// run is a run going on.
type run struct {
	Manifest
	dir      string
	progress func(Event)
	clock    func() time.Time
	last     string // digest of the latest artifact: the chain of inputs
}

const manifestFile = "run.json"

// startRun makes runs/<id>/, or opens the one to be resumed.
func startRun(c Config, opt Options) (*run, error) {
	r := &run{clock: opt.now}
	r.progress = func(e Event) {
		if e.ID = r.ID; opt.Progress != nil {
			opt.Progress(e)
		}
	}
	if opt.Resume != "" {
		return r, r.resume(c, opt.Resume)
	}
	now := opt.now().UTC().Truncate(time.Millisecond)
	r.Manifest = Manifest{Version: 1, Now: now, Config: c}
	for n := 1; ; n++ {
		r.ID = now.Format("20060102T150405Z")
		if n > 1 {
			r.ID += fmt.Sprintf("-%d", n)
		}
		r.dir = filepath.Join(c.Runs, r.ID)
		err := os.Mkdir(r.dir, 0o750)
		if err == nil {
			return r, r.save()
		}
		if !errors.Is(err, fs.ErrExist) || n == 1000 {
			return nil, fmt.Errorf("make run directory: %w", err)
		}
	}
}

// resume opens a run by its id, or the latest by "last". The config may have
// changed since: hashes decide what is run again.
func (r *run) resume(c Config, id string) error {
	if id == "last" {
		found, err := filepath.Glob(filepath.Join(c.Runs, "*", manifestFile))
		if err != nil || len(found) == 0 {
			return fmt.Errorf("resume run: there is none in %s", c.Runs)
		}
		slices.Sort(found)
		id = filepath.Base(filepath.Dir(found[len(found)-1]))
	}
	r.dir = filepath.Join(c.Runs, id)
	var err error
	if r.Manifest, err = readManifest(r.dir); err != nil {
		return fmt.Errorf("resume run %s: %w", id, err)
	}
	r.Config = c
	return r.save()
}

func readManifest(dir string) (m Manifest, err error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return m, err
	}
	if json.Unmarshal(text, &m) != nil || m.Version != 1 {
		return m, fmt.Errorf("%s is broken: start a new run", manifestFile)
	}
	return m, nil
}

func (r *run) save() error {
	text, err := readable(r.Manifest)
	if err != nil {
		return fmt.Errorf("write %s: %w", manifestFile, err)
	}
	return writeFile(filepath.Join(r.dir, manifestFile), text)
}

// digestOf names the artifact of a stage that is done; "" if it is not.
func (r *run) digestOf(name string) string {
	for _, s := range r.Stages {
		if s.Name == name {
			return s.Digest
		}
	}
	return ""
}

// artifact is what a stage makes: a head, and rows if it has many of a kind.
type artifact[H, R any] struct {
	Head H
	Rows []R
}

// none is the type of the rows of stages that have none.
type none struct{}

// stage runs work, unless its artifact is there for the same inputs. inputs is
// what it depends on besides the artifact before it.
func stage[H, R any](r *run, name string, inputs any, work func() (artifact[H, R], error)) (artifact[H, R], error) {
	fail := func(err error) (artifact[H, R], error) { return artifact[H, R]{}, fmt.Errorf("%s: %w", name, err) }
	key, err := json.Marshal([]any{"tracegrad stage v2", name, r.last, inputs})
	if err != nil {
		return fail(err)
	}
	at := slices.IndexFunc(r.Stages, func(s Stage) bool { return s.Name == name })
	if at >= 0 && r.Stages[at].Inputs == digest(key) {
		if a, err := readArtifact[H, R](r, r.Stages[at]); err == nil {
			r.last = r.Stages[at].Digest
			r.progress(Event{Stage: name, State: Reused})
			return a, nil
		}
	}
	r.progress(Event{Stage: name, State: Started})
	a, err := work()
	if err != nil {
		return fail(err)
	}
	text, ext, err := encode(a)
	if err != nil {
		return fail(err)
	}
	s := Stage{Name: name, Inputs: digest(key), Digest: digest(text), Artifact: name + ext}
	if err := writeFile(filepath.Join(r.dir, s.Artifact), text); err != nil {
		return fail(err)
	}
	if at >= 0 {
		r.Stages[at] = s
	} else {
		r.Stages = append(r.Stages, s)
	}
	r.last = s.Digest
	r.progress(Event{Stage: name, State: Done})
	return a, r.save()
}

// encode writes JSON for people, or, for rows, JSON lines with the head first.
func encode[H, R any](a artifact[H, R]) (text []byte, ext string, err error) {
	if _, small := any(a.Rows).([]none); small {
		text, err = readable(a.Head)
		return text, ".json", err
	}
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	lines.SetEscapeHTML(false)
	err = lines.Encode(a.Head)
	for i := range a.Rows {
		err = errors.Join(err, lines.Encode(a.Rows[i]))
	}
	return out.Bytes(), ".jsonl", err
}

// readable is indented JSON with < and > as they are.
func readable(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return out.Bytes(), err
}

func readArtifact[H, R any](r *run, s Stage) (a artifact[H, R], err error) {
	text, err := os.ReadFile(filepath.Join(r.dir, s.Artifact))
	if err != nil {
		return a, err
	}
	if digest(text) != s.Digest {
		return a, errors.New("it was changed")
	}
	lines := json.NewDecoder(bufio.NewReader(bytes.NewReader(text)))
	if err := lines.Decode(&a.Head); err != nil {
		return a, err
	}
	for lines.More() {
		var row R
		if err := lines.Decode(&row); err != nil {
			return a, err
		}
		a.Rows = append(a.Rows, row)
	}
	return a, nil
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// writeFile replaces a file whole or not at all.
func writeFile(path string, text []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return os.Rename(tmp, path)
}
