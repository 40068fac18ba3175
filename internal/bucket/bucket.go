package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// Bucket is a [dataset.Bucket] that can be read from, too. It is safe for
// concurrent use.
type Bucket struct {
	at    place
	store store
}

var _ dataset.Bucket = (*Bucket)(nil)

// Open opens the bucket of a URL. It does not ask the store anything: whether
// the bucket is there, and the credentials will do, shows at the first call.
func Open(ctx context.Context, root string) (*Bucket, error) {
	at, err := parse(root)
	if err != nil {
		return nil, err
	}
	open := openPortable
	if strings.HasPrefix(root, googleScheme+":") {
		open = openGoogle
	}
	s, err := open(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", at.name, err)
	}
	return &Bucket{at: at, store: s}, nil
}

// String is the URL without its parameters.
func (b *Bucket) String() string { return b.at.name }

// Close frees what the bucket holds.
func (b *Bucket) Close() error { return b.store.close() }

const (
	// patience is how long a store may take to answer, and slowest the bytes a
	// second below which a transfer counts as stuck.
	patience = time.Minute
	slowest  = 64 << 10
	// listing is how long it may take to list a dataset: 1,000 names an answer.
	listing = 10 * time.Minute
)

// allowed is the time that a transfer may take.
func allowed(size int64) time.Duration {
	return patience + time.Duration(size/slowest)*time.Second
}

// Put stores size bytes of r under name, in place of what was there.
func (b *Bucket) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	ctx, cancel := context.WithTimeout(ctx, allowed(size))
	defer cancel()
	if err := b.store.put(ctx, name, r); err != nil {
		return b.explained("put "+name, err)
	}
	return nil
}

// Get copies an object of a known size to w. The error of one that is not there
// is [fs.ErrNotExist].
func (b *Bucket) Get(ctx context.Context, name string, w io.Writer, size int64) (err error) {
	ctx, cancel := context.WithTimeout(ctx, allowed(size))
	defer cancel()
	r, err := b.store.read(ctx, name)
	if err != nil {
		return b.explained("get "+name, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	n, err := io.Copy(w, r)
	if err != nil {
		return b.explained("get "+name, err)
	}
	if n != size {
		return fmt.Errorf("get %s: %d bytes came instead of %d", name, n, size)
	}
	return nil
}

// List is the objects whose names begin with prefix, sorted by name.
func (b *Bucket) List(ctx context.Context, prefix string) ([]dataset.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, listing)
	defer cancel()
	var list []dataset.Object
	err := b.store.list(ctx, prefix, func(o dataset.Object) {
		if !strings.HasSuffix(o.Name, "/") { // some tools make objects that look like folders
			list = append(list, o)
		}
	})
	if err != nil {
		return nil, b.explained("list "+prefix, err)
	}
	slices.SortFunc(list, func(a, b dataset.Object) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Remove removes an object; one that is not there is no error.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := b.store.remove(ctx, name); err != nil && !gone(err) {
		return b.explained("remove "+name, err)
	}
	return nil
}
