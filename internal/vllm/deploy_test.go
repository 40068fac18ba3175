package vllm

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

const adapters = "../bundle/testdata/adapters"

// packed is a bundle of an adapter that PEFT saved.
func packed(tb testing.TB, name string, change ...func(map[string]any)) *bundle.Bundle {
	tb.Helper()
	read := func(file string) []byte {
		raw, err := os.ReadFile(filepath.Join(adapters, name, file))
		require.NoError(tb, err)
		return raw
	}
	var config map[string]any
	require.NoError(tb, json.Unmarshal(read("adapter_config.json"), &config))
	for _, c := range change {
		c(config)
	}
	raw, err := json.Marshal(config)
	require.NoError(tb, err)
	base, _ := config["base_model_name_or_path"].(string)
	m := bundle.Manifest{Kind: bundle.KindAdapter, Name: name, Status: bundle.StatusReleased, BaseModel: base, CreatedAt: time.Unix(1, 0), Gate: bundle.Gate{Passed: true}}
	files, err := bundle.AdapterFiles(m, map[string][]byte{"adapter_config.json": raw, "adapter_model.safetensors": read("adapter_model.safetensors")})
	require.NoError(tb, err)
	b, err := bundle.Add(filepath.Join(tb.TempDir(), "bundles"), m, files)
	require.NoError(tb, err)
	return b
}

// live is a server that was started with --model models/base and answers what the
// recorded one answered.
type live struct {
	t        testing.TB
	loaded   map[string]string // name → path
	resolver string            // the folder that its resolver looks into
	refuse   string            // the recorded answer to every load
	mute     string            // the recorded answer to every completion of an adapter
	hide     bool              // does not list what it serves
	changes  []string          // loads and unloads, in order
	asked    int
}

func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name  string `json:"lora_name"`
		Path  string `json:"lora_path"`
		Model string
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	l.asked++
	reply := func(name string, names ...string) { recorded(l.t, name).write(w, names...) }
	switch r.URL.Path {
	case "/v1/models":
		l.list(w)
	case "/v1/load_lora_adapter":
		_, has := l.loaded[body.Name]
		switch {
		case l.refuse != "":
			reply(l.refuse)
		case has:
			reply("loaded_again", "policy@v1", body.Name)
		default:
			_, err := os.Stat(filepath.Join(body.Path, "adapter_model.safetensors"))
			assert.NoError(l.t, err, "the path is one that the server can read")
			l.loaded[body.Name] = body.Path
			l.changes = append(l.changes, "load "+body.Name)
			reply("loaded", "policy@v1", body.Name)
		}
	case "/v1/unload_lora_adapter":
		if _, has := l.loaded[body.Name]; !has {
			reply("unloaded_again", "policy@v1", body.Name)
			return
		}
		delete(l.loaded, body.Name)
		l.changes = append(l.changes, "unload "+body.Name)
		reply("unloaded", "policy@v1", body.Name)
	case "/v1/completions":
		l.resolve(body.Model)
		switch _, has := l.loaded[body.Model]; {
		case has && l.mute != "":
			reply(l.mute)
		case has:
			reply("resolver_completion", "plain2", body.Model)
		default:
			reply("unknown_model", "policy@v1", body.Model)
		}
	default:
		reply("no_such_path")
	}
}

func (l *live) list(w http.ResponseWriter) {
	e := recorded(l.t, "models")
	var doc map[string]any
	assert.NoError(l.t, json.Unmarshal([]byte(strings.ReplaceAll(e.Response, "tiny", "models/base")), &doc))
	data := doc["data"].([]any)
	base, adapter := data[0], data[1].(map[string]any)
	list := []any{base}
	for name, path := range l.loaded {
		entry := map[string]any{}
		for k, v := range adapter {
			entry[k] = v
		}
		entry["id"], entry["root"] = name, path
		if !l.hide {
			list = append(list, entry)
		}
	}
	doc["data"] = list
	assert.NoError(l.t, json.NewEncoder(w).Encode(doc))
}

// resolve does what vLLM's filesystem resolver does with a name that it does not
// know.
func (l *live) resolve(name string) {
	raw, err := os.ReadFile(filepath.Join(l.resolver, name, "adapter_config.json"))
	if l.resolver == "" || err != nil {
		return
	}
	var config struct {
		Base string `json:"base_model_name_or_path"`
	}
	assert.NoError(l.t, json.Unmarshal(raw, &config))
	if _, has := l.loaded[name]; !has && config.Base == "models/base" {
		l.loaded[name] = filepath.Join(l.resolver, name)
		l.changes = append(l.changes, "load "+name)
	}
}

func deployTo(t *testing.T, l *live) *Server {
	l.t = t
	if l.loaded == nil {
		l.loaded = map[string]string{"running": "/srv/running"}
	}
	return connect(t, l.ServeHTTP)
}

