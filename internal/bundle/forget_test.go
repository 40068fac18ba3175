package bundle

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestForget(t *testing.T) {
	root, adapters, now := labelled(t, 2)
	add := func(name, from string) string {
		m, p := vector()
		m.Name, m.CreatedAt = name, now()
		if from != "" {
			p.Demonstrations = []Demonstration{{ID: from, Input: "q", Output: "a"}}
		}
		files, err := PromptFiles(m, p)
		require.NoError(t, err)
		b, err := Add(root, m, files)
		require.NoError(t, err)
		return b.ID()
	}
	quoting, served, other, plain := add("a", "t1"), add("b", "t1"), add("c", "t2"), add("d", "")
	_, err := MoveLabel(root, LabelProduction, Move{At: time.Unix(9, 0), To: served})
	require.NoError(t, err)
	broken := filepath.Join(root, "broken")
	require.NoError(t, os.Mkdir(broken, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(broken, ManifestName), []byte("{"), 0o600))

	ids := map[string]bool{"t1": true}
	planned, err := Forget(root, ids, []string{""}, true)
	require.NoError(t, err)
	assert.DirExists(t, filepath.Join(root, quoting))
	out, err := Forget(root, ids, []string{""}, false) // the adapters name no run
	require.NoError(t, err)
	assert.Equal(t, planned, out)
	assert.Equal(t, []string{quoting}, out.Removed)
	assert.Equal(t, []string{served}, out.Labelled)
	assert.ElementsMatch(t, adapters, out.Adapters)
	assert.Equal(t, []string{"broken"}, out.Broken)
	assert.NoDirExists(t, filepath.Join(root, quoting))
	for _, id := range append(adapters, served, other, plain) {
		assert.DirExists(t, filepath.Join(root, id))
	}
}
