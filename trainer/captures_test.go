//go:build cgo

package trainer

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// rollout is a line of testdata/captures/truth.jsonl: what real agents did.
type rollout struct {
	Traces   []string `json:"trace_ids"`
	Task     string   `json:"task"`
	UserText string   `json:"user_text"`
	Expected struct {
		Calls []struct {
			Agent    string   `json:"agent"`
			Tools    []string `json:"tool_names"`
			Status   int      `json:"status"`
			Response struct {
				ToolCalls []trajectory.ToolCall `json:"tool_calls"`
			} `json:"response"`
		} `json:"llm_call_log"`
		Tools []struct {
			CallID string          `json:"call_id"`
			Result json.RawMessage `json:"result"`
			Error  *string         `json:"error"`
		} `json:"tool_calls"`
		Answer  *string  `json:"final_answer"`
		Correct bool     `json:"correct"`
		Agents  []string `json:"agents"`
	} `json:"expected"`
	Start int64 `json:"t0_ms"`
	End   int64 `json:"t1_ms"`
}

func rollouts(t *testing.T) []rollout {
	t.Helper()
	file, err := os.Open("../testdata/captures/truth.jsonl")
	require.NoError(t, err)
	defer file.Close()
	var out []rollout
	scan := bufio.NewScanner(file)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var r rollout
		require.NoError(t, json.Unmarshal(scan.Bytes(), &r))
		out = append(out, r)
	}
	require.Len(t, out, 119)
	return out
}

var tag = regexp.MustCompile(`\[[^\]]*\]`)

// trajectory is what a collector would assemble from the rollout.
func (r *rollout) trajectory() *trajectory.Trajectory {
	sum := sha256.Sum256([]byte(r.Traces[0]))
	task := sha256.Sum256([]byte(tag.ReplaceAllString(r.UserText, "")))
	out := &trajectory.Trajectory{
		ID: hex.EncodeToString(sum[:16]), Revision: r.End*1000 + 5, Writer: "w", TraceIDs: r.Traces,
		TaskKey: hex.EncodeToString(task[:8]), TaskKeySource: "input", AgentNames: r.Expected.Agents, Source: trajectory.SourceSpans,
		Input: r.UserText, Status: trajectory.StatusOK, CloseReason: trajectory.CloseComplete,
		StartedAt: r.Start * 1000, EndedAt: r.End * 1000, FirstSeenAt: r.Start * 1000, Tokens: trajectory.TokensNone, Trainable: true,
		Messages: []trajectory.Message{{Role: trajectory.RoleUser, Text: r.UserText}},
	}
	if r.Expected.Answer != nil {
		out.Output = *r.Expected.Answer
	}
	ran := 0
	for _, call := range r.Expected.Calls {
		var tools []map[string]string
		for _, name := range call.Tools {
			tools = append(tools, map[string]string{"name": name})
		}
		definitions, _ := json.Marshal(tools)
		step := trajectory.Step{
			Index: len(out.Steps), Kind: trajectory.KindModel, AgentName: call.Agent, Trainable: call.Status == 200,
			Model: &trajectory.ModelCall{Tools: string(definitions), Input: []int32{0}},
		}
		out.ModelCalls++
		out.Trainable = call.Status == 200 // a failed call that was tried again does no harm
		out.Steps = append(out.Steps, step)
		for _, c := range call.Response.ToolCalls {
			if ran == len(r.Expected.Tools) || r.Expected.Tools[ran].CallID != c.ID {
				continue
			}
			result := r.Expected.Tools[ran]
			tool := trajectory.Step{
				Index: len(out.Steps), Kind: trajectory.KindTool, Trainable: true,
				Tool: &trajectory.ToolRun{Name: c.Name, CallID: c.ID, Arguments: c.Arguments},
			}
			if result.Error != nil {
				tool.Error = *result.Error
			} else {
				text := string(result.Result)
				tool.Tool.Result = &text
			}
			ran++
			out.ToolCalls++
			out.Steps = append(out.Steps, tool)
		}
	}
	if !out.Trainable {
		out.Reasons, out.Status = []trajectory.Reason{trajectory.ReasonFailed}, trajectory.StatusError
	}
	return out
}

// writeCaptures writes the rollouts as a collector would have, and the users'
// verdicts as an application posts them later.
func writeCaptures(t *testing.T, root string, verdict func(i int, r *rollout) *float64) {
	t.Helper()
	w, err := dataset.NewWriter(root, "collector", dataset.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, w.Close()) }()
	list := rollouts(t)
	var batch []*trajectory.Trajectory
	var facts []trajectory.Fact
	for i := range list {
		batch = append(batch, list[i].trajectory())
		if v := verdict(i, &list[i]); v != nil {
			facts = append(facts, trajectory.Fact{
				Name: "solved", Value: v, Source: "feedback", TraceID: list[i].Traces[0], ObservedAt: list[i].End*1000 + 3_600_000_000,
			})
		}
	}
	_, err = w.Write(context.Background(), batch, nil)
	require.NoError(t, err)
	_, err = w.WriteFacts(context.Background(), facts)
	require.NoError(t, err)
}

func correct(_ int, r *rollout) *float64 {
	v := 0.0
	if r.Expected.Correct {
		v = 1
	}
	return &v
}

func clock() time.Time { return time.Date(2026, 12, 1, 3, 0, 0, 0, time.UTC) }

// quickstart is the shipped config, over a dataset of the test.
func quickstart(t *testing.T, root string) Config {
	t.Helper()
	c, err := Load("../examples/quickstart/train.yaml")
	require.NoError(t, err)
	c.Dataset, c.Runs, c.Bundles = root, t.TempDir(), t.TempDir()
	return c
}
