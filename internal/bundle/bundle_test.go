package bundle

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func ptr[T any](v T) *T { return &v }

// vector is the manifest and prompt of testdata/vector, the test vector of
// docs/bundle.md.
func vector() (Manifest, Prompt) {
	m := Manifest{
		Kind:      KindPrompt,
		Name:      "travel assistant",
		Status:    StatusReleased,
		CreatedAt: time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC),
		Agents:    []string{"shop-assistant"},
		Provenance: Provenance{
			Dataset: "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
			Run:     "01JDA6V8Q0000000000000000A",
		},
		Gate: Gate{
			Passed: true, Metric: "mean return, matched on task", Estimate: ptr(0.25),
			CILow: ptr(1e-7), CIHigh: ptr(0.5), Support: 24, Holdout: 31,
		},
	}
	p := Prompt{Items: []Item{
		{
			ID: "g1", Text: "Look up the weather before you build a packing list.",
			Scope:    Scope{Task: "weather"},
			Evidence: map[string]float64{"difference": 0.5, "groups": 4},
		},
		{ID: "g2", Text: "Name the source of every fact – “[doc:…]”.\nOne is enough."},
		{ID: "g3", Text: "Hand over to billing when a refund is asked for.", Scope: Scope{Agent: "triage"}},
	}}
	return m, p
}

// writeVector writes the vector's bundle to a new directory.
func writeVector(tb testing.TB, change func(*Manifest, *Prompt)) *Bundle {
	tb.Helper()
	m, p := vector()
	if change != nil {
		change(&m, &p)
	}
	files, err := PromptFiles(m, p)
	require.NoError(tb, err)
	b, err := Write(filepath.Join(tb.TempDir(), "b"), m, files)
	require.NoError(tb, err)
	return b
}

func TestWriteOpenVerify(t *testing.T) {
	b := writeVector(t, nil)
	require.NoError(t, Verify(b))

	again, err := Open(b.Dir)
	require.NoError(t, err)
	require.NoError(t, Verify(again))
	assert.Equal(t, b, again)

	_, p := vector()
	assert.Equal(t, &p, again.Prompt)
	assert.Equal(t, Version, again.Manifest.Version)
	assert.Len(t, again.ID(), 64)
	assert.Len(t, again.Manifest.Files, 3)
}

func TestWriteLeavesNothingBehind(t *testing.T) {
	b := writeVector(t, nil)
	parent := filepath.Dir(b.Dir)

	m, p := vector()
	files, err := PromptFiles(m, p)
	require.NoError(t, err)
	_, err = Write(b.Dir, m, files)
	require.ErrorContains(t, err, "is already there: bundles are immutable")

	empty := filepath.Join(parent, "empty")
	require.NoError(t, os.Mkdir(empty, 0o755))
	_, err = Write(empty, m, files)
	require.ErrorContains(t, err, "is already there")

	m.Name = ""
	_, err = Write(filepath.Join(parent, "c"), m, files)
	require.ErrorContains(t, err, "name: must have")

	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	assert.Equal(t, []string{"b", "empty"}, names)
}

func TestIDIsDeterministic(t *testing.T) {
	a, b := writeVector(t, nil), writeVector(t, nil)
	assert.Equal(t, a.ID(), b.ID())

	late := writeVector(t, func(m *Manifest, _ *Prompt) { m.CreatedAt = m.CreatedAt.Add(999 * time.Millisecond) })
	assert.Equal(t, a.ID(), late.ID(), "parts of a second are cut")
	zone := writeVector(t, func(m *Manifest, _ *Prompt) { m.CreatedAt = m.CreatedAt.In(time.FixedZone("x", 3600)) })
	assert.Equal(t, a.ID(), zone.ID(), "the zone does not matter")

	for name, change := range map[string]func(*Manifest, *Prompt){
		"second":   func(m *Manifest, _ *Prompt) { m.CreatedAt = m.CreatedAt.Add(time.Second) },
		"name":     func(m *Manifest, _ *Prompt) { m.Name += "!" },
		"text":     func(_ *Manifest, p *Prompt) { p.Items[0].Text += "!" },
		"evidence": func(_ *Manifest, p *Prompt) { p.Items[0].Evidence = nil },
		"estimate": func(m *Manifest, _ *Prompt) { m.Gate.Estimate = nil },
	} {
		assert.NotEqual(t, a.ID(), writeVector(t, change).ID(), name)
	}
}

