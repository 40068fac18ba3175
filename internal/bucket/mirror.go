package bucket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// EnvCache names the folder that holds the local copies of datasets in buckets;
// without it they are in the user's cache directory.
const EnvCache = "TRACEGRAD_CACHE"

// ReadOptions say what [Local] brings; the zero value brings everything.
type ReadOptions struct {
	Keep     func(table, path string) bool // by table and path below the root; nil = all files
	Progress func(done, total int64)       // bytes brought, of those that were not there yet, by one goroutine at a time; nil = nobody asks
}

const (
	atOnce = 8 // downloads
	tries  = 3 // listings, when files go between listing and reading: somebody compacts
	part   = ".part-"
)

// Local is the folder in which the dataset at root can be read: root itself, or
// for a URL the local copy of the bucket's tables, brought up to date. Files
// never change, so that each is brought once; those that the bucket no longer
// has are removed, unless somebody reads the copy. release must be called when
// the folder is no longer read.
func Local(ctx context.Context, root string, opt ReadOptions) (dir string, release func() error, err error) {
	if !IsURL(root) {
		return root, func() error { return nil }, nil
	}
	b, err := Open(ctx, root)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if dir, err = cacheOf(b.at); err != nil {
		return "", nil, err
	}
	use, err := take(ctx, dir)
	if err != nil {
		return "", nil, fmt.Errorf("lock the local copy of %s: %w", b, err)
	}
	if err := (&mirror{b: b, dir: dir, opt: opt, alone: use.alone}).bring(ctx); err != nil {
		return "", nil, errors.Join(err, use.release())
	}
	if err := use.share(); err != nil {
		return "", nil, errors.Join(err, use.release())
	}
	return dir, use.release, nil
}

// folder is a name for the place that no other has.
func (p place) folder() string {
	sum := sha256.Sum256([]byte(p.open + " " + p.prefix))
	return dataset.SafeName(p.bucket) + "-" + hex.EncodeToString(sum[:6])
}

func cacheOf(p place) (string, error) {
	root := os.Getenv(EnvCache)
	if root == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a place for the local copy of %s: set %s to a folder: %w", p.name, EnvCache, err)
		}
		root = filepath.Join(user, "tracegrad")
	}
	dir, err := filepath.Abs(filepath.Join(root, p.folder()))
	if err == nil {
		err = os.MkdirAll(dir, 0o700) // it holds users' words
	}
	if err != nil {
		return "", fmt.Errorf("make the local copy of %s: %w: set %s to a folder that can be written", p.name, err, EnvCache)
	}
	return dir, nil
}

// mirror brings the tables of a bucket into a folder.
type mirror struct {
	b     *Bucket
	dir   string
	opt   ReadOptions
	alone bool // nobody else reads the folder
}

func (m *mirror) bring(ctx context.Context) error {
	for n := 1; ; n++ {
		there, err := m.list(ctx)
		if err == nil {
			err = m.fetch(ctx, there)
		}
		if err == nil {
			return m.forget(there)
		}
		if n == tries || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// list is all files of the tables, by name.
func (m *mirror) list(ctx context.Context) (map[string]dataset.Object, error) {
	there := map[string]dataset.Object{}
	// Trajectories first, as everybody lists: a set that is committed meanwhile is
	// then not seen at all, instead of as trajectories without steps.
	for _, table := range slices.Backward(dataset.Tables) {
		list, err := m.b.List(ctx, path.Join(fmt.Sprintf("v%d", dataset.Version), table)+"/")
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			if dataset.IsFile(o.Name) {
				there[o.Name] = o
			}
		}
	}
	return there, m.unchanged(ctx, there)
}

// unchanged fails with [fs.ErrNotExist] if trajectories went while the tables
// were listed: a user was deleted, and the rest of a set that is here from before
// may be gone as well.
func (m *mirror) unchanged(ctx context.Context, there map[string]dataset.Object) error {
	prefix := path.Join(fmt.Sprintf("v%d", dataset.Version), dataset.TableTrajectories) + "/"
	list, err := m.b.List(ctx, prefix)
	if err != nil {
		return err
	}
	now := map[string]bool{}
	for _, o := range list {
		now[o.Name] = true
	}
	for name := range there {
		if strings.HasPrefix(name, prefix) && !now[name] {
			return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
	}
	return nil
}

// fetch brings the files that are wanted and not here.
func (m *mirror) fetch(ctx context.Context, there map[string]dataset.Object) error {
	var missing []dataset.Object
	var total int64
	for name, o := range there {
		if m.wanted(name) && !m.has(o) {
			missing = append(missing, o)
			total += o.Bytes
		}
	}
	slices.SortFunc(missing, func(a, b dataset.Object) int { return strings.Compare(a.Name, b.Name) })
	var done int64
	var telling sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, o := range missing {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := m.get(ctx, o); err != nil {
				return err
			}
			telling.Lock()
			defer telling.Unlock()
			done += o.Bytes
			if m.opt.Progress != nil {
				m.opt.Progress(done, total)
			}
			return nil
		})
	}
	return g.Wait()
}

func (m *mirror) wanted(name string) bool {
	if m.opt.Keep == nil {
		return true
	}
	_, below, _ := strings.Cut(name, "/")
	table, _, _ := strings.Cut(below, "/")
	return m.opt.Keep(table, filepath.FromSlash(name))
}

func (m *mirror) path(name string) string { return filepath.Join(m.dir, filepath.FromSlash(name)) }

// has tells a copy by its size and by the time at which the object was stored.
func (m *mirror) has(o dataset.Object) bool {
	info, err := os.Stat(m.path(o.Name))
	return err == nil && info.Size() == o.Bytes && info.ModTime().Equal(o.Time)
}

func (m *mirror) get(ctx context.Context, o dataset.Object) (err error) {
	final := m.path(o.Name)
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return fmt.Errorf("copy %s: %w", o.Name, err)
	}
	f, err := os.CreateTemp(filepath.Dir(final), part+"*")
	if err != nil {
		return fmt.Errorf("copy %s: %w", o.Name, err)
	}
	err = errors.Join(m.b.Get(ctx, o.Name, f, o.Bytes), f.Close())
	if err == nil {
		err = os.Chtimes(f.Name(), o.Time, o.Time)
	}
	if err == nil {
		err = os.Rename(f.Name(), final)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("copy to %s: %w", m.dir, err)
	}
	return nil
}

// forget removes copies of files that are gone, and what a killed process left.
func (m *mirror) forget(there map[string]dataset.Object) error {
	if !m.alone {
		return nil // the next one who is alone does it
	}
	version := filepath.Join(m.dir, fmt.Sprintf("v%d", dataset.Version))
	if len(there) > 0 {
		if err := os.MkdirAll(version, 0o700); err != nil {
			return err
		}
	}
	err := filepath.WalkDir(version, func(at string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), "_"):
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		name, err := filepath.Rel(m.dir, at)
		if err != nil {
			return err
		}
		if _, ok := there[filepath.ToSlash(name)]; !ok {
			return os.Remove(at)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clean up %s: %w", m.dir, err)
	}
	return nil
}
