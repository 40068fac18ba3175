package trainer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"

	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/sequence"
	"github.com/tracegrad/tracegrad/trainer/update"
	"github.com/tracegrad/tracegrad/trainer/worker"
)

// keyVariable names the environment variable with the key of adapter.engine.
const keyVariable = "TRACEGRAD_ENGINE_KEY"

// checkpointsDir is where our worker keeps the states of all runs of a runs
// directory.
const checkpointsDir = "checkpoints"

// tinker is a Server of the Tinker training protocol.
type tinker struct {
	config    Config
	client    *engine.Client
	worker    *worker.Worker     // nil: the server is somebody else's
	tokenizer sequence.Tokenizer // nil = none
	about     About
}

// Engine opens the engine that a config names, or starts our worker; log gets
// what the worker prints, nil = nowhere.
func Engine(log io.Writer) EngineFor {
	return func(ctx context.Context, c Config) (Server, error) {
		a := c.Adapter
		options := engine.Options{Key: os.Getenv(keyVariable), Tokens: a.BatchTokens}
		t := &tinker{config: c, about: About{BaseModel: a.BaseModel, URL: a.Engine}}
		url := a.Engine
		if url == "" {
			var err error
			if t.worker, err = worker.Start(ctx, worker.Options{
				Model: cmp.Or(a.Folder, a.BaseModel), Name: a.BaseModel, Checkpoints: filepath.Join(c.Runs, checkpointsDir), Log: log,
			}); err != nil {
				return nil, err
			}
			url, options.Key, t.tokenizer = t.worker.URL(), t.worker.Token(), t.worker
			t.about.Folder = folderOf(cmp.Or(a.Folder, a.BaseModel))
		}
		if err := t.dial(ctx, url, options); err != nil {
			return nil, errors.Join(err, t.Close())
		}
		return t, nil
	}
}

func (t *tinker) dial(ctx context.Context, url string, o engine.Options) (err error) {
	if t.client, err = engine.Dial(ctx, url, o); err != nil {
		return err
	}
	said := t.client.Capabilities()
	t.about.Vocabulary, t.about.Tokenizer, t.about.Fingerprint = said.Vocabulary, said.Tokenizer, said.Fingerprint
	t.about.Context = said.Context
	if t.about.Server = fmt.Sprintf("a server of the Tinker protocol (%s)", said.Wire); said.Worker {
		t.about.Server = "tracegrad's worker on " + said.Device
	}
	return nil
}

// folderOf is a folder of this machine, or "".
func folderOf(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	return ""
}

func (t *tinker) About() About { return t.about }

func (t *tinker) Tokenizer() sequence.Tokenizer { return t.tokenizer }

// savedName is the name of what a run saved: the run, and what follows it. What
// a worker that was killed did not finish has a name of its own.
var savedName = regexp.MustCompile(`^(\.partial-)?(.+)-(?:\d{6}|adapter)-\d+$`)

// Tidy removes folders of our worker. What other servers keep is their matter.
func (t *tinker) Tidy(needed func(run, name string) bool) error {
	if t.worker == nil {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(t.config.Runs, checkpointsDir, "*", "*", "*"))
	if err != nil {
		return fmt.Errorf("remove checkpoints: %w", err)
	}
	for _, dir := range found {
		name := savedName.FindStringSubmatch(filepath.Base(dir))
		if name == nil || (name[1] == "" && needed(name[2], name[0])) {
			continue
		}
		err = errors.Join(err, os.RemoveAll(dir))
		_ = os.Remove(filepath.Dir(dir)) // if it is empty now
		_ = os.Remove(filepath.Dir(filepath.Dir(dir)))
	}
	return err
}

func (t *tinker) Close() error {
	var err error
	if t.client != nil {
		err = t.client.Close()
	}
	if t.worker != nil {
		err = errors.Join(err, t.worker.Close())
	}
	return err
}

// Open makes a model. Its random half follows from the config's seed, so that a
// night can be done again.
func (t *tinker) Open(ctx context.Context, state string) (Trainee, error) {
	l := t.config.Adapter.LoRA
	critic := t.config.Algorithm.recipe().Critic
	spec := engine.Spec{
		Base: t.config.Adapter.BaseModel, Rank: l.Rank, Alpha: l.alpha(), Targets: l.Targets,
		Seed: int64(t.config.Seed & math.MaxInt64), From: state, Critic: critic,
		Temperature: t.config.Adapter.Temperature,
	}
	if l.Alpha == 0 && !t.client.Capabilities().Worker {
		spec.Alpha = 0 // others cannot be asked for one
	}
	var model *engine.Model
	err := t.with(ctx, func(ctx context.Context) (err error) {
		model, err = t.client.CreateModel(ctx, spec)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &trainee{t, model}, nil
}

var errWorkerEnded = errors.New("the worker is gone")

// with does work on the server. Our worker does not come back once it ended: it
// is not waited for, and why it ended is part of the error.
func (t *tinker) with(ctx context.Context, work func(context.Context) error) error {
	if t.worker == nil {
		return work(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-t.worker.Done():
			cancel(errWorkerEnded)
		case <-ctx.Done():
		}
	}()
	if err := work(ctx); err != nil {
		return errors.Join(err, t.worker.Err())
	}
	return nil
}

// trainee is a model of a tinker.
type trainee struct {
	*tinker
	model *engine.Model
}

func (m *trainee) Forward(ctx context.Context, rows []engine.Row) (out []engine.Output, err error) {
	err = m.with(ctx, func(ctx context.Context) error {
		out, err = m.model.Forward(ctx, rows)
		return err
	})
	return out, err
}

func (m *trainee) Step(ctx context.Context, passes []update.Pass, adam engine.Adam) error {
	return m.with(ctx, func(ctx context.Context) error {
		for _, p := range passes {
			if _, err := m.model.ForwardBackward(ctx, p.Rows, p.Loss); err != nil {
				return err
			}
		}
		_, err := m.model.OptimStep(ctx, adam)
		return err
	})
}

func (m *trainee) Save(ctx context.Context, name string) (path string, err error) {
	err = m.with(ctx, func(ctx context.Context) error {
		path, err = m.model.SaveState(ctx, name)
		return err
	})
	return path, err
}

func (m *trainee) Export(ctx context.Context, name string) (files map[string][]byte, err error) {
	err = m.with(ctx, func(ctx context.Context) error {
		files, err = m.model.Export(ctx, name)
		return err
	})
	return files, err
}

func (m *trainee) Close(ctx context.Context) error { return m.with(ctx, m.model.Close) }
