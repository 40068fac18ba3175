package trainer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func TestWhoseCalls(t *testing.T) {
	id, another := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	start := &bundle.Bundle{Manifest: bundle.Manifest{ID: id, BaseModel: "Qwen/Qwen3-0.6B"}}
	ours, earlier := start.AdapterName(), "Qwen3-0.6B-"+another[:12]
	call := func(adapter, response, request string) trajectory.ModelCall {
		return trajectory.ModelCall{Adapter: adapter, ResponseModel: response, RequestModel: request}
	}
	for name, x := range map[string]struct {
		base    *bundle.Bundle
		models  []string
		kind    string
		sft     bool
		call    trajectory.ModelCall
		use     string
		foreign bool
	}{
		"the base model":                         {call: call("", "Qwen/Qwen3-0.6B", "agent-model")},
		"its folder's name":                      {call: call("", "qwen3-0.6b", "")},
		"another model":                          {call: call("", "gpt-x", "gpt-x"), use: leftOther},
		"nobody knows":                           {call: call("", "", ""), use: leftOther},
		"an adapter, as the gateway says":        {call: call(earlier, "", ""), foreign: true},
		"an adapter, behind the base's name":     {call: call(earlier, "Qwen/Qwen3-0.6B", ""), foreign: true},
		"an adapter, as the server says":         {call: call("", earlier, "agent-model"), foreign: true},
		"an adapter of another model":            {call: call("other-"+another[:12], "", ""), use: leftOther, foreign: true},
		"nothing would weigh it":                 {kind: "none", call: call(earlier, "", ""), use: "other_policy", foreign: true},
		"an example is one, whose ever":          {kind: "none", sft: true, call: call(earlier, "", "")},
		"the starting adapter":                   {base: start, call: call(ours, "", "")},
		"the starting adapter, behind an alias":  {base: start, call: call(ours, "", "agent-model")},
		"the gate's name of it":                  {base: start, call: call("mine-"+id[:12], "Qwen/Qwen3-0.6B", "")},
		"an earlier adapter":                     {base: start, call: call(earlier, "", ""), foreign: true},
		"the base, where an adapter is trained":  {base: start, call: call("", "Qwen/Qwen3-0.6B", ""), foreign: true},
		"an alias that the user lists":           {base: start, models: []string{"prod"}, call: call("", "prod", "")},
		"a listed base":                          {base: start, models: []string{"prod", "Qwen/Qwen3-0.6B"}, call: call("", "Qwen/Qwen3-0.6B", ""), foreign: true},
		"a listed alias, but the adapter is old": {base: start, models: []string{"prod"}, call: call(earlier, "prod", ""), foreign: true},
		"any":                                    {base: start, models: []string{anyModel}, call: call("", "gpt-x", "")},
		"any, but the adapter is old":            {base: start, models: []string{anyModel}, call: call(earlier, "", ""), foreign: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := Default()
			c.Adapter.BaseModel, c.Adapter.Models = "Qwen/Qwen3-0.6B", x.models
			if x.kind != "" {
				c.Algorithm.OffPolicy.Kind = x.kind
			}
			if x.sft {
				c.Algorithm.Name = "sft"
			}
			n := &adapterNight{night: &night{run: &run{Manifest: Manifest{Config: c}}, base: x.base}}
			step := &trajectory.Step{Model: &x.call}
			assert.Equal(t, x.use, n.use(step))
			assert.Equal(t, x.foreign, n.foreign(step))
		})
	}
}
