//go:build cgo && unix

package dataset_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// BenchmarkWrite commits batches of real trajectories; MB/s is of their
// encoding.
func BenchmarkWrite(b *testing.B) {
	for name, list := range map[string][]*trajectory.Trajectory{
		"captures": multiplied(captured(b), 2000),
		"12-turns": conversations(rand.New(rand.NewPCG(1, 1)), 12, 500),
	} {
		b.Run(name, func(b *testing.B) {
			w, err := dataset.NewWriter(b.TempDir(), "w", dataset.Options{})
			require.NoError(b, err)
			defer w.Close()
			var bytes int64
			for _, t := range list {
				bytes += int64(len(trajectory.Encode(t)))
			}
			b.SetBytes(bytes)
			b.ReportAllocs()
			for b.Loop() {
				_, err := w.Write(b.Context(), list, nil)
				require.NoError(b, err)
			}
		})
	}
}
