package trainer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/trainer/engine"
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/query"
	"github.com/tracegrad/tracegrad/trainer/update"
)

// adapterNight is a night that trains an adapter.
type adapterNight struct {
	*night
	ledger        *ledger
	tracker       *grpo.Tracker // of earlier nights; nil = not asked for
	trackerDigest string
	engineFor     EngineFor
	planOnly      bool
	server        Server // opened when there is something to train on
	open          Trainee
	state         string // that the open trainee is at
	estimated     *Estimate
}

// runAdapter runs a night under the lock of its runs directory. A run that was
// interrupted goes on; it reads the dataset as it was when it began.
func runAdapter(ctx context.Context, c Config, opt Options, base *night) (*Result, error) {
	if opt.Resume == "" && !opt.Fresh {
		opt.Resume = unfinished(c)
	}
	var frozen snapshot
	if opt.Resume != "" {
		var err error
		if frozen, err = snapshotOf(ctx, c.Dataset, filepath.Join(c.Runs, opt.Resume), opt.Query); err != nil {
			return nil, err
		}
	}
	opt.Query.Keep = frozen.keep
	db, err := openDataset(ctx, c, opt.Query)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	r, err := startRun(c, opt)
	if err != nil {
		return nil, err
	}
	if frozen == nil {
		if err := r.freeze(db); err != nil {
			return nil, err
		}
	}
	base.run, base.db = r, db
	n := &adapterNight{night: base, engineFor: opt.Engine, planOnly: opt.Plan}
	if n.engineFor == nil {
		n.engineFor = Engine(nil)
	}
	defer n.close()
	r.Starts, r.Ended = r.Starts+1, ""
	if err := r.save(); err != nil {
		return nil, err
	}
	r.progress(Event{Stage: "night", State: Started, Run: resumedAs(opt.Resume, r.ID)})
	result, err := n.path(ctx)
	return result, n.ended(ctx, err)
}

func resumedAs(asked, id string) string {
	if asked == "" {
		return ""
	}
	return id
}

// freeze notes what the run reads. Rewards are not frozen: the run itself
// appends to them.
func (r *run) freeze(db *query.DB) error {
	tables := []string{dataset.TableTrajectories, dataset.TableSteps, dataset.TableMessages, dataset.TableFacts}
	s, err := takeSnapshot(db.Root(), tables, db.Files)
	if err != nil {
		return fmt.Errorf("list dataset: %w", err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("list dataset: %w", err)
	}
	return writeFile(filepath.Join(r.dir, snapshotFile), text)
}

// ended notes how a run came to its end. One that was interrupted, by its user
// or by trouble with its engine, has not: it can go on.
func (n *adapterNight) ended(ctx context.Context, err error) error {
	var engineTrouble *engineError
	var gate *PendingError
	switch {
	case err == nil && !n.planOnly:
		n.Ended = "done"
	case err == nil:
		n.Ended = "planned"
	case ctx.Err() != nil:
		return &interrupted{"the same command (run " + n.ID + ")", ctx.Err()}
	case errors.As(err, &gate):
		gate.Run = n.ID
		return errors.Join(gate, n.save())
	case errors.As(err, &engineTrouble):
		if n.stuck() < maxStuck {
			return errors.Join(fmt.Errorf("%w; the same command goes on with run %s", err, n.ID), n.save())
		}
		n.Ended, err = "failed", fmt.Errorf("%w; run %s came no further in %d starts: the same command begins a new one", err, n.ID, maxStuck)
	default:
		n.Ended = "failed"
	}
	return errors.Join(err, n.save())
}

// maxStuck is how often trouble with an engine may end a run at the same place:
// what it stumbles over there is in the run.
const maxStuck = 5

// stuck counts the starts since the run last came further.
func (n *adapterNight) stuck() int {
	steps, _ := update.ReadSteps(filepath.Join(n.dir, metricsFile)) // there are none yet
	if at := fmt.Sprint(len(n.Stages), len(steps)); at != n.StuckAt {
		n.StuckAt, n.Stuck = at, 0
	}
	n.Stuck++
	return n.Stuck
}

// engineError is trouble with an engine: another try may do.
type engineError struct{ cause error }

func (e *engineError) Error() string { return "engine: " + e.cause.Error() }
func (e *engineError) Unwrap() error { return e.cause }

func engineTrouble(err error) error {
	if err == nil {
		return nil
	}
	if said := (*engine.StatusError)(nil); errors.As(err, &said) && said.Final {
		return fmt.Errorf("engine: %w", err)
	}
	return &engineError{err}
}

// close frees what the engine holds. What goes wrong then costs memory on a
// server, no more: the night is on disk.
func (n *adapterNight) close() {
	if n.open != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = n.open.Close(ctx)
	}
	if n.server != nil {
		_ = n.server.Close()
	}
}

