package trainer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/prompt"
	"github.com/tracegrad/tracegrad/trainer/query"
	"github.com/tracegrad/tracegrad/trainer/update"
)

// Options of [Run]; the zero value is a sound one.
type Options struct {
	Resume   string           // id of a run to go on with, or "last"; "" = a new run
	Progress func(Event)      // called from one goroutine; nil = nobody looks
	Now      func() time.Time // nil = time.Now
	Query    query.Options    // of DuckDB; Rules are the run's own

	// For policy: adapter.
	Fresh  bool      // begin a new run even if the last one was interrupted
	Plan   bool      // stop before the update, with the estimate of what it takes
	Engine EngineFor // nil = as the config says
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// State is how far a stage is.
type State string

// The states of a stage.
const (
	Started State = "started"
	Working State = "working" // Done of Total trajectories
	Done    State = "done"
	Reused  State = "reused" // its artifact was there already
)

// Event tells of a run's progress.
type Event struct {
	ID       string // of the run
	Stage    string
	State    State
	Done     int // trajectories, while Working
	Total    int
	Run      string       // id, with the first event of a run that goes on; else ""
	Estimate *Estimate    // before an update
	Step     *update.Step // of an update; Reused: an earlier process took it
	Left     time.Duration
}

// Result is what came out of a run.
type Result struct {
	ID      string         `json:"run"`
	Dir     string         `json:"dir"`
	Report  string         `json:"report"` // path of report.html
	Bundle  PackedBundle   `json:"bundle"`
	Counts  Counts         `json:"counts"`
	Items   []prompt.Item  `json:"items"`       // learned tonight; a release leaves out those in Verdict.Untested
	Carried []CarriedItem  `json:"carried"`     // kept from the starting policy
	Dropped []DroppedItem  `json:"not_carried"` // and not kept
	Verdict prompt.Verdict `json:"gate"`
	Groups  []ScoredGroup  `json:"-"`
	Adapter *AdapterResult `json:"adapter,omitempty"` // for policy: adapter
}

// Errors that callers may want to tell apart, besides [query.ErrNoDataset],
// [*query.Error] and [query.ErrNoCgo].
var (
	// ErrNothingToTrain says that the dataset has no trajectory to train on; the
	// error's text says what became of those it has.
	ErrNothingToTrain = errors.New("nothing to train on")
	// ErrLocked says that another run is going on in the same runs directory.
	ErrLocked = errLocked
)

// Run runs one night. It needs the runs directory for itself and gives up at
// once with [ErrLocked] if another run has it. A run that fails or is cancelled
// can be resumed.
func Run(ctx context.Context, c Config, opt Options) (*Result, error) {
	engine, err := rewards.Load(c.Rewards.File)
	if err != nil {
		return nil, err
	}
	base, err := openBase(c)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Runs, 0o750); err != nil {
		return nil, fmt.Errorf("make runs directory: %w", err)
	}
	lock, err := lockFile(filepath.Join(c.Runs, ".lock"))
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", c.Runs, err)
	}
	defer func() { _ = unlockFile(lock) }()
	opt.Query.Rules = engine.Rules()
	if c.Policy.Kind == KindAdapter {
		return runAdapter(ctx, c, opt, &night{engine: engine, base: base})
	}
	db, err := openDataset(ctx, c, opt.Query)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	r, err := startRun(c, opt)
	if err != nil {
		return nil, err
	}
	result, err := (&night{run: r, db: db, engine: engine, base: base}).path(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, &interrupted{"--resume " + r.ID, ctx.Err()}
	}
	return result, err
}

func openDataset(ctx context.Context, c Config, opt query.Options) (*query.DB, error) {
	db, err := query.Open(ctx, c.Dataset, opt)
	if err != nil {
		return nil, err
	}
	if len(db.Files("trajectories")) == 0 {
		return nil, errors.Join(fmt.Errorf("open dataset %s: %w: it holds no trajectories yet; send some through the collector, or replay captures", c.Dataset, query.ErrNoDataset), db.Close())
	}
	return db, nil
}

// interrupted is the end of a run whose context was cancelled.
type interrupted struct {
	by    string // what goes on with it
	cause error
}

func (e *interrupted) Error() string { return "interrupted; go on with " + e.by }
func (e *interrupted) Unwrap() error { return e.cause }

// night is what the stages of one run share.
type night struct {
	*run
	db     *query.DB
	engine *rewards.Engine
	base   *bundle.Bundle // nil = none
}

// path runs the stages in their order.
func (n *night) path(ctx context.Context) (*Result, error) {
	selected, scored, grouped, err := n.gather(ctx, nil)
	if err != nil {
		return nil, err
	}
	taught, err := n.advantageStage(selected, scored, grouped)
	if err != nil {
		return nil, err
	}
	samples := join(selected, scored, taught)
	learned, err := n.learnStage(ctx, samples)
	if err != nil {
		return nil, err
	}
	verdict, err := n.gateStage(selected, samples, learned)
	if err != nil {
		return nil, err
	}
	packed, err := n.packStage(selected, scored, learned, verdict)
	if err != nil {
		return nil, err
	}
	return n.report(selected, scored, taught, learned, verdict, packed)
}

// gather runs the stages that all nights begin with. used counts the nights that
// trained on each trajectory.
func (n *night) gather(ctx context.Context, used map[string]int) (selected, scores, groups, error) {
	sel, err := n.selectStage(ctx, used)
	if err != nil {
		return sel, scores{}, groups{}, err
	}
	sc, err := n.scoreStage(ctx, sel)
	if err != nil {
		return sel, sc, groups{}, err
	}
	g, err := n.groupStage(sel, sc)
	return sel, sc, g, err
}
