package dataset_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// What could not be read goes too, where it can be told to be of the user.
func TestForgetInQuarantine(t *testing.T) {
	root := t.TempDir()
	anna, bert := of("anna", "", 1), of("bert", "", 2)
	w := newWriter(t, root, "pod-1")
	_, err := w.Write(t.Context(), []*trajectory.Trajectory{anna, bert}, nil)
	require.NoError(t, err)
	line := func(data string) string {
		text, err := json.Marshal(map[string]any{"reason": "undecodable", "error": "cut", "data": []byte(data)})
		require.NoError(t, err)
		return string(text) + "\n"
	}
	encoded := string(trajectory.Encode(anna))
	others := line(string(trajectory.Encode(bert))) + line("joanna and susanna")
	files := map[string]string{
		"pod-1/1.jsonl": line(encoded[:len(encoded)-5]) + others + line("{\"trace\": \""+anna.TraceIDs[0]+"\"}") + "no JSON\n",
		"pod-1/2.jsonl": line("\x04anna"),
		"pod-2/1.jsonl": others,
	}
	for name, text := range files {
		path := filepath.Join(root, "quarantine", filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	read := func() map[string]string {
		got := map[string]string{}
		for name := range files {
			if text, err := os.ReadFile(filepath.Join(root, "quarantine", filepath.FromSlash(name))); err == nil {
				got[name] = string(text)
			}
		}
		return got
	}

	dry := upkeepAt(noon, 0)
	dry.DryRun = true
	planned, err := dataset.Forget(t.Context(), root, dataset.Person{User: "anna"}, dry)
	require.NoError(t, err)
	assert.Equal(t, files, read())
	out, err := dataset.Forget(t.Context(), root, dataset.Person{User: "anna"}, upkeepAt(noon, 0))
	require.NoError(t, err)
	assert.Zero(t, planned.Rows)
	assert.Positive(t, out.Rows)
	assert.Equal(t, map[string]string{"pod-1/1.jsonl": others + "no JSON\n", "pod-2/1.jsonl": others}, read())
	require.Len(t, out.Left, 1)
	assert.Contains(t, out.Left[0].Path, "1.jsonl")
	assert.True(t, strings.HasPrefix(out.Left[0].Reason, "line 5: "), out.Left[0].Reason)

	// And of one of whom nothing else is there.
	out, err = dataset.Forget(t.Context(), root, dataset.Person{User: "susanna"}, upkeepAt(noon, 0))
	require.NoError(t, err)
	assert.EqualValues(t, 2, out.Rows)
	assert.Equal(t, line(string(trajectory.Encode(bert))), read()["pod-2/1.jsonl"])
}
