package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestVector holds the shipped bundle, what this package writes, and what
// docs/bundle.md says about it together.
func TestVector(t *testing.T) {
	const shipped = "testdata/vector"
	b := writeVector(t, nil)
	if *update {
		require.NoError(t, os.RemoveAll(shipped))
		require.NoError(t, os.CopyFS(shipped, os.DirFS(b.Dir)))
		require.NoError(t, os.WriteFile("testdata/vector.canonical.json", canonicalOf(t, shipped), 0o600))
	}
	old, err := Open(shipped)
	require.NoError(t, err)
	require.NoError(t, Verify(old))
	assert.Equal(t, b.ID(), old.ID(), "the format changed: version 1 bundles must keep their ids")
	assert.Equal(t, b.Prompt, old.Prompt)

	canonical, err := os.ReadFile("testdata/vector.canonical.json")
	require.NoError(t, err)
	assert.Equal(t, string(canonical), string(canonicalOf(t, shipped)))
	sum := sha256.Sum256(canonical)
	assert.Equal(t, old.ID(), hex.EncodeToString(sum[:]))

	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "bundle.md"))
	require.NoError(t, err)
	guidance, err := os.ReadFile(filepath.Join(shipped, GuidanceFile))
	require.NoError(t, err)
	section, _ := old.section(Target{})
	for _, want := range []string{string(canonical), old.ID(), string(guidance), section} {
		assert.True(t, bytes.Contains(doc, []byte(want)), "docs/bundle.md lacks:\n%s", want)
	}
}

func canonicalOf(t *testing.T, dir string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, ManifestName))
	require.NoError(t, err)
	c, err := canonicalManifest(raw)
	require.NoError(t, err)
	return c
}

// TestCanonical has the cases of RFC 8785 that a manifest can meet.
func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1.0,"a":[-0.0,1e21,1e-7,123456789012345680000,0.1],"id":"x"}`: `{"a":[0,1e+21,1e-7,123456789012345680000,0.1],"b":1}`,
		`{"é":1,"e":"\u00e9\u2028<\/>","\ud83d\ude00":2,"\ufb33":3}`:        "{\"e\":\"é\u2028</>\",\"é\":1,\"😀\":2,\"\ufb33\":3}",
		`{"c":"\b\t\n\f\r\u0001\u001f\"\\"}`:                                `{"c":"\b\t\n\f\r\u0001\u001f\"\\"}`,
		`{ "n" : null , "t":true,"f":false, "o":{}, "l":[] }`:               `{"f":false,"l":[],"n":null,"o":{},"t":true}`,
	} {
		got, err := canonicalManifest([]byte(in))
		require.NoError(t, err, in)
		assert.Equal(t, want, string(got))
	}
	for _, bad := range []string{``, `[]`, `{"a":1,"a":2}`, `{} {}`, `{"a":1e999}`, `{"a":`, `{"a":[1,{"b":1,"b":1}]}`} {
		_, err := canonicalManifest([]byte(bad))
		assert.Error(t, err, bad)
	}
}

func TestDiff(t *testing.T) {
	a := writeVector(t, nil)
	assert.True(t, Diff(a, writeVector(t, nil)).Empty())
	b := writeVector(t, func(m *Manifest, p *Prompt) {
		m.Name, m.BaseModel, m.Gate.CILow = "travel assistant 2", "gpt-4.1-mini", nil
		p.Items[0].Text = "Look up the weather first."
		p.Items[1] = Item{ID: "g4", Text: "Answer in the user's language."}
	})
	d := Diff(a, b)
	assert.Equal(t, []Change{
		{"name", "travel assistant", "travel assistant 2"},
		{"gate.ci_low", "1e-07", ""},
		{"base_model", "", "gpt-4.1-mini"},
	}, d.Manifest)
	assert.Equal(t, []string{"g1", "g2", "g4"}, []string{d.Items[0].Name, d.Items[1].Name, d.Items[2].Name})
	assert.Len(t, d.Files, 3)

	var out bytes.Buffer
	require.NoError(t, d.WriteText(&out))
	for _, line := range []string{
		"  ~ name: travel assistant -> travel assistant 2\n",
		"  ~ g1: [task=\"weather\" agent=\"\"] Look up the weather before you build a packing list. -> [task=\"\" agent=\"\"] x",
		"  - gate.ci_low: 1e-07\n", "  + base_model: gpt-4.1-mini\n", "  + g4: Answer in the user's language.\n",
	} {
		if line[len(line)-1] == 'x' {
			line = line[:60]
		}
		assert.Contains(t, out.String(), line)
	}
}