// path runs the stages in their order.
func (n *adapterNight) path(ctx context.Context) (*Result, error) {
	if err := n.remember(); err != nil {
		return nil, err
	}
	sel, sc, grouped, err := n.gather(ctx, n.ledger.uses())
	if err != nil {
		return nil, err
	}
	adv, err := n.estimateStage(sel, sc, grouped)
	if err != nil {
		return nil, err
	}
	if err = n.openEngine(ctx); err != nil {
		return nil, err
	}
	seq, err := n.sequenceStage(ctx, sel, sc, adv)
	if err != nil {
		return nil, err
	}
	if n.digestOf("update") == "" {
		if n.estimated, err = n.estimate(ctx, seq); err != nil {
			return nil, err
		}
		n.progress(Event{Stage: "estimate", State: Done, Estimate: n.estimated})
	}
	if n.planOnly {
		return n.planned(sel, sc, adv, seq), nil
	}
	said, err := n.forwardStage(ctx, seq)
	if err != nil {
		return nil, err
	}
	moved, err := n.updateStage(ctx, sc, adv, seq, said)
	if err != nil {
		return nil, err
	}
	verdict, err := n.evaluateStage(ctx, sc, seq, said, moved)
	if err != nil {
		return nil, err
	}
	adapter, err := n.exportStage(ctx, moved)
	if err != nil {
		return nil, err
	}
	if err := n.tidy(moved.Head.State); err != nil {
		return nil, err
	}
	n.rest()
	judged, err := n.judgeStage(ctx, sel, adapter, verdict)
	if err != nil {
		return nil, err
	}
	packed, err := n.packAdapter(sel, sc, adv, seq, moved, verdict, adapter, judged)
	if err != nil {
		return nil, err
	}
	if err := n.writeDown(sel, grouped, moved, packed); err != nil {
		return nil, err
	}
	return n.reportAdapter(sel, sc, adv, seq, moved, verdict, judged, packed)
}

// remember reads what earlier nights left.
func (n *adapterNight) remember() (err error) {
	if n.ledger, err = readLedger(n.history(), n.Config.Name, n.ID); err != nil {
		return err
	}
	if b := n.base; b != nil && b.Manifest.Kind != bundle.KindAdapter {
		if n.Config.Base != "" {
			return fmt.Errorf("open starting policy: base: %s holds a %s, not an adapter: name an adapter's bundle, or remove the key", n.Config.Base, b.Manifest.Kind)
		}
		n.base = nil // the label production serves guidance: the adapter starts from the base model
	}
	if b := n.base; b != nil && b.Manifest.BaseModel != n.Config.Adapter.BaseModel {
		return fmt.Errorf("open starting policy: bundle %s is an adapter of %s, not of %s: name another base, or adapter.base_model: %s",
			bundle.ShortID(b.ID()), b.Manifest.BaseModel, n.Config.Adapter.BaseModel, b.Manifest.BaseModel)
	}
	if err := n.sameShape(); err != nil {
		return err
	}
	if n.Config.Algorithm.Baseline == string(grpo.LoneTracker) {
		return n.readTracker()
	}
	return nil
}

