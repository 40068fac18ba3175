package trainer

import (
	"encoding"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"encoding/json"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each case holds train.yaml and error: what the user is told, "" = nothing.
func TestParse(t *testing.T) {
	cases, err := filepath.Glob("testdata/config/*.txtar")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(cases), 8)
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			require.Len(t, archive.Files, 2)
			want := strings.TrimSpace(string(archive.Files[1].Data))
			_, err = Parse("train.yaml", archive.Files[0].Data)
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			assert.Equal(t, want, err.Error())
		})
	}
}

func TestLoadResolvesPaths(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "train.yaml")
	require.NoError(t, os.WriteFile(path, []byte("dataset: data\nrewards: {file: /etc/rewards.yaml}\nwindow: 24h\n"), 0o600))
	c, err := Load(path)
	require.NoError(t, err)
	want := Default()
	want.Dataset, want.Rewards.File, want.Runs, want.Bundles = filepath.Join(dir, "data"), "/etc/rewards.yaml", filepath.Join(dir, "runs"), filepath.Join(dir, "bundles")
	require.NoError(t, want.Window.UnmarshalText([]byte("24h")))
	assert.Equal(t, place{path, 1, false}, c.places["dataset"])
	c.places = nil
	assert.Equal(t, want, c)

	_, err = Load(filepath.Join(dir, "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestConfigSurvivesJSON(t *testing.T) {
	c := Default()
	c.Policy.Demonstrations = 3
	require.NoError(t, c.MinAge.UnmarshalText([]byte("90m")))
	text, err := json.Marshal(c)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"window":"all"`)
	assert.Contains(t, string(text), `"min_age":"1h30m0s"`)
	assert.Contains(t, string(text), `"demonstrations":"3"`)
	var got Config
	require.NoError(t, json.Unmarshal(text, &got))
	assert.Equal(t, c, got)
}

// docs/training.md lists every key with its default, in the order of the struct.
func TestReferenceIsComplete(t *testing.T) {
	text, err := os.ReadFile("../docs/training.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| ([^|]+) \\| [^|]+ \\|$")
	var documented [][2]string
	for _, found := range row.FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, [2]string{found[1], strings.Trim(found[2], "` ")})
	}
	var want [][2]string
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			key, field := path+v.Type().Field(i).Tag.Get("yaml"), v.Field(i)
			if _, whole := field.Addr().Interface().(encoding.TextUnmarshaler); field.Kind() == reflect.Struct && !whole {
				walk(key+".", field)
				continue
			}
			text, err := json.Marshal(field.Interface())
			require.NoError(t, err)
			want = append(want, [2]string{key, strings.Trim(string(text), `"`)})
		}
	}
	defaults := Default()
	walk("", reflect.ValueOf(&defaults).Elem())
	said := map[string]string{ // what an empty default means
		"dataset": "required", "rewards.file": "required", "where": "none", "agents": "all", "base": "label `production`, if set",
		"algorithm.normalize": "the algorithm's", "algorithm.reduce": "the algorithm's", "algorithm.clip_low": "the algorithm's", "algorithm.clip_high": "the algorithm's",
		"adapter.base_model": "required for adapters", "adapter.folder": "base_model", "adapter.engine": "our worker", "adapter.models": "the base model",
		"adapter.lora.alpha": "twice the rank", "adapter.lora.targets": "both",
		"gate.server": "nobody is asked", "gate.model": "adapter.base_model", "gate.task_facts": "none",
	}
	for _, key := range []string{"cap", "token_low", "token_high", "sequence_low", "sequence_high", "veto", "stale"} {
		said["algorithm.off_policy."+key] = "the kind's"
	}
	for i := range want {
		if words, ok := said[want[i][0]]; ok {
			want[i][1] = words
		}
	}
	assert.Equal(t, want, documented)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("dataset: a\nrewards: {file: b}\n"))
	f.Add([]byte("gate: {holdout: .nan}\nagents: [a, [b]]\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("train.yaml", text)
		if err == nil && (c.Gate.Holdout <= 0 || c.Gate.Holdout >= 1 || c.Dataset == "") {
			t.Fatalf("%+v was let through", c)
		}
	})
}

func TestShippedAdapterExample(t *testing.T) {
	c, err := Load("../examples/adapter/train.yaml")
	require.NoError(t, err)
	assert.Equal(t, KindAdapter, c.Policy.Kind)
	assert.Equal(t, filepath.Join("..", "examples", "adapter", "models", "Qwen3-0.6B"), c.Adapter.Folder)
	assert.Equal(t, []string{"attn", "mlp"}, c.Adapter.LoRA.Targets)
	assert.Equal(t, "truncate", c.Algorithm.OffPolicy.Kind)
}
