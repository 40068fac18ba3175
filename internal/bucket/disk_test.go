package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/internal/trajectory/trajectorytest"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// onDisk is a bucket of the library's own that keeps its objects in a folder.
func onDisk(t *testing.T, dir string) *Bucket {
	b, err := blob.OpenBucket(t.Context(), "file://"+filepath.ToSlash(dir)+"?metadata=skip&create_dir=true&no_tmp_dir=true")
	require.NoError(t, err)
	return &Bucket{store: below(b, "some/where/"), at: place{open: dir, bucket: "disk", name: "s3://disk/some/where"}}
}

func writer(t *testing.T, b dataset.Bucket, now time.Time) *dataset.Writer {
	w, err := dataset.NewWriter(b.String(), "a", dataset.Options{
		Bucket: b, Staging: t.TempDir(), Clock: func() time.Time { return now },
	})
	require.NoError(t, err)
	return w
}

// some are trajectories with ids of their own, of two days.
func some(seed, n int) (list []*trajectory.Trajectory) {
	for i := range n {
		r := trajectorytest.Random(rand.New(rand.NewPCG(uint64(seed), uint64(i))))
		r.ID = fmt.Sprintf("%016d%016d", seed, i)
		r.Revision = noon.UnixMicro()
		r.Facts = r.Facts[:0]
		r.FirstSeenAt = noon.AddDate(0, 0, i%2).UnixMicro()
		list = append(list, r)
	}
	return list
}

// rows reads what a reader of the bucket sees.
func rows(t *testing.T, b *Bucket) (set dataset.Set) {
	dir := t.TempDir()
	require.NoError(t, (&mirror{b: b, dir: dir, alone: true}).bring(t.Context()))
	set.Trajectories = read[dataset.TrajectoryRow](t, dir, dataset.TableTrajectories)
	set.Steps = read[dataset.StepRow](t, dir, dataset.TableSteps)
	set.Messages = read[dataset.MessageRow](t, dir, dataset.TableMessages)
	set.Rewards = read[dataset.RewardRow](t, dir, dataset.TableRewards)
	return set
}

func read[T any](t *testing.T, root, table string) (all []T) {
	files, err := dataset.Files(root, table)
	require.NoError(t, err)
	for _, f := range files {
		require.NoError(t, dataset.ReadFile(f, func(row *T) { all = append(all, *row) }))
	}
	return all
}

func names(t *testing.T, b *Bucket) (list []string) {
	objects, err := b.List(t.Context(), "")
	require.NoError(t, err)
	for _, o := range objects {
		list = append(list, o.Name)
	}
	return list
}

// faulty is a bucket that has a fault at one call.
type faulty struct {
	*Bucket
	kind string
	left int // calls until the fault
	hit  bool
}

var errFault = errors.New("the bucket has a fault")

// Kinds of faults.
const (
	refuses = "refuses" // nothing happened
	loses   = "loses"   // it happened, and the answer was lost
	dies    = "dies"    // nothing happened, then or later
)

var faults = []string{refuses, loses, dies}

func (f *faulty) call(do func() error) error {
	f.left--
	switch {
	case f.left == -1 && f.kind == loses:
		f.hit = true
		return errors.Join(errFault, do())
	case f.left == -1 || f.left < 0 && f.kind == dies:
		f.hit = true
		return errFault
	}
	return do()
}

func (f *faulty) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	return f.call(func() error { return f.Bucket.Put(ctx, name, r, size) })
}

func (f *faulty) Get(ctx context.Context, name string, w io.Writer, size int64) error {
	return f.call(func() error { return f.Bucket.Get(ctx, name, w, size) })
}

func (f *faulty) Remove(ctx context.Context, name string) error {
	return f.call(func() error { return f.Bucket.Remove(ctx, name) })
}

func (f *faulty) List(ctx context.Context, prefix string) (list []dataset.Object, err error) {
	err = f.call(func() error {
		list, err = f.Bucket.List(ctx, prefix)
		return err
	})
	return slices.Clip(list), err
}

func (f *faulty) Close() error { return nil } // the test goes on with the bucket