func options(change ...func(*Options)) Options {
	o := Options{BaseDir: adapters + "/base", MaxRank: 16}
	for _, c := range change {
		c(&o)
	}
	return o
}

func TestDeployByRuntimeLoad(t *testing.T) {
	b := packed(t, "plain")
	l := &live{}
	s := deployTo(t, l)
	dry, err := Deploy(t.Context(), s, b, options(func(o *Options) { o.DryRun = true }))
	require.NoError(t, err)
	assert.True(t, dry.Loaded && dry.DryRun)
	assert.Empty(t, l.changes)

	d, err := Deploy(t.Context(), s, b, options())
	require.NoError(t, err)
	path, err := filepath.Abs(filepath.Join(b.Dir, "adapter"))
	require.NoError(t, err)
	assert.Equal(t, Deployment{Bundle: b.ID(), Name: "base-" + bundle.ShortID(b.ID()), Server: s.URL(), Base: "base", Path: path, Loaded: true}, d)
	assert.Equal(t, path, l.loaded[d.Name])

	again, err := Deploy(t.Context(), s, b, options())
	require.NoError(t, err)
	d.Loaded = false
	assert.Equal(t, d, again, "what is deployed is done")
	assert.Equal(t, []string{"load " + d.Name}, l.changes)

	was, err := Undeploy(t.Context(), s, b, "")
	require.NoError(t, err)
	assert.True(t, was)
	was, err = Undeploy(t.Context(), s, b, "")
	require.NoError(t, err)
	assert.False(t, was)
	assert.Equal(t, "/srv/running", l.loaded["running"])
}

func TestDeployByResolver(t *testing.T) {
	dir := t.TempDir()
	b := packed(t, "plain")
	l := &live{resolver: dir}
	s := deployTo(t, l)
	in := func(o *Options) { o.ResolverDir = dir }
	for i := range 2 {
		d, err := Deploy(t.Context(), s, b, options(in))
		require.NoError(t, err)
		assert.Equal(t, i == 0, d.Loaded)
		assert.Equal(t, filepath.Join(dir, b.AdapterName()), d.Path)
	}
	for _, f := range []string{"adapter_config.json", "adapter_model.safetensors"} {
		want, err := os.ReadFile(filepath.Join(b.Dir, "adapter", f))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dir, b.AdapterName(), f))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	assert.Len(t, entries(t, dir), 1, "nothing else is left")

	// What is there is never rewritten.
	name := filepath.Join(dir, b.AdapterName(), "adapter_model.safetensors")
	require.NoError(t, os.WriteFile(name, []byte("x"), 0o600))
	_, err := Deploy(t.Context(), s, b, options(in))
	require.ErrorContains(t, err, "is there and adapter_model.safetensors is another: a name is never used twice")
	require.NoError(t, os.Remove(name))
	_, err = Deploy(t.Context(), s, b, options(in))
	require.ErrorContains(t, err, "is there and is not whole")
	assert.Contains(t, l.loaded, b.AdapterName(), "and what serves is not taken out")

	was, err := Undeploy(t.Context(), s, b, dir)
	require.NoError(t, err)
	assert.True(t, was)
	assert.Empty(t, entries(t, dir))
	_, err = Deploy(t.Context(), s, b, options(func(o *Options) { o.ResolverDir = filepath.Join(dir, "none") }))
	require.ErrorContains(t, err, "is no folder")
}

func entries(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	e, err := os.ReadDir(dir)
	require.NoError(t, err)
	return e
}

// TestDeployWithAnotherName: the resolver compares names, so the copy has the
// server's.
func TestDeployWithAnotherName(t *testing.T) {
	dir := t.TempDir()
	b := packed(t, "plain", func(c map[string]any) { c["base_model_name_or_path"] = "org/elsewhere" })
	l := &live{resolver: dir}
	s := deployTo(t, l)
	_, err := Deploy(t.Context(), s, b, options(func(o *Options) { o.ResolverDir = dir }))
	require.EqualError(t, err, "deploy "+b.Dir+`: is an adapter of "org/elsewhere", and the server serves "models/base" (as "base"): vLLM would load it without a word and answer with noise; `+
		"deploy it to a server of that model, or, if it is that model under another name, say so with --same-base")
	assert.Empty(t, l.changes)
	for range 2 {
		d, err := Deploy(t.Context(), s, b, options(func(o *Options) { o.ResolverDir, o.SameBase = dir, true }))
		require.NoError(t, err)
		assert.Equal(t, "elsewhere-"+bundle.ShortID(b.ID()), d.Name)
	}
}

