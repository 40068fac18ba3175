package dataset_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

// In every file that a writer makes, the chunks of columns name their columns:
// readers such as Spark look them up by that.
func TestColumnChunksAreNamed(t *testing.T) {
	root := t.TempDir()
	w := newWriter(t, root, "node")
	for range 3 {
		_, err := w.Write(t.Context(), sample(), nil)
		require.NoError(t, err)
	}
	for _, table := range dataset.Tables {
		files, err := dataset.Files(root, table)
		require.NoError(t, err)
		for _, file := range files {
			var got [][]string
			for _, group := range metadata(t, file).Metadata().RowGroups {
				for _, column := range group.Columns {
					got = append(got, column.MetaData.PathInSchema)
				}
			}
			assert.Equal(t, metadata(t, file).Schema().Columns(), got, "%s of %s", table, filepath.Base(file))
		}
	}
}

func metadata(t *testing.T, file string) *parquet.File {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	p, err := parquet.OpenFile(f, info.Size())
	require.NoError(t, err)
	return p
}
