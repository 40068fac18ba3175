package trainer

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tracegrad/tracegrad/trainer/sequence"
	"github.com/tracegrad/tracegrad/trainer/update"
)

// Estimate is what an update will take.
type Estimate struct {
	Rollouts int      `json:"rollouts"`
	Tokens   int      `json:"tokens"`  // of their rows, prompts included
	Trained  int      `json:"trained"` // generated, trained on
	Longest  int      `json:"longest"` // row
	Steps    int      `json:"steps"`   // optimizer steps
	Seconds  *float64 `json:"seconds"` // null = not known, see Basis
	Basis    string   `json:"basis"`   // what the seconds rest on
	Memory   *int64   `json:"memory"`  // bytes; null = not known: the engine is on another machine
	Model    int64    `json:"model"`   // bytes of the base model's files; 0 = unknown
}

// A step is a forward pass, and one with gradients: about three in arithmetic.
const (
	forwardCost = 1
	stepCost    = 4
)

// estimate tries the engine on a few rows, and takes it from there.
func (n *adapterNight) estimate(ctx context.Context, s sequences) (*Estimate, error) {
	rollouts := 0
	for i := range s.Rows {
		if s.Rows[i].Split == Train {
			rollouts++
		}
	}
	c := n.Config.Adapter
	all := s.Head.Tokens + s.Head.Holdout.Tokens
	e := &Estimate{Rollouts: rollouts, Tokens: s.Head.Tokens, Trained: s.Head.Trained, Longest: s.Head.Longest, Basis: "no measurement"}
	perEpoch := (rollouts + c.StepRollouts - 1) / c.StepRollouts
	e.Steps = perEpoch * c.Epochs
	e.Memory, e.Model = memory(n.server.About().Folder, min(c.BatchTokens, workerTokens), s.Head.Longest, c.LoRA.Rank)
	work := 2*forwardCost*float64(all) + stepCost*float64(s.Head.Tokens*c.Epochs) // before, steps, after
	if last := n.ledger.last(); last != nil && last.PerSecond > 0 && last.BaseModel == c.BaseModel {
		seconds := work / stepCost / last.PerSecond
		e.Seconds, e.Basis = &seconds, "the speed of run "+last.Run
		return e, nil
	}
	speed, err := n.probe(ctx, s)
	if err != nil {
		return nil, err
	}
	if speed > 0 {
		seconds := work / forwardCost / speed
		e.Seconds, e.Basis = &seconds, "a forward pass over a few rows"
	}
	return e, nil
}

// probeTokens is how many tokens a probe is made of, unless one row has more.
const probeTokens = 2048

// probe is the tokens per second of a forward pass over a few rollouts.
func (n *adapterNight) probe(ctx context.Context, s sequences) (float64, error) {
	start, err := n.start()
	if err != nil {
		return 0, err
	}
	model, err := n.at(ctx, start)
	if err != nil {
		return 0, err
	}
	var part []*sequence.Rollout
	tokens := 0
	for i := range s.Rows {
		if tokens += sizeOf(s.Rows[i].Rollout); len(part) > 0 && tokens > probeTokens {
			tokens -= sizeOf(s.Rows[i].Rollout)
			break
		}
		part = append(part, s.Rows[i].Rollout)
	}
	if _, _, err := update.Forward(ctx, model, part[:1], false); err != nil { // what comes once is not measured
		return 0, engineTrouble(err)
	}
	began := n.clock()
	if _, _, err := update.Forward(ctx, model, part, false); err != nil {
		return 0, engineTrouble(err)
	}
	seconds := n.clock().Sub(began).Seconds()
	if seconds <= 0 {
		return 0, nil
	}
	return float64(tokens) / seconds, nil
}

// workerTokens is the worker's micro-batch on a CPU.
const workerTokens = 1024

// The worker before it has a model, and the logits that it holds at once.
const (
	workerBytes  = 470 << 20
	workerLogits = 1 << 25
)

// memory is a rough measure for our worker: Python and torch, the weights in
// float32, the adapter with gradient and two moments, what a micro-batch keeps
// for the way back, and logits with their gradients. Peaks that were measured on
// a CPU: 478 MB with a model of 0.4 MB, 785 MB with the benchmark's; a process
// on a GPU differs. nil if the model is not on this machine.
func memory(folder string, batch, longest, rank int) (bytes *int64, model int64) {
	text, err := os.ReadFile(filepath.Join(folder, "config.json"))
	if folder == "" || err != nil {
		return nil, 0
	}
	var shape struct {
		Hidden       int64  `json:"hidden_size"`
		Intermediate int64  `json:"intermediate_size"`
		Layers       int64  `json:"num_hidden_layers"`
		Vocabulary   int64  `json:"vocab_size"`
		Type         string `json:"torch_dtype"`
		NewType      string `json:"dtype"`
	}
	if json.Unmarshal(text, &shape) != nil || shape.Hidden <= 0 || shape.Layers <= 0 || shape.Hidden > 1<<20 || shape.Layers > 1<<12 || shape.Intermediate > 1<<22 || shape.Vocabulary > 1<<24 {
		return nil, 0
	}
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && (strings.HasSuffix(path, ".safetensors") || strings.HasSuffix(path, ".bin")) {
			if info, err := d.Info(); err == nil {
				model += info.Size()
			}
		}
		return nil
	})
	weights := model
	if strings.Contains(shape.Type+shape.NewType, "16") {
		weights *= 2 // a CPU trains in float32
	}
	adapter := 16 * int64(rank) * shape.Layers * (11*shape.Hidden + 3*shape.Intermediate)
	kept := int64(max(batch, longest)) * shape.Layers * 4 * (6*shape.Hidden + 3*shape.Intermediate)
	logits := 3 * 4 * min(workerLogits, int64(max(batch, longest))*max(shape.Vocabulary, 0))
	total := workerBytes + weights + adapter + kept + logits
	return &total, model
}
