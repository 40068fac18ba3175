package bundle

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	write := func(name, content string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			name := filepath.Join(dir, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
			require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		}
	}
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		want   []string
	}{
		"changed":       {write(ReadmeFile, "x"), []string{"README.md: has 1 bytes", "restore it"}},
		"extra file":    {write("notes.txt", "x"), []string{"notes.txt: is not listed in bundle.json: remove it"}},
		"hidden extra":  {write("prompt/.x", "x"), []string{"prompt/.x: is not listed"}},
		"extra folder":  {write("adapter/x", "x"), []string{"adapter: is a directory that bundle.json does not list"}},
		"missing":       {remove(ReadmeFile), []string{"README.md: is missing", "restore it"}},
		"two at once":   {both(remove(ReadmeFile), write("z", "")), []string{"README.md: is missing", "z: is not listed"}},
		"file link":     {link(ReadmeFile), []string{"README.md: is not a plain file", "README.md: is a link"}},
		"folder link":   {linkFolder, []string{"prompt: is a link: replace it by the file itself"}},
		"same size":     {flip(ReadmeFile), []string{"README.md: its SHA-256 is", "restore it"}},
		"manifest gone": {remove(ManifestName), []string{"bundle.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := writeVector(t, nil)
			c.change(t, b.Dir)
			err := Verify(b)
			require.Error(t, err)
			for _, want := range c.want {
				assert.ErrorContains(t, err, want)
			}
			assert.ErrorContains(t, err, b.Dir)
		})
	}
}

func TestOpenRefusesWhatItReads(t *testing.T) {
	for _, name := range []string{ItemsFile, GuidanceFile} {
		b := writeVector(t, nil)
		flip(name)(t, b.Dir)
		_, err := Open(b.Dir)
		require.ErrorContains(t, err, name+": its SHA-256 is")
	}
	_, err := Open(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "name a directory that holds bundle.json")
}

func TestManifestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(map[string]any)
		want string
	}{
		"version": {func(m map[string]any) { m["version"] = 2 }, "version: is 2 and this build reads 1: upgrade tracegrad"},
		"status":  {func(m map[string]any) { m["status"] = "great" }, `status: is "great": use "released" or "candidate"`},
		"gate":    {func(m map[string]any) { m["gate"].(map[string]any)["passed"] = false }, `gate.passed is false`},
		"kind":    {func(m map[string]any) { m["kind"] = "" }, "kind: is empty"},
		"agents":  {func(m map[string]any) { m["agents"] = []any{" "} }, "agents[0]: is empty"},
		"time":    {func(m map[string]any) { delete(m, "created_at") }, "created_at: is missing"},
		"escape":  {setPath("../x"), `files[0].path: "../x" must be relative`},
		"root":    {setPath("/etc/passwd"), "must be relative"},
		"dots":    {setPath("prompt/../x"), "must be relative"},
		"windows": {setPath(`prompt\x`), "may hold only letters"},
		"drive":   {setPath("C:x"), "may hold only letters"},
		"self":    {setPath("Bundle.JSON"), "is the manifest itself"},
		"order":   {setPath("zz"), "must come after"},
		"digest":  {func(m map[string]any) { file(m)["sha256"] = "ABC" }, "README.md: is not a SHA-256"},
		"size":    {func(m map[string]any) { file(m)["size"] = 1 << 40 }, "README.md: is 1099511627776 bytes"},
		"below":   {func(m map[string]any) { file(m)["size"] = -1 }, "README.md: is -1 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			b := writeVector(t, nil)
			rewriteManifest(t, b.Dir, c.edit, true)
			_, err := Open(b.Dir)
			require.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, filepath.Join(b.Dir, ManifestName))
		})
	}
}

func TestManifestIsCoveredByTheID(t *testing.T) {
	b := writeVector(t, nil)
	rewriteManifest(t, b.Dir, func(m map[string]any) { m["name"] = "other" }, false)
	_, err := Open(b.Dir)
	require.ErrorContains(t, err, "id: is")
	require.ErrorContains(t, err, "the manifest was changed after it was written")

	b = writeVector(t, nil)
	rewriteManifest(t, b.Dir, func(m map[string]any) { m["of_version_1_7"] = []any{1, "x"} }, true)
	later, err := Open(b.Dir)
	require.NoError(t, err, "unknown members are kept")
	assert.NotEqual(t, b.ID(), later.ID())

	name := filepath.Join(b.Dir, ManifestName)
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	twice := strings.Replace(string(raw), `{`, `{"name":"other",`, 1)
	require.NoError(t, os.WriteFile(name, []byte(twice), 0o600))
	_, err = Open(b.Dir)
	require.ErrorContains(t, err, `key "name" is repeated`)
}

func TestPromptErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Prompt)
		want   string
	}{
		"id":        {func(p *Prompt) { p.Items[0].ID = "a b" }, `items[0] "a b": id: must be 1 to 64`},
		"twice":     {func(p *Prompt) { p.Items[1].ID = "g1" }, `items[1] "g1": id: is repeated`},
		"empty":     {func(p *Prompt) { p.Items[0].Text = " " }, "text: must have 1 to"},
		"delimiter": {func(p *Prompt) { p.Items[0].Text = "x </Tracegrad-Guidance>" }, "the section's delimiter"},
		"control":   {func(p *Prompt) { p.Items[0].Text = "x\x1b[31m" }, "control character at byte 1"},
		"utf8":      {func(p *Prompt) { p.Items[0].Text = "x\xff" }, "is not UTF-8"},
		"label":     {func(p *Prompt) { p.Items[0].Scope.Task = "a\nb" }, "scope.task: must be one line"},
		"intro":     {func(p *Prompt) { p.Intro = "a\nb" }, "intro: must be one line"},
		"long":      {func(p *Prompt) { p.Items = long(maxItems) }, "keep fewer items"},
		"many":      {func(p *Prompt) { p.Items = long(maxItems + 1) }, "at most 200 are allowed"},
		"demo":      {func(p *Prompt) { p.Demonstrations = []Demonstration{{ID: "d"}} }, "input and output must have text"},
		"demo id":   {func(p *Prompt) { p.Demonstrations = []Demonstration{{ID: "g1", Input: "a", Output: "b"}} }, "must be unique"},
	} {
		t.Run(name, func(t *testing.T) {
			m, p := vector()
			c.change(&p)
			_, err := PromptFiles(m, p)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestGuidanceMustBeWhatIsInjected(t *testing.T) {
	m, p := vector()
	files, err := PromptFiles(m, p)
	require.NoError(t, err)
	files[GuidanceFile] = append(files[GuidanceFile], "- and obey\n"...)
	_, err = Write(filepath.Join(t.TempDir(), "b"), m, files)
	require.ErrorContains(t, err, "what people read must be what models read")
}

func long(n int) []Item {
	items := make([]Item, n)
	for i := range items {
		items[i] = Item{ID: strings.Repeat("x", i%60+1) + string(rune('a'+i/60)), Text: strings.Repeat("y", 1000)}
	}
	return items
}

func file(m map[string]any) map[string]any { return m["files"].([]any)[0].(map[string]any) }

func setPath(p string) func(map[string]any) {
	return func(m map[string]any) { file(m)["path"] = p }
}

// rewriteManifest edits bundle.json, optionally with a fitting id.
func rewriteManifest(t *testing.T, dir string, edit func(map[string]any), reseal bool) {
	t.Helper()
	name := filepath.Join(dir, ManifestName)
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(raw, &m))
	edit(m)
	raw, err = json.Marshal(m)
	require.NoError(t, err)
	if reseal {
		m["id"], err = digestManifest(raw)
		require.NoError(t, err)
		raw, err = json.Marshal(m)
		require.NoError(t, err)
	}
	require.NoError(t, os.WriteFile(name, raw, 0o600))
}

func remove(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
	}
}

func both(a, b func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		a(t, dir)
		b(t, dir)
	}
}

func link(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		outside := filepath.Join(t.TempDir(), "outside")
		require.NoError(t, os.Rename(filepath.Join(dir, name), outside))
		require.NoError(t, os.Symlink(outside, filepath.Join(dir, name)))
	}
}

func linkFolder(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.Rename(filepath.Join(dir, "prompt"), filepath.Join(dir, "moved")))
	require.NoError(t, os.Symlink("moved", filepath.Join(dir, "prompt")))
}

func flip(name string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		name := filepath.Join(dir, name)
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		raw[len(raw)/2] ^= 1
		require.NoError(t, os.WriteFile(name, raw, 0o600))
	}
}
