package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/vllm"
	"github.com/tracegrad/tracegrad/trainer/paired"
)

// last compares the policy in production with the base model. After one night
// that is what the gate did.
func (s *seed) last(ctx context.Context, nights []nightly) (*nightly, error) {
	if len(nights) == 1 {
		return &nights[0], nil
	}
	began := time.Now()
	fmt.Printf("\n─── seed %d, after the last night ───\n\n", s.number)
	dir, err := bundle.Resolve(s.path("bundles"), "production")
	if err != nil {
		return &nightly{Reason: "no night released anything"}, nil //nolint:nilerr // that is what it says
	}
	made, err := bundle.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := s.reroll(ctx, filepath.Base(s.lab.model), "last/base"); err != nil {
		return nil, err
	}
	if err := s.reroll(ctx, made.AdapterName(), "last/candidate"); err != nil {
		return nil, err
	}
	result, err := s.compare(ctx, "last/base", "last/candidate")
	if err != nil {
		return nil, err
	}
	out := compared(result)
	out.Bundle, out.Status, out.Seconds = made.Manifest.ID, string(made.Manifest.Status), time.Since(began).Seconds()
	return &out, nil
}

// stepRollouts is train.yaml's step_rollouts, and online.py's.
const stepRollouts = 32

// online lets TRL learn online from as many rollouts as the nights had, and
// compares its adapter with the base on the same held-out tickets.
func (s *seed) online(ctx context.Context, packages string) (*nightly, error) {
	began := time.Now()
	fmt.Printf("\n─── seed %d, TRL online ───\n\n", s.number)
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := s.reroll(ctx, filepath.Base(s.lab.model), "online/base"); err != nil {
		return nil, err
	}
	if err := s.export(ctx); err != nil {
		return nil, err
	}
	if err := s.close(); err != nil {
		return nil, err
	}
	if err := s.trl(ctx, packages); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := s.load(ctx, "online", s.path("online", "adapter")); err != nil {
		return nil, err
	}
	if err := s.reroll(ctx, "online", "online/candidate"); err != nil {
		return nil, err
	}
	result, err := s.compare(ctx, "online/base", "online/candidate")
	if err != nil {
		return nil, err
	}
	out := compared(result)
	out.Seconds = time.Since(began).Seconds()
	return &out, nil
}

func (s *seed) reroll(ctx context.Context, model, out string) error {
	return s.must(ctx, "reroll", "--config", "train.yaml", "--holdout", "--prompts", "240", "--concurrency", "16",
		"--url", s.url()+"/v1", "--model", model, "--out", out)
}

// export writes the prompts of the tasks that are not held out, as the agent
// sent them.
func (s *seed) export(ctx context.Context) error {
	type row struct {
		TaskKey string          `json:"task_key"`
		Input   string          `json:"input"`
		Prompt  json.RawMessage `json:"prompt,omitempty"`
	}
	var heldOut, all []row
	if err := s.sql(ctx, "online/base", &heldOut, "SELECT DISTINCT task_key FROM trajectories"); err != nil {
		return err
	}
	if err := s.sql(ctx, "dataset", &all, `
		SELECT task_key, input, list_transform(messages, m -> {role: m.role, content: m.text}) AS prompt
		FROM prompts JOIN trajectories USING (trajectory_id, revision)
		WHERE source = 'spans' ORDER BY trajectory_id`); err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r row) bool {
		return slices.ContainsFunc(heldOut, func(h row) bool { return h.TaskKey == r.TaskKey })
	})
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(s.path("online", "prompts.json"), data, 0o644)
}

func (s *seed) trl(ctx context.Context, packages string) error {
	log, err := os.Create(s.path("logs", "online.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	steps := len(s.kinds) * s.lab.times / 2 * s.lab.nights / stepRollouts
	fmt.Printf("TRL: %d steps of %d rollouts …\n", steps, stepRollouts)
	cmd := exec.CommandContext(ctx, s.lab.worker, filepath.Join("examples", "learn", "online.py"),
		s.lab.model, s.path("online", "prompts.json"), fmt.Sprint(steps), fmt.Sprint(s.number), s.path("online", "adapter"))
	cmd.Env = append(os.Environ(), "PYTHONPATH="+packages, "HF_HUB_OFFLINE=1", "OMP_WAIT_POLICY=PASSIVE")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("TRL: %w: see %s", err, log.Name())
	}
	return nil
}

// load puts an adapter that is no bundle into vLLM.
func (s *seed) load(ctx context.Context, name, folder string) error {
	server, err := vllm.New(s.url(), "", http.DefaultClient)
	if err != nil {
		return err
	}
	_, err = server.Load(ctx, name, folder)
	return err
}

// compare pairs what base and candidate got on the same ticket.
func (s *seed) compare(ctx context.Context, base, candidate string) (paired.Result, error) {
	of := map[string][2]*float64{}
	for i, dataset := range []string{base, candidate} {
		var rows []struct {
			Input string   `json:"input"`
			Value *float64 `json:"value"`
		}
		if err := s.sql(ctx, dataset, &rows, "SELECT input, avg(value) AS value FROM trajectories JOIN rewards USING (trajectory_id, revision) WHERE name = 'right' GROUP BY input"); err != nil {
			return paired.Result{}, err
		}
		for _, row := range rows {
			both := of[row.Input]
			both[i] = row.Value
			of[row.Input] = both
		}
	}
	var pairs []paired.Pair
	for _, both := range of {
		if both[0] != nil && both[1] != nil {
			pairs = append(pairs, paired.Pair{Base: *both[0], Candidate: *both[1]})
		}
	}
	if len(pairs) == 0 {
		return paired.Result{}, errors.New("no ticket was answered by both")
	}
	return paired.Compare(pairs, 0.95, s.number), nil
}

// sql puts the rows that answer a query into the slice that rows points to.
func (s *seed) sql(ctx context.Context, dataset string, rows any, query string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.lab.bin, "tracegrad"), "sql", "--json", "--dataset", dataset, query)
	var out, problem bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, &problem
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("tracegrad sql: %w: %s", err, strings.TrimSpace(problem.String()))
	}
	if err := json.Unmarshal(out.Bytes(), rows); err != nil {
		return fmt.Errorf("read the answer of tracegrad sql: %w", err)
	}
	return nil
}
