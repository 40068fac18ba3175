package bucket

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
)

func put(t *testing.T, b *Bucket, name, text string) {
	require.NoError(t, b.Put(t.Context(), name, strings.NewReader(text), int64(len(text))))
}

func local(t *testing.T, dir string) map[string]string {
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	}))
	return files
}

func TestMirror(t *testing.T) {
	b, dir := onDisk(t, t.TempDir()), t.TempDir()
	const day = "v1/steps/date=2026-03-14/"
	for _, name := range []string{day + "a.parquet", day + "b.parquet", "v1/facts/x.parquet"} {
		put(t, b, name, name)
	}
	for _, other := range []string{ // no reader of the dataset would read these
		"v1/_tmp/a/trajectories.2026-03-14.X", day + ".a.parquet", day + "_a.parquet", day + "a.parquet.tmp", "v1/other/a.parquet", "v2/steps/a.parquet",
		"quarantine/a/x.jsonl", "v1/steps/_old/a.parquet",
	} {
		put(t, b, other, "no")
	}
	var got, of int64
	bring := func(alone bool) {
		m := &mirror{b: b, dir: dir, alone: alone, opt: ReadOptions{Progress: func(done, total int64) { got, of = done, total }}}
		require.NoError(t, m.bring(t.Context()))
	}
	bring(true)
	want := map[string]string{day + "a.parquet": day + "a.parquet", day + "b.parquet": day + "b.parquet", "v1/facts/x.parquet": "v1/facts/x.parquet"}
	assert.Equal(t, want, local(t, dir))
	assert.Equal(t, of, got)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "v1", ".part-1"), nil, 0o600)) // a killed process
	require.NoError(t, os.MkdirAll(dataset.ImportDir(dir), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dataset.ImportDir(dir), "state"), nil, 0o600))
	require.NoError(t, b.Remove(t.Context(), day+"a.parquet"))
	put(t, b, day+"b.parquet", "other bytes")
	bring(false)
	assert.Contains(t, local(t, dir), day+"a.parquet", "others read")
	assert.Equal(t, "other bytes", local(t, dir)[day+"b.parquet"], "another object of the same name")
	bring(true)
	assert.Equal(t, map[string]string{day + "b.parquet": "other bytes", "v1/facts/x.parquet": "v1/facts/x.parquet", "v1/_import/state": ""}, local(t, dir))
}

func TestMirrorBringsWhatIsWanted(t *testing.T) {
	b, dir := onDisk(t, t.TempDir()), t.TempDir()
	put(t, b, "v1/steps/date=2026-03-14/a.parquet", "a")
	put(t, b, "v1/steps/date=2026-03-15/a.parquet", "a")
	m := &mirror{b: b, dir: dir, alone: true, opt: ReadOptions{Keep: func(table, path string) bool {
		assert.Equal(t, "steps", table)
		return path == filepath.Join("v1", "steps", "date=2026-03-15", "a.parquet")
	}}}
	require.NoError(t, m.bring(t.Context()))
	assert.Len(t, local(t, dir), 1)
}

// Names that would leave the folder are none of ours.
func TestNamesStayBelow(t *testing.T) {
	for _, name := range []string{"v1/steps/../../../x.parquet", "/v1/steps/x.parquet", "v1/steps//x.parquet", "v1/steps/x.parquet/"} {
		assert.False(t, dataset.IsFile(name), name)
	}
}

func TestCopyIsHeld(t *testing.T) {
	dir := t.TempDir()
	first, err := take(t.Context(), dir)
	require.NoError(t, err)
	require.True(t, first.alone)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = take(ctx, dir)
	require.ErrorIs(t, err, context.DeadlineExceeded, "the first one is bringing files")
	require.NoError(t, first.share())
	second, err := take(t.Context(), dir)
	require.NoError(t, err)
	assert.False(t, second.alone)
	require.NoError(t, first.release())
	require.NoError(t, second.release())
	third, err := take(t.Context(), dir)
	require.NoError(t, err)
	assert.True(t, third.alone)
	require.NoError(t, third.release())
}

func TestFoldersOfPlacesDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, url := range []string{"s3://b", "s3://b/x", "gs://b", "s3://b?region=x", "s3://b?endpoint=http://h:1"} {
		p, err := parse(url)
		require.NoError(t, err)
		assert.Empty(t, seen[p.folder()], url)
		seen[p.folder()] = url
	}
}
