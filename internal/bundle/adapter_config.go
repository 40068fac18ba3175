package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// adapterConfig is what decides of an adapter_config.json.
type adapterConfig struct {
	BaseModel string          `json:"base_model_name_or_path"`
	Type      string          `json:"peft_type"`
	Rank      int64           `json:"r"`
	Alpha     *float64        `json:"lora_alpha"`
	Targets   json.RawMessage `json:"target_modules"`

	RankPattern map[string]int64 `json:"rank_pattern"`

	// Where these are set, not every layer has every target.
	Exclude  json.RawMessage `json:"exclude_modules"`
	Layers   json.RawMessage `json:"layers_to_transform"`
	Bias     *string         `json:"bias"`
	Inits    json.RawMessage `json:"init_lora_weights"`
	settings map[string]json.RawMessage
}

// unserved are the settings that change what an adapter does and that vLLM
// refuses or, worse, leaves out. They must be absent, null, false or empty.
var unserved = []struct{ key, why string }{
	{"use_dora", "vLLM does not serve DoRA: train without it"},
	{"modules_to_save", "vLLM serves no whole modules beside LoRA: train with target_modules alone"},
	{"lora_bias", "vLLM serves no bias: train without it"},
	{"layer_replication", "vLLM does not serve it: train without it"},
	{"trainable_token_indices", "vLLM does not serve it: train without it"},
	{"target_parameters", "vLLM does not serve it for every model: train with target_modules alone"},
	{"alora_invocation_tokens", "vLLM does not serve activated LoRA: train without it"},
	{"use_bdlora", "vLLM does not serve block-diagonal LoRA: train without it"},
	{"use_qalora", "vLLM does not serve QALoRA: train without it"},
}

// plainInits leave the base model as it is.
var plainInits = []string{"gaussian", "eva", "orthogonal", "mica", "lora_ga"}

func parseAdapterConfig(raw []byte) (c adapterConfig, err error) {
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("%s: is no configuration of an adapter: %w: write it again", AdapterConfigFile, err)
	}
	return c, json.Unmarshal(raw, &c.settings)
}

// check says what a server with the given highest rank would refuse, or would
// serve wrongly.
func (c *adapterConfig) check(maxRank int) error {
	var errs []error
	fail := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %s", AdapterConfigFile, key, fmt.Sprintf(format, args...)))
	}
	if c.Type != "LORA" {
		fail("peft_type", "is %q: only LORA is served", c.Type)
	}
	if c.BaseModel == "" {
		fail("base_model_name_or_path", "is missing: name the model that the adapter was trained on")
	}
	if c.Alpha == nil {
		fail("lora_alpha", "is missing: the adapter's strength is not known")
	}
	if _, _, err := c.targets(); err != nil {
		errs = append(errs, err)
	}
	ranks := map[string]int64{"r": c.Rank}
	for pattern, r := range c.RankPattern {
		ranks["rank_pattern: "+pattern] = r
	}
	for _, key := range slices.Sorted(maps.Keys(ranks)) {
		switch r := ranks[key]; {
		case r <= 0:
			fail(key, "is %d: a rank is 1 or more", r)
		case r > int64(maxRank):
			fail(key, "is %d, and the server takes ranks up to %d: train a smaller one, or start the server with --max-lora-rank and say so here with --max-rank", r, maxRank)
		}
	}
	for _, u := range unserved {
		if raw := c.settings[u.key]; !unset(raw) {
			fail(u.key, "is %s: %s", compact(raw), u.why)
		}
	}
	if c.Bias != nil && *c.Bias != "none" {
		fail("bias", "is %q: vLLM serves no bias: train with none", *c.Bias)
	}
	var init string
	if json.Unmarshal(c.Inits, &init) == nil && init != "" && !slices.Contains(plainInits, strings.ToLower(init)) {
		fail("init_lora_weights", "is %q, which changes the base model's weights: convert the adapter to a plain one", init)
	}
	return errors.Join(errs...)
}

func unset(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "false", "[]", "{}", `""`:
		return true
	}
	return false
}

// targets are the names that target_modules lists. A text is a regular
// expression of Python's, which is not read: listed is false then.
func (c *adapterConfig) targets() (names []string, listed bool, err error) {
	fault := fmt.Errorf("%s: target_modules: is %s: list the modules that the adapter changes, such as q_proj", AdapterConfigFile, targetsText(c.Targets))
	var text string
	if json.Unmarshal(c.Targets, &text) == nil && text != "" {
		return nil, false, nil
	}
	if json.Unmarshal(c.Targets, &names) != nil || len(names) == 0 || slices.Contains(names, "") {
		return nil, false, fault
	}
	slices.Sort(names)
	return names, true, nil
}

func targetsText(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "missing"
	}
	return compact(raw)
}

// rankOf is the rank of a module: that of the first pattern which its name ends
// with, as PEFT has it.
func (c *adapterConfig) rankOf(module string) int64 {
	for _, pattern := range slices.Sorted(maps.Keys(c.RankPattern)) {
		re, err := regexp.Compile(`^(.*\.)?(` + pattern + `)$`)
		if err == nil && re.MatchString(module) {
			return c.RankPattern[pattern]
		}
	}
	return c.Rank
}

// everyLayer says that each target is expected wherever the base model has it.
func (c *adapterConfig) everyLayer() bool { return unset(c.Exclude) && unset(c.Layers) }
