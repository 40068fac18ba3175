package trainer

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// Load reads a config file. Relative paths in it are relative to its folder.
// The error holds every problem of the file, each with file:line:column, the key
// and the fix.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read config: %w", err)
	}
	c, err := Parse(path, text)
	if err != nil {
		return Config{}, err
	}
	dir := filepath.Dir(path)
	for _, p := range []*string{&c.Dataset, &c.Rewards.File, &c.Runs, &c.Bundles, &c.Adapter.Folder} {
		if *p != "" && !filepath.IsAbs(*p) && (p != &c.Dataset || !bucket.IsURL(*p)) {
			*p = filepath.Join(dir, *p)
		}
	}
	return c, nil
}

// Parse reads the bytes of a config file; name is what errors call it. Paths
// stay as they are.
func Parse(name string, text []byte) (Config, error) {
	c := Default()
	d := &decoder{file: name}
	d.decode(text, &c)
	if len(d.problems) == 0 {
		d.check(&c)
	}
	c.places = placesOf(name, d.at)
	return c, d.err()
}

var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// requirement reports a key's value if ok is false.
type requirement func(ok bool, key, message, fix string)

// check reports values that are of the right type and make no sense.
func (d *decoder) check(c *Config) {
	require := requirement(func(ok bool, key, message, fix string) {
		if !ok {
			d.fail(d.at[key], key, message, fix)
		}
	})
	require(c.Dataset != "", "dataset", "is missing", "name the directory that the parquet exporter writes to")
	if err := bucket.Check(c.Dataset); err != nil {
		require(false, "dataset", "is wrong", err.Error())
	}
	require(c.Rewards.File != "", "rewards.file", "is missing", "name the rewards file that the collector uses: rewards: {file: rewards.yaml}")
	require(runName.MatchString(c.Name), "name", fmt.Sprintf("%q is not a name", c.Name), "use letters, digits, . _ -, at most 64")
	require(c.MinAge >= 0, "min_age", "is negative", "use a duration such as 1h, or 0s")
	require(c.Window >= 0, "window", "is negative", "use a duration such as 24h, or all")
	require(c.Window == 0 || int64(c.Window) > int64(c.MinAge), "min_age", "leaves nothing of the window", "make window longer than min_age")
	require(c.GroupBy != "", "group_by", "is empty", "use task_key, or remove the key")
	require(c.Gate.HoldoutBy != "", "gate.holdout_by", "is empty", "use task_key, or remove the key")
	require(1 <= c.Policy.MaxItems && c.Policy.MaxItems <= 50, "policy.max_items", "is out of range", "use 1 to 50")
	require(2 <= c.Policy.MinSupport, "policy.min_support", "is too small", "use 2 or more")
	require(c.Policy.Demonstrations <= 20, "policy.demonstrations", "is out of range", "use off, or 1 to 20")
	h := c.Gate.Holdout
	require(0 < h && h < 1, "gate.holdout", fmt.Sprintf("%v is out of range", h), "use a share between 0 and 1, such as 0.2")
	require(1 <= c.Gate.MinSupport, "gate.min_support", "is too small", "use 1 or more")
	require(0.5 <= c.Gate.Confidence && c.Gate.Confidence < 1, "gate.confidence", fmt.Sprintf("%v is out of range", c.Gate.Confidence), "use a share such as 0.95")
	require(!math.IsNaN(c.Gate.Threshold) && c.Gate.Threshold >= 0, "gate.threshold", "is negative", "use 0, or how much better the guidance must be at least")
	require(c.MaxUses >= 0, "max_uses", "is negative", "use 1, or 0 for any number of nights")
	require(c.Most >= 0, "max_trajectories", "is negative", "use a number such as 10000, or 0 for any number")
	require(c.Runs != "", "runs", "is empty", "name a directory, or remove the key")
	require(c.Bundles != "", "bundles", "is empty", "name a directory, or remove the key")
	kinds := map[string]func(*Config, requirement){KindPrompt: checkPrompt, KindAdapter: checkAdapter}
	check := kinds[c.Policy.Kind]
	require(check != nil, "policy.kind", fmt.Sprintf("%q is not known", c.Policy.Kind), "use prompt or adapter")
	if check != nil {
		check(c, require)
	}
}

// checkPrompt reports what guidance cannot be learned with.
func checkPrompt(c *Config, require requirement) {
	require(c.Gate.Server == "", "gate.server", "is for adapters", "set policy: adapter, or remove the key: guidance is judged by what agents did")
	require(c.Algorithm.Name == "grpo", "algorithm.name", fmt.Sprintf("%q is not known", c.Algorithm.Name), "use grpo")
	n := c.Algorithm.Normalize
	require(n == "" || n == grpo.Std || n == grpo.None, "algorithm.normalize", fmt.Sprintf("%q is not known", n), "use std (GRPO) or none (Dr.GRPO)")
}
