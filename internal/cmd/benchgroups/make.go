package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

const rules = "rewards:\n  - name: solved\n    expr: 'output contains \"42\" ? 1 : 0'\n"

const (
	attempts = 4      // at each task
	perBatch = 20_000 // trajectories in a file set, about ten minutes of a busy service
)

// prepare writes the dataset of n trajectories, once.
func prepare(ctx context.Context, dir string, n int) error {
	done := filepath.Join(dir, "made")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	engine, err := rewards.Parse("rewards.yaml", []byte(rules))
	if err != nil {
		return err
	}
	w, err := dataset.NewWriter(dir, "bench", dataset.Options{})
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // no secret; n is positive
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	for at := 0; at < n && err == nil; at += perBatch {
		list := make([]*trajectory.Trajectory, 0, perBatch)
		for i := at; i < min(at+perBatch, n); i++ {
			t := attempt(r, i, n, start)
			engine.Apply(t, t.Revision)
			list = append(list, t)
		}
		_, err = w.Write(ctx, list, nil)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o600)
}

// attempt is the i-th of n trajectories. Attempts at one task lie far apart.
func attempt(r *rand.Rand, i, n int, start int64) *trajectory.Trajectory {
	task := i % max(n/attempts, 1)
	at := start + int64(i)*int64(30*time.Second/time.Microsecond)/10
	answer := fmt.Sprintf("It is %d.", 40+r.IntN(4))
	input, output := int64(200+r.IntN(800)), int64(20+r.IntN(200))
	question := fmt.Sprintf("What came of task %d?", task)
	call := func(step int, in, out []int32) trajectory.Step {
		return trajectory.Step{
			Index: step, Kind: trajectory.KindModel, AgentName: "assistant", StartedAt: at + int64(step)*1000, EndedAt: at + int64(step)*1000 + 900, Trainable: true,
			Model: &trajectory.ModelCall{Provider: "openai", RequestModel: "m", Input: in, Output: out, InputTokens: &input, OutputTokens: &output},
		}
	}
	return &trajectory.Trajectory{
		ID: trajectory.IDOf(fmt.Sprint(n, "/", i)), Revision: at + 5000, Writer: "bench",
		TaskKey: fmt.Sprintf("%016x", uint64(task)*0x9E3779B97F4A7C15), TaskKeySource: "input", //nolint:gosec // as the hash of an input looks
		TraceIDs: []string{fmt.Sprintf("%032x", i+1)}, ConversationID: fmt.Sprint("c", i), ServiceName: "bench", AgentNames: []string{"assistant"},
		Dialects: []string{"semconv"}, Source: trajectory.SourceSpans, Input: question, Output: answer, Status: trajectory.StatusOK,
		CloseReason: trajectory.CloseComplete, StartedAt: at, EndedAt: at + 4000, FirstSeenAt: at, SpanCount: 3, ModelCalls: 2,
		InputTokens: &input, OutputTokens: &output, Tokens: trajectory.TokensNone, Trainable: true,
		Messages: []trajectory.Message{{Role: "user", Text: question}, {Role: "assistant", Text: "Let me see."}, {Role: "assistant", Text: answer}},
		Steps:    []trajectory.Step{call(0, []int32{0}, []int32{1}), call(1, []int32{0, 1}, []int32{2})},
	}
}
