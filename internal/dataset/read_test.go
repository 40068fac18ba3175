package dataset

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type named struct {
	ID string `parquet:"id,snappy"`
}

func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.parquet")
	var whole []named
	for i := range 600 {
		whole = append(whole, named{string(rune('a'+i%26)) + "-row"})
	}
	require.NoError(t, parquet.WriteFile(path, whole))
	var got []*named
	require.NoError(t, ReadFile(path, func(row *named) { got = append(got, row) }))
	require.Len(t, got, len(whole))
	for i := range whole {
		assert.Equal(t, whole[i], *got[i], "a row may be kept")
	}

	// Whatever byte is wrong, what comes is rows or an error.
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	failed := 0
	for at := range data {
		broken := bytes.Clone(data)
		broken[at] ^= 0x55
		require.NoError(t, os.WriteFile(path, broken, 0o600))
		if ReadFile(path, func(*named) {}) != nil {
			failed++
		}
	}
	assert.Positive(t, failed)
	require.ErrorIs(t, ReadFile(filepath.Join(t.TempDir(), "none"), func(*named) {}), os.ErrNotExist)
}