// sameShape refuses a starting policy that the adapter to be trained cannot hold.
func (n *adapterNight) sameShape() error {
	if n.base == nil {
		return nil
	}
	var has struct {
		Rank  int     `json:"r"`
		Alpha float64 `json:"lora_alpha"`
	}
	text, err := os.ReadFile(filepath.Join(n.base.Dir, bundle.AdapterConfigFile))
	if err == nil {
		err = json.Unmarshal(text, &has)
	}
	if err != nil {
		return fmt.Errorf("open starting policy: %w", err)
	}
	lora := n.Config.Adapter.LoRA
	own := n.Config.Adapter.Engine == "" || lora.Alpha != 0 // else the engine has an alpha of its own
	if has.Rank == lora.Rank && (!own || has.Alpha == lora.alpha()) {
		return nil
	}
	return fmt.Errorf("open starting policy: bundle %s has rank %d and alpha %g, the config asks for rank %d and alpha %g: set adapter.lora: {rank: %d, alpha: %g}, or name another base",
		bundle.ShortID(n.base.ID()), has.Rank, has.Alpha, lora.Rank, lora.alpha(), has.Rank, has.Alpha)
}

// history is the directory with what earlier nights left.
func (n *adapterNight) history() string { return cmp.Or(n.Config.history, n.Config.Runs) }

// trackerFile is what a night knows of tasks after it, in its run's directory.
const trackerFile = "tracker.json"

func (n *adapterNight) readTracker() error {
	n.tracker = grpo.NewTracker()
	last := n.ledger.last()
	if last == nil {
		return nil
	}
	path := filepath.Join(n.history(), last.Run, trackerFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the nights before had another baseline
	}
	if err == nil {
		n.tracker, err = grpo.ReadTracker(text)
	}
	if err != nil {
		return fmt.Errorf("read what earlier nights know of tasks: %s: %w", path, err)
	}
	n.trackerDigest = digest(text)
	return nil
}

// writeDown remembers the night for those to come.
func (n *adapterNight) writeDown(s selected, g groups, m updated, p packed) error {
	if n.tracker != nil {
		after := n.tracker.Clone()
		for i := range g.Rows {
			if err := after.Observe(taskOf(&g.Rows[i]), g.Rows[i].Returns); err != nil {
				return err
			}
		}
		after.Advance(m.Head.Moved)
		after.Prune(maxTasks)
		text, err := json.Marshal(after)
		if err == nil {
			err = writeFile(filepath.Join(n.dir, trackerFile), text)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", trackerFile, err)
		}
	}
	until := n.Now
	if s.Head.Until != nil {
		until = *s.Head.Until
	}
	return n.ledger.record(n.Config.Runs, Night{
		Run: n.ID, Name: n.Config.Name, BaseModel: n.Config.Adapter.BaseModel, Until: until, Bundle: p.Head.ID,
		Engine: n.server.About().URL, State: m.Head.State, Moved: m.Head.Moved, PerSecond: m.Head.perSecond, Trajectories: m.Head.Trajectories,
	})
}

// tidy removes what the engine saved for this run, but for a state, and for runs
// that will not go on: they came to their end, or a later night of their name
// did. Bundles hold what the next nights begin with.
func (n *adapterNight) tidy(keep string) error {
	return n.server.Tidy(func(run, name string) bool {
		if run == n.ID {
			return strings.HasSuffix(keep, "/"+name)
		}
		m, err := readManifest(filepath.Join(n.Config.Runs, run))
		if err != nil {
			return !errors.Is(err, os.ErrNotExist)
		}
		later := slices.ContainsFunc(n.ledger.nights, func(x Night) bool { return x.Name == m.Config.Name && x.Run > run })
		return m.Ended == "" && !later
	})
}

// maxTasks bounds what is known of tasks.
const maxTasks = 1_000_000
