package bucket

import (
	"context"
	"errors"
	"io"

	"gocloud.dev/blob"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// store is what a bucket can do.
type store interface {
	put(ctx context.Context, name string, r io.Reader) error
	read(ctx context.Context, name string) (io.ReadCloser, error)
	list(ctx context.Context, prefix string, each func(dataset.Object)) error
	remove(ctx context.Context, name string) error
	close() error
}

const contentType = "application/octet-stream"

// portable is a bucket that the library has a driver for.
type portable struct{ *blob.Bucket }

func openPortable(ctx context.Context, at place) (store, error) {
	b, err := blob.OpenBucket(ctx, at.open)
	if err != nil {
		return nil, err
	}
	return below(b, at.prefix), nil
}

func below(b *blob.Bucket, prefix string) portable {
	if prefix != "" {
		b = blob.PrefixedBucket(b, prefix)
	}
	return portable{b}
}

func (p portable) put(ctx context.Context, name string, r io.Reader) error {
	return p.Upload(ctx, name, r, &blob.WriterOptions{ContentType: contentType})
}

func (p portable) read(ctx context.Context, name string) (io.ReadCloser, error) {
	return p.NewReader(ctx, name, nil)
}

func (p portable) list(ctx context.Context, prefix string, each func(dataset.Object)) error {
	for names := p.List(&blob.ListOptions{Prefix: prefix}); ; {
		o, err := names.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		each(dataset.Object{Name: o.Key, Bytes: o.Size, Time: o.ModTime})
	}
}

func (p portable) remove(ctx context.Context, name string) error { return p.Delete(ctx, name) }

func (p portable) close() error { return p.Close() }
