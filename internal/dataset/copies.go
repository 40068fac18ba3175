package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// copies makes files of a dataset readable: those of a bucket are brought into
// a local folder, until they are dropped.
type copies struct {
	bucket Bucket
	dir    string // of the copies; "" = none were made

	mu     sync.Mutex
	have   map[string]string // path by name
	made   int
	failed error // the first thing that the bucket said but that a file is not there
}

// atOnce is how many files are asked for, or removed, at a time.
const atOnce = 8

// bring fetches the parts that are not here, several at once, if the dataset is
// in a bucket. One that cannot be had is no error yet: it is when it is read.
func (c *copies) bring(ctx context.Context, parts []part) {
	if _, ok := c.bucket.(disk); ok {
		return
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, p := range parts {
		g.Go(func() error {
			_, err := c.path(ctx, p)
			return err
		})
	}
	_ = g.Wait()
}

func (c *copies) path(ctx context.Context, p part) (string, error) {
	if d, ok := c.bucket.(disk); ok {
		return d.path(p.name), nil
	}
	c.mu.Lock()
	at, ok := c.have[p.name]
	c.made++
	n := c.made
	c.mu.Unlock()
	if ok {
		return at, nil
	}
	at = filepath.Join(c.dir, fmt.Sprintf("copy-%d", n))
	f, err := os.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	err = errors.Join(c.bucket.Get(ctx, p.name, f, p.bytes), f.Close())
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if c.failed == nil && !errors.Is(err, fs.ErrNotExist) {
			c.failed = err
		}
		return "", errors.Join(err, os.Remove(at))
	}
	if c.have == nil {
		c.have = map[string]string{}
	}
	c.have[p.name] = at
	return at, nil
}

// each visits parts, some of which are brought at once and dropped again.
func (c *copies) each(ctx context.Context, parts []part, visit func(part)) error {
	for some := range slices.Chunk(parts, atOnce) {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.bring(ctx, some)
		for _, p := range some {
			visit(p)
		}
		if err := errors.Join(c.drop(), c.broken()); err != nil {
			return err
		}
	}
	return nil
}

// broken is what keeps files from being read that has nothing to do with the
// files; nil = nothing.
func (c *copies) broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// drop removes the copies.
func (c *copies) drop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, at := range c.have {
		errs = append(errs, os.Remove(at))
	}
	clear(c.have)
	return errors.Join(errs...)
}

// readPart is [ReadFile] of a part of a dataset.
func readPart[T any](ctx context.Context, c *copies, p part, each func(*T)) error {
	at, err := c.path(ctx, p)
	if err != nil {
		return err
	}
	return ReadFile(at, each)
}
