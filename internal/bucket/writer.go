package bucket

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// NewWriter is [dataset.NewWriter] for a root that is a folder's path or a
// bucket's URL. Files for a bucket are written into a folder of the system's
// temporary directory first.
func NewWriter(ctx context.Context, root, name string, opts dataset.Options) (*dataset.Writer, error) {
	if !IsURL(root) {
		return dataset.NewWriter(root, name, opts)
	}
	b, err := Open(ctx, root)
	if err != nil {
		return nil, err
	}
	return dataset.NewWriter(b.String(), name, b.staged(opts))
}

func stagingOf(at place) string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("tracegrad-%d", os.Getuid()), at.folder())
}
