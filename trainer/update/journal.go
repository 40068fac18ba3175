package update

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// Step is an optimizer step that was taken, or the one that a stop rule
// prevented: then Stop says why, and the policy is that of the step before.
type Step struct {
	Step         int          `json:"step"` // from 1
	Of           int          `json:"of"`
	Epoch        int          `json:"epoch"` // from 1
	Rollouts     int          `json:"rollouts"`
	Tokens       int          `json:"tokens"`         // generated, trained on
	Loss         float64      `json:"loss"`           // normalised
	Moved        float64      `json:"moved"`          // KL(old ‖ now) before the step, nats per token
	KL           *float64     `json:"kl"`             // from the base model; null = not computed
	ESS          *float64     `json:"ess"`            // effective sample size, as a share of the tokens with recorded log-probabilities; null = there are none
	ClipFraction float64      `json:"clip_fraction"`  //
	ValueLoss    *float64     `json:"value_loss"`     // of the critic; null = none
	Metrics      grpo.Metrics `json:"metrics"`        // the sums that the above are from
	Seconds      float64      `json:"seconds"`        // wall clock
	PerSecond    float64      `json:"tokens_per_s"`   // tokens of rows, prompts included, per second
	Stop         string       `json:"stop,omitempty"` // why the step was not taken
	Checkpoint   string       `json:"checkpoint,omitempty"`
}

// head is the first line of a journal.
type head struct {
	Version int    `json:"version"` // 1
	Inputs  string `json:"inputs"`  // hash of all that the steps depend on
	Started int    `json:"started"` // how often the update was begun or gone on with
}

// Journal is the metrics.jsonl of a run: a head, then a line for each step, each
// durable before the next step begins. It is owned by one goroutine.
type Journal struct {
	path  string
	head  head
	Steps []Step
}

// OpenJournal reads the journal at path, or begins one if there is none, or if
// the one there is about other inputs. A last line that was cut by a crash is
// dropped, and so are the steps after the last checkpoint: their policy is lost,
// and they will be taken again.
func OpenJournal(path, inputs string) (*Journal, error) {
	j := &Journal{path: path, head: head{Version: 1, Inputs: inputs}}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j.read(text, inputs)
	j.head.Started++
	return j, j.rewrite()
}

func (j *Journal) read(text []byte, inputs string) {
	first, rest, found := bytes.Cut(text, []byte("\n"))
	var h head
	if !found || json.Unmarshal(first, &h) != nil || h.Version != 1 || h.Inputs != inputs {
		return
	}
	j.head = h
	for {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		var s Step
		if !whole || json.Unmarshal(line, &s) != nil || s.Step != len(j.Steps)+1 {
			break
		}
		j.Steps, rest = append(j.Steps, s), after
	}
	for n := len(j.Steps); n > 0 && j.Steps[n-1].Checkpoint == "" && j.Steps[n-1].Stop == ""; n-- {
		j.Steps = j.Steps[:n-1]
	}
}

// ReadSteps are the steps of the journal at path; nothing is changed.
func ReadSteps(path string) ([]Step, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var h head
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if err := json.Unmarshal(first, &h); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	j := &Journal{}
	j.read(text, h.Inputs)
	return j.Steps, nil
}

// Checkpoint is the latest, "" if there is none.
func (j *Journal) Checkpoint() string {
	for i := len(j.Steps) - 1; i >= 0; i-- {
		if c := j.Steps[i].Checkpoint; c != "" {
			return c
		}
	}
	return ""
}

// Name is a name for the checkpoint of a step that none before had: servers
// refuse to save under the same name twice.
func (j *Journal) Name(run string, step int) string {
	return fmt.Sprintf("%s-%06d-%d", run, step, j.head.Started)
}

func (j *Journal) rewrite() error {
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	err := lines.Encode(j.head)
	for i := range j.Steps {
		err = errors.Join(err, lines.Encode(&j.Steps[i]))
	}
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	tmp := j.path + ".tmp"
	if err := write(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, out.Bytes()); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if err := os.Rename(tmp, j.path); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// add appends a step; when it returns, the step is durable.
func (j *Journal) add(s Step) error {
	line, err := json.Marshal(s)
	if err == nil {
		err = write(j.path, os.O_APPEND|os.O_WRONLY, append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.Steps = append(j.Steps, s)
	return nil
}

func write(path string, flag int, text []byte) error {
	f, err := os.OpenFile(path, flag, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}