func TestAddIsIdempotent(t *testing.T) {
	root := filepath.Join(t.TempDir(), "bundles")
	m, p := vector()
	files, err := PromptFiles(m, p)
	require.NoError(t, err)

	a, err := Add(root, m, files)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(root, a.ID()), a.Dir)
	b, err := Add(root, m, files)
	require.NoError(t, err)
	assert.Equal(t, a, b)

	require.NoError(t, os.WriteFile(filepath.Join(a.Dir, "extra"), nil, 0o600))
	_, err = Add(root, m, files)
	require.ErrorContains(t, err, "extra: is not listed")
}

func TestLabels(t *testing.T) {
	root := t.TempDir()
	m, p := vector()
	files, err := PromptFiles(m, p)
	require.NoError(t, err)
	first, err := Add(root, m, files)
	require.NoError(t, err)
	m.Name = "second"
	second, err := Add(root, m, files)
	require.NoError(t, err)

	_, err = Resolve(root, LabelProduction)
	require.ErrorIs(t, err, os.ErrNotExist)

	for _, b := range []*Bundle{first, second, first} {
		require.NoError(t, SetLabel(root, LabelProduction, b.ID()))
		dir, err := Resolve(root, LabelProduction)
		require.NoError(t, err)
		assert.Equal(t, b.Dir, dir)
	}
	dir, err := Resolve(root, second.ID())
	require.NoError(t, err)
	assert.Equal(t, second.Dir, dir)

	entries, err := os.ReadDir(filepath.Join(root, "labels"))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file stays")

	require.ErrorContains(t, SetLabel(root, "../x", first.ID()), "label \"../x\"")
	require.ErrorContains(t, SetLabel(root, LabelCanary, "abc"), "not a bundle id")
	require.ErrorIs(t, SetLabel(root, LabelCanary, m.ID+zeros), os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(root, "labels", LabelCanary), []byte("../../etc"), 0o600))
	_, err = Resolve(root, LabelCanary)
	require.ErrorContains(t, err, "must hold one bundle id")
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

func TestAdapterBundle(t *testing.T) {
	root := t.TempDir()
	m := Manifest{Kind: KindAdapter, Name: "a", Status: StatusCandidate, CreatedAt: time.Unix(1, 0), BaseModel: "m"}
	adapter := map[string][]byte{"adapter_config.json": []byte("{}"), "adapter_model.safetensors": []byte("x")}
	files, err := AdapterFiles(m, adapter)
	require.NoError(t, err)
	b, err := Add(root, m, files)
	require.NoError(t, err)
	require.NoError(t, Verify(b))
	opened, err := Open(b.Dir)
	require.NoError(t, err)
	assert.Nil(t, opened.Prompt)
	assert.Equal(t, "m", opened.Manifest.BaseModel)

	_, err = AdapterFiles(m, map[string][]byte{"adapter_config.json": []byte("{}")})
	require.ErrorContains(t, err, "adapter_model.safetensors is missing")
	_, err = AdapterFiles(m, map[string][]byte{"../x": []byte("{}")})
	require.ErrorContains(t, err, "is not the name of a file")
	_, err = AdapterFiles(Manifest{}, adapter)
	require.ErrorContains(t, err, "base_model is empty")
	delete(files, AdapterWeightsFile)
	_, err = Add(root, m, files)
	require.ErrorContains(t, err, AdapterWeightsFile)
}
