// Package backfill makes a dataset of history: of files that hold telemetry of
// long ago, in any order.
//
// [Run] goes through the files twice. The first time it reads them and sorts
// what they hold by when it ended: in memory, and beyond a bound in runs on
// disk, which are merged (sorter). The second time it plays back: the very
// buffer of the trajectory processor gets what it would have got then, with a
// clock that reads the time of the telemetry and jumps from one event to the
// next (player). Nothing waits, and what comes out depends on the telemetry
// alone: not on the order of files and lines, nor on the day of the import.
//
// So a second import of the same files gives the same trajectories with the
// same ids and revisions. What the dataset has already is not written again,
// which is also how an import that was killed goes on; the runs that it had
// sorted are kept beside the dataset until it is done (state).
package backfill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/rewards"
)

// DefaultWriter is who writes imported trajectories, in a dataset's terms.
const DefaultWriter = "import"

// DefaultMemory is the bytes that an import takes, roughly.
const DefaultMemory = 2 << 30

// Options say what to import, and where to. Dataset and Files are required.
type Options struct {
	Dataset string   // its root: a folder, made if need be, or the URL of a bucket
	Files   []string // read in this order
	Writer  string   // "" = DefaultWriter

	Rewards *rewards.Engine // nil = no rewards are computed
	Read    genai.Options   // which attributes name tasks and tenants, or are kept
	Key     []string        // attributes that join spans to trajectories; none = what the spans themselves tell

	Memory int64 // bytes, roughly; 0 = DefaultMemory. A quarter sorts or holds what waits, the rest is what it takes to do that
	DryRun bool  // count, write nothing
	Again  bool  // write what is in the dataset already, too

	Version    string         // of the program: another one may read more
	OnProgress func(Progress) // now and then
	OnError    func(error)    // each record or file that was skipped
	Now        func() time.Time
}

// Progress is how far an import is.
type Progress struct {
	Stage string // StageRead or StageAssemble
	Done  int64  // bytes of the files in StageRead, spans and records in StageAssemble
	Total int64
	File  string // in StageRead
}

// The stages.
const (
	StageRead     = "reading"
	StageAssemble = "assembling"
)

// Run imports files. Records and files that cannot be read are counted, handed
// to OnError and passed over. The error is set when going on makes no sense;
// the report is valid in every case.
func Run(ctx context.Context, opt Options) (Report, error) {
	began := opt.defaults()
	im := &importer{opt: opt, report: newReport(opt)}
	err := im.run(ctx)
	im.report.Seconds = opt.Now().Sub(began).Seconds()
	return im.report, err
}

func (o *Options) defaults() time.Time {
	if o.Writer == "" {
		o.Writer = DefaultWriter
	}
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnProgress == nil {
		o.OnProgress = func(Progress) {}
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	return o.Now()
}

type importer struct {
	opt    Options
	report Report
	inputs []input
	state  *state
	sorter *sorter
	marks  marks
	writer *dataset.Writer // nil in a dry run

	local string       // where the dataset can be read, and runs are kept
	leave func() error // nobody reads local any more; nil = not read
}

func (im *importer) run(ctx context.Context) (err error) {
	if im.inputs, err = stat(im.opt.Files); err != nil {
		return err
	}
	im.report.count(im.inputs)
	if err := im.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, im.close()) }()
	if im.state.Done != nil && !im.opt.Again {
		im.report = *im.state.Done
		im.report.Nothing, im.report.Trajectories.There = true, im.report.Trajectories.There+im.report.Trajectories.Written
		im.report.Trajectories.Written = 0
		return nil
	}
	if err := im.read(ctx); err != nil {
		return err
	}
	if err := im.play(ctx); err != nil {
		return err
	}
	return im.state.finish(&im.report)
}

// open takes the writer's name, so that nobody else imports under it, and looks
// for what an earlier import of the same files has done.
func (im *importer) open(ctx context.Context) error {
	var err error
	name := dataset.SafeName(im.opt.Writer) + "-"
	im.local, im.leave, err = bucket.Local(ctx, im.opt.Dataset, bucket.ReadOptions{Keep: func(table, path string) bool {
		return (table == dataset.TableTrajectories || table == dataset.TableFacts) && strings.HasPrefix(filepath.Base(path), name)
	}})
	if err != nil {
		return err
	}
	if !im.opt.DryRun {
		if im.writer, err = bucket.NewWriter(ctx, im.opt.Dataset, im.opt.Writer, dataset.Options{Clock: im.opt.Now}); err != nil {
			return errors.Join(err, im.close())
		}
	}
	if im.state, err = openState(im.opt, im.local, im.inputs); err != nil {
		return errors.Join(err, im.close())
	}
	im.sorter = newSorter(im.state.dir, im.opt.Memory/4)
	return nil
}

func (im *importer) close() error {
	var errs []error
	if im.state != nil {
		errs = append(errs, im.state.close())
	}
	if im.writer != nil {
		errs = append(errs, im.writer.Close())
	}
	if im.leave != nil {
		errs = append(errs, im.leave())
	}
	return errors.Join(errs...)
}

// input is a file as it was when the import began.
type input struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // ns
}

func stat(files []string) ([]input, error) {
	inputs := make([]input, len(files))
	for i, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("open file: %w", err)
		}
		inputs[i] = input{path, info.Size(), info.ModTime().UnixNano()}
	}
	return inputs, nil
}
