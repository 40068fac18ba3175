package bucket

import (
	"context"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// Upkeep gives the options with which [dataset.Compact], [dataset.Retain] and
// [dataset.Forget] work on root, a folder's path or a bucket's URL, and what root
// is called there. close must be called after the last of them.
func Upkeep(ctx context.Context, root string, u dataset.Upkeep) (name string, _ dataset.Upkeep, closed func() error, err error) {
	if !IsURL(root) {
		return root, u, func() error { return nil }, nil
	}
	b, err := Open(ctx, root)
	if err != nil {
		return "", u, nil, err
	}
	u.Options = b.staged(u.Options)
	return b.String(), u, b.Close, nil
}

// staged are options for who writes into the bucket.
func (b *Bucket) staged(opts dataset.Options) dataset.Options {
	opts.Bucket = b
	if opts.Staging == "" {
		opts.Staging = stagingOf(b.at)
	}
	opts.FileMode, opts.DirMode = 0o600, 0o700 // it holds users' words, and others may use the directory, too
	return opts
}