// TestBadAdaptersNeverReachTheServer: what vLLM refuses late, and what it loads
// without a word.
func TestBadAdaptersNeverReachTheServer(t *testing.T) {
	for name, want := range map[string]string{
		"dora": "use_dora: is true", "mts": "modules_to_save: is", "rank32": "r: is 32, and the server takes ranks up to 16", "bias": `bias: is "all"`,
	} {
		l := &live{}
		_, err := Deploy(t.Context(), deployTo(t, l), packed(t, name), options())
		require.ErrorContains(t, err, want)
		assert.Equal(t, 1, l.asked, "only the list of models was asked for")
	}
	l := &live{}
	b := packed(t, "plain", func(c map[string]any) { c["r"] = 4 })
	_, err := Deploy(t.Context(), deployTo(t, l), b, options())
	require.ErrorContains(t, err, "has shape [8 24], where the base model and rank 4 need [4 24]")
	assert.Empty(t, l.changes)

	b = packed(t, "plain")
	require.NoError(t, os.WriteFile(filepath.Join(b.Dir, "adapter", "adapter_model.safetensors"), []byte("x"), 0o600))
	_, err = Deploy(t.Context(), deployTo(t, l), b, options())
	require.ErrorContains(t, err, "the file was changed; restore it")
	_, err = Deploy(t.Context(), deployTo(t, l), packed(t, "plain"), options(func(o *Options) { o.BaseDir = "" }))
	require.ErrorIs(t, err, bundle.ErrNoShapes)
	require.ErrorContains(t, err, "name a folder with its config.json or its weights with --base")
	assert.Empty(t, l.changes)
}

// TestFailedDeploymentIsTakenBack: the server is left as it was, and the error
// says what it said.
func TestFailedDeploymentIsTakenBack(t *testing.T) {
	for name, c := range map[string]struct {
		live     live
		resolver bool
		want     string
	}{
		"load refused":        {live{refuse: "corrupt"}, false, "incomplete metadata, file not fully covered"},
		"no run-time loads":   {live{refuse: "no_such_path"}, false, "start vLLM with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"},
		"does not answer":     {live{mute: "resolver_unloadable"}, false, "was found but could not be loaded"},
		"not listed":          {live{hide: true}, false, "the server answers, and does not list it among its 1 models"},
		"resolver is blind":   {live{}, true, "VLLM_LORA_RESOLVER_CACHE_DIR set to this folder"},
		"resolver: no answer": {live{mute: "resolver_unloadable", resolver: "here"}, true, "was found but could not be loaded"},
	} {
		t.Run(name, func(t *testing.T) {
			l, dir := &c.live, t.TempDir()
			if l.resolver != "" {
				l.resolver = dir
			}
			s := deployTo(t, l)
			b := packed(t, "plain")
			d, err := Deploy(t.Context(), s, b, options(func(o *Options) {
				if c.resolver {
					o.ResolverDir = dir
				}
			}))
			require.ErrorContains(t, err, "deploy "+b.AdapterName()+": ")
			require.ErrorContains(t, err, c.want)
			assert.False(t, d.Loaded)
			assert.Equal(t, map[string]string{"running": "/srv/running"}, l.loaded)
			assert.Empty(t, entries(t, dir))
		})
	}
}

// TestDeployedBeforeStays: one that was there before is not taken out because
// a check of it fails.
func TestDeployedBeforeStays(t *testing.T) {
	b := packed(t, "plain")
	l := &live{mute: "unknown_model", loaded: map[string]string{b.AdapterName(): "/srv/x"}}
	_, err := Deploy(t.Context(), deployTo(t, l), b, options())
	require.Error(t, err)
	assert.Contains(t, l.loaded, b.AdapterName())
	assert.Empty(t, l.changes)
}

func TestFindShapes(t *testing.T) {
	b := packed(t, "plain")
	hub := t.TempDir()
	t.Setenv("HF_HUB_CACHE", hub)
	dir := filepath.Join(hub, "models--models--base", "snapshots", "c1")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(hub, "models--models--base", "refs"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(hub, "models--models--base", "refs", "main"), []byte("c1\n"), 0o600))
	require.NoError(t, os.CopyFS(dir, os.DirFS(adapters+"/base")))
	l := &live{}
	_, err := Deploy(t.Context(), deployTo(t, l), b, Options{MaxRank: 16, DryRun: true})
	require.NoError(t, err)

	t.Setenv("HF_HUB_CACHE", t.TempDir())
	_, err = findShapes(b, "models/base", Options{})
	require.ErrorIs(t, err, bundle.ErrNoShapes)
	shapes, err := findShapes(b, adapters+"/base", Options{})
	require.NoError(t, err)
	assert.Contains(t, shapes, "lm_head")
	_, _, err = findBase(b, []Model{{ID: "x", Root: "y"}, {ID: "models/base", Root: "/m", Parent: "x"}}, Options{})
	require.ErrorContains(t, err, `the server serves "y" (as "x")`)
	id, root, err := findBase(b, []Model{{ID: "models/base", Root: "/m"}}, Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{"models/base", "/m"}, []string{id, root})
	assert.True(t, sameFolder(adapters, adapters+"/base/.."))
}
