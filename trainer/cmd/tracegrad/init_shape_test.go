package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/tracegrad/tracegrad/examples"
	"github.com/tracegrad/tracegrad/internal/doctor"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer"
)

// TestTheFilesCanBeCut: init finds the places where what was seen belongs.
func TestTheFilesCanBeCut(t *testing.T) {
	for text, marks := range map[string][]string{
		string(examples.Collector): {afterRewards},
		string(examples.Rewards):   {outcomeBegin, toolsBegin, ideasBegin, examplesAt},
		string(trainTemplate):      {afterGroupBy, afterAgents, beforeGate, runsBegin},
	} {
		for _, m := range marks {
			assert.Equal(t, 1, strings.Count(text, m), m)
		}
	}
}

func service(change func(*doctor.Service)) *doctor.Service {
	s := doctor.NewService("shop")
	s.Runs, s.ModelCalls, s.ToolRuns, s.Tasks, s.Repeated = 40, 100, 60, 5, 40
	s.Failures.Tools = 3
	s.Tools["search"] = &doctor.ToolCount{Runs: 60, Failed: 3}
	s.Shows.Set(doctor.Roots, 40, 40)
	change(s)
	return s
}

// TestInitFitsWhatWasSeen: the real loaders take what comes out, whatever was
// seen, and the files say what they should.
func TestInitFitsWhatWasSeen(t *testing.T) {
	nasty := "x]\nevil: [\"y\" # task"
	for name, c := range map[string]struct {
		seen  *doctor.Service
		says  map[string][]string
		lacks map[string][]string
	}{
		"roots, tools and no verdict": {
			seen: service(func(*doctor.Service) {}),
			says: map[string][]string{
				"collector.yaml": {"# What follows fits what was seen in traces.jsonl: 40 runs of shop.", "root spans (key: auto"},
				"rewards.yaml":   {"# Nothing in traces.jsonl says which of 40 runs were good", "feedback(\"solved\")", "# 60 tool runs were seen in traces.jsonl, of which 3 failed: search 3."},
				"train.yaml":     {"# In traces.jsonl: 40 runs at 5 tasks", "\ngate:\n  holdout_by: input # 5 tasks"},
			},
			lacks: map[string][]string{"collector.yaml": {"\n    task_key:", "\n    tenant_key:"}},
		},
		"names for tasks, tenants and context": {
			seen: service(func(s *doctor.Service) {
				s.Attributes["app.task"] = &doctor.Spread{Runs: 40, Values: 5}
				s.Attributes["app.request.id"] = &doctor.Spread{Runs: 40, Values: 40}
				s.Attributes["tenant"] = &doctor.Spread{Runs: 39, Values: 2}
				s.Attributes["deployment.environment.name"] = &doctor.Spread{Runs: 40, Values: 1}
				s.Tasks = 30
			}),
			says: map[string][]string{
				"collector.yaml": {
					"# app.task is on 40 of 40 runs, with 5 values: runs with the same value are attempts at the same task.\n    task_key: [app.task]\n",
					"\n    tenant_key: [tenant]\n", "\n    attributes: [deployment.environment.name]\n",
				},
				"train.yaml": {"# task_key is app.task here", "\n# gate:\n"},
			},
			lacks: map[string][]string{"collector.yaml": {"request.id"}},
		},
		"feedback, evaluations and no tool": {
			seen: service(func(s *doctor.Service) {
				s.ToolRuns = 0
				s.Facts["user's thumb"] = &doctor.FactCount{Source: "feedback", Runs: 30}
				s.Facts["user:s thumb"] = &doctor.FactCount{Source: "feedback", Runs: 1}
				s.Facts["correctness"] = &doctor.FactCount{Source: "evaluation", Runs: 12}
			}),
			says: map[string][]string{"rewards.yaml": {
				"# feedback says it of 30 of 40 runs.\n  - name: user_s_thumb\n    expr: 'feedback(\"user''s thumb\")'\n    weight: 1.0\n",
				"expr: 'evaluation(\"correctness\")?.score'\n    weight: 0 # recorded", "# No tool run was seen",
			}},
			lacks: map[string][]string{"rewards.yaml": {"\n  - name: tool_error", "\n  - name: solved"}},
		},
		"calls without roots, with a session of the application's own": {
			seen: service(func(s *doctor.Service) {
				s.Shows.Set(doctor.Roots, 0, 40)
				s.Shows.Set(doctor.Sessions, 0, 40)
				s.Fragments = 100
				s.Attributes["chat_id"] = &doctor.Spread{Runs: 40, Values: 40}
			}),
			says: map[string][]string{"collector.yaml": {"    # key: attributes\n    # key_attributes: [chat_id]\n"}},
		},
		"calls without roots that sessions tie": {
			seen: service(func(s *doctor.Service) {
				s.Shows.Set(doctor.Roots, 0, 40)
				s.Shows.Set(doctor.Sessions, 40, 40)
				s.Fragments = 100
			}),
			says: map[string][]string{"collector.yaml": {"the session id that 40 of 40 runs have ties"}},
		},
		"nothing but names that want to break out": {
			seen: service(func(s *doctor.Service) {
				s.Name = "shop\nevil: true"
				s.Facts[nasty] = &doctor.FactCount{Source: "feedback\nevil: 1", Runs: 1}
				s.Tools = map[string]*doctor.ToolCount{"t\nevil: 1": {Runs: 1, Failed: 1}}
				s.Attributes["a]\nevil: [b.task"] = &doctor.Spread{Runs: 40, Values: 2}
				s.Tasks, s.Repeated = 40, 0
			}),
			says: map[string][]string{"train.yaml": {"# task_key is a] evil: [b.task here"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			other := doctor.NewService("bank")
			s := shape{from: "traces.jsonl", seen: &doctor.Seen{Services: []*doctor.Service{c.seen, other}}, main: c.seen}
			dir := t.TempDir()
			for _, f := range initFiles {
				text := s.fit(f.name, f.text)
				require.NoError(t, os.WriteFile(filepath.Join(dir, f.name), text, 0o600))
				for _, say := range c.says[f.name] {
					assert.Contains(t, string(text), say, f.name)
				}
				for _, lack := range c.lacks[f.name] {
					assert.NotContains(t, string(text), lack, f.name)
				}
				assert.NotContains(t, string(text), "\nevil", f.name)
				require.NoError(t, yaml.Unmarshal(text, new(map[string]any)), f.name)
			}
			_, err := rewards.Load(filepath.Join(dir, "rewards.yaml"))
			require.NoError(t, err)
			_, err = trainer.Load(filepath.Join(dir, "train.yaml"))
			require.NoError(t, err)
		})
	}
}
