//go:build unix

package repotest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/localcollector"
	"github.com/tracegrad/tracegrad/internal/vllmtest"
)

// tokensConfig is the whole path in one Collector: model calls in, a dataset
// out.
const tokensConfig = `
receivers:
  llm_gateway:
    endpoint: ${env:TRACEGRAD_GATEWAY}
    upstream: {endpoint: "${env:TRACEGRAD_UPSTREAM}"}
    logprobs_mode: processed
processors:
  trajectory: {idle: 2s}
exporters:
  parquet: {directory: "${env:TRACEGRAD_DATA}", sending_queue: {batch: {flush_timeout: 500ms}}}
extensions:
  health_check: {endpoint: "${env:TRACEGRAD_HEALTH}"}
service:
  extensions: [health_check]
  pipelines:
    traces: {receivers: [llm_gateway], processors: [trajectory], exporters: [parquet]}
  telemetry:
    metrics:
      readers:
        - pull: {exporter: {prometheus: {host: 127.0.0.1, port: "${env:TRACEGRAD_METRICS_PORT}", without_scope_info: true, without_type_suffix: true, without_units: true}}}
`

// askedCall is one call of TestVLLMTokens.
type askedCall struct {
	Model       string            `json:"model"`
	Messages    []json.RawMessage `json:"messages"`
	Tools       json.RawMessage   `json:"tools,omitempty"`
	ToolChoice  json.RawMessage   `json:"tool_choice,omitempty"`
	Stream      bool              `json:"stream,omitempty"`
	Temperature float64           `json:"temperature"`
	MaxTokens   int               `json:"max_tokens"`
	Seed        int               `json:"seed"`
	N           int               `json:"n,omitempty"`
}

const (
	liveSystem  = `{"role":"system","content":"You answer in one line."}`
	liveUser    = `{"role":"user","content":"What is the weather in Oslo today?"}`
	liveCall    = `{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\": \"Oslo\"}"}}]}`
	liveResult  = `{"role":"tool","tool_call_id":"call_1","content":"{\"sky\":\"grå\"}"}`
	liveTools   = `[{"type":"function","function":{"name":"get_weather","description":"Weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]`
	forcedTool  = `{"type":"function","function":{"name":"get_weather"}}`
	answerBytes = 1 << 20
)

// TestVLLMTokens: what a real vLLM says of the tokens that it generated stands in
// the dataset, number by number, though the agent did not ask and sees nothing
// of it; and it is what a forward pass of transformers computes.
func TestVLLMTokens(t *testing.T) {
	server := vllmtest.Start(t, root)
	wire := startWire(t, server.URL)
	data := filepath.Join(t.TempDir(), "dataset")
	c := startTokens(t, wire.url, data)

	var calls []askedCall
	turn := []json.RawMessage{json.RawMessage(liveSystem), json.RawMessage(liveUser)}
	after := slices.Concat(turn, []json.RawMessage{json.RawMessage(liveCall), json.RawMessage(liveResult)})
	for seed, model := range []string{"base", "tuned"} {
		for _, stream := range []bool{false, true} {
			plain := askedCall{Model: model, Messages: turn, Stream: stream, Temperature: 1, MaxTokens: 24, Seed: seed}
			cool, offered, told, forced, two := plain, plain, plain, plain, plain
			cool.Temperature = 0.7
			offered.Tools = json.RawMessage(liveTools)
			told.Messages, told.Tools = after, json.RawMessage(liveTools)
			forced.Tools, forced.ToolChoice, forced.MaxTokens = json.RawMessage(liveTools), json.RawMessage(forcedTool), 64
			two.N = 2
			calls = append(calls, plain, cool, offered, told, forced, two)
		}
	}
	responses := map[string]askedCall{} // id → what was asked
	for _, call := range calls {
		responses[wire.ask(t, c.URL(localcollector.Gateway), call)] = call
	}
	_, err := c.Settle(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Stop())

	steps := liveSteps(t, data)
	require.Len(t, steps, len(calls))
	var truths []map[string]any
	var judged []liveStep
	for _, s := range steps {
		call := responses[s.ResponseID]
		told := wire.told(t, s.ResponseID)
		require.NotEmpty(t, told.ids, s.ResponseID)
		if call.N == 2 {
			assert.Nil(t, s.TokenIDs, "which of two answers went on nobody knows")
			assert.Nil(t, s.Logprobs)
			assert.Contains(t, s.Attributes, "several_choices")
			continue
		}
		assert.Equal(t, told.prompt, s.PromptTokenIDs)
		assert.Equal(t, told.ids, s.TokenIDs)
		assert.Equal(t, told.logprobs, s.Logprobs, "bit by bit")
		require.NotNil(t, s.Constrained)
		assert.Equal(t, call.ToolChoice != nil, *s.Constrained)
		assert.Equal(t, "processed", s.LogprobsMode)
		assert.Equal(t, call.Temperature, *s.Temperature)
		assert.EqualValues(t, call.Seed, *s.Seed)
		if call.ToolChoice != nil {
			assert.Contains(t, s.Attributes, "tool_choice")
			continue
		}
		adapter := ""
		if call.Model != "base" {
			adapter = call.Model
		}
		judged = append(judged, s)
		truths = append(truths, map[string]any{
			"adapter": adapter, "temperature": call.Temperature, "prompt": s.PromptTokenIDs, "ids": s.TokenIDs, "messages": call.Messages, "tools": call.Tools,
		})
	}
	require.Len(t, judged, 16)
	judge(t, server, judged, truths)
	for _, x := range liveTrajectories(t, data) {
		call := responses[x.response(steps)]
		want := "captured"
		switch {
		case call.N == 2:
			want = "none"
		case call.ToolChoice != nil:
			want = "constrained"
		}
		assert.Equal(t, want, x.Tokens, call)
	}
	t.Run("reroll", func(t *testing.T) { testReroll(t, server) })
}

// judge holds steps against a forward pass: every log-probability to 1e-5, and
// the prompt against the chat template.
func judge(t *testing.T, server *vllmtest.Server, steps []liveStep, calls []map[string]any) {
	t.Helper()
	var in bytes.Buffer
	for _, c := range calls {
		require.NoError(t, json.NewEncoder(&in).Encode(c))
	}
	lines := bufio.NewScanner(bytes.NewReader(server.Truth(t, root, in.Bytes())))
	lines.Buffer(nil, answerBytes)
	furthest := 0.0
	for i, s := range steps {
		require.True(t, lines.Scan())
		var truth struct {
			Logprobs []float64
			Prompt   []int32
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &truth))
		assert.Equal(t, truth.Prompt, s.PromptTokenIDs)
		require.Len(t, truth.Logprobs, len(s.Logprobs))
		for k, want := range truth.Logprobs {
			got := float64(s.Logprobs[k])
			furthest = max(furthest, got-want, want-got)
			assert.InDelta(t, want, got, 1e-5, "call %d, token %d", i, k)
		}
	}
	t.Logf("%d calls, log-probabilities at most %.1e off", len(steps), furthest)
}

func startTokens(t *testing.T, upstream, data string) *localcollector.Collector {
	t.Helper()
	config := filepath.Join(t.TempDir(), "collector.yaml")
	require.NoError(t, os.WriteFile(config, []byte(tokensConfig), 0o600))
	c, err := localcollector.Start(t.Context(), localcollector.Options{
		Binary: collector(t), Config: config, Log: filepath.Join(t.TempDir(), "collector.log"),
		Env: map[string]string{"TRACEGRAD_UPSTREAM": upstream, "TRACEGRAD_DATA": data},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Stop() })
	return c
}

// wire is the line between the gateway and the server. It keeps what the server
// answered, byte for byte.
type wire struct {
	url     string
	mu      sync.Mutex
	answers map[string][]byte // by response id
}

var answerID = regexp.MustCompile(`"id":"(chatcmpl-[^"]+)"`)

func startWire(t *testing.T, server string) *wire {
	t.Helper()
	to, err := url.Parse(server)
	require.NoError(t, err)
	w := &wire{answers: map[string][]byte{}}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(res *http.Response) error {
		if strings.HasSuffix(res.Request.URL.Path, "/chat/completions") {
			res.Body = &kept{ReadCloser: res.Body, keep: w.keep}
		}
		return nil
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	w.url = s.URL
	return w
}

type kept struct {
	io.ReadCloser
	body bytes.Buffer
	keep func([]byte)
}

func (k *kept) Read(p []byte) (int, error) {
	n, err := k.ReadCloser.Read(p)
	k.body.Write(p[:n])
	if err == io.EOF {
		k.keep(k.body.Bytes())
	}
	return n, err
}

func (w *wire) keep(answer []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id := answerID.FindSubmatch(answer); id != nil {
		w.answers[string(id[1])] = answer
	}
}

// ask makes a call as an agent does and returns the response's id. Nothing of
// tokens may be in the answer.
func (w *wire) ask(t *testing.T, gateway string, call askedCall) (id string) {
	t.Helper()
	body, err := json.Marshal(call)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, gateway+"/v1/chat/completions", bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, string(answer))
	assert.NotContains(t, string(answer), `token_ids":[`)
	assert.NotContains(t, string(answer), `"logprobs":{`)
	assert.NotContains(t, string(answer), `"delta":{},"logprobs":null,"finish_reason":null`)
	if call.Stream {
		assert.True(t, strings.HasSuffix(string(answer), "data: [DONE]\n\n"))
	}
	found := answerID.FindSubmatch(answer)
	require.NotNil(t, found, string(answer))
	return string(found[1])
}

// liveTold is what the server said of the tokens of one answer.
type liveTold struct {
	prompt, ids []int32
	logprobs    []float32
}

func (w *wire) told(t *testing.T, id string) (out liveTold) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(string(w.answers[id])) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "data: ")
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var doc struct {
			Prompt  []int32 `json:"prompt_token_ids"`
			Choices []struct {
				IDs      []int32 `json:"token_ids"`
				Logprobs struct{ Content []struct{ Logprob float32 } }
				Text     struct{ Content string } `json:"delta"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(line), &doc))
		out.prompt = append(out.prompt, doc.Prompt...)
		for _, c := range doc.Choices {
			out.ids = append(out.ids, c.IDs...)
			if len(c.IDs) == 0 && c.Text.Content != "" {
				out.ids = append(out.ids, -1) // n = 2 is not asked for ids
			}
			for _, l := range c.Logprobs.Content {
				out.logprobs = append(out.logprobs, l.Logprob)
			}
		}
		if len(doc.Choices) == 2 {
			out.ids = []int32{-1}
		}
	}
	return out
}

// liveStep is what TestVLLMTokens reads of table steps.
type liveStep struct {
	TrajectoryID   string    `parquet:"trajectory_id"`
	ResponseID     string    `parquet:"response_id,optional"`
	Temperature    *float64  `parquet:"temperature,optional"`
	Seed           *int64    `parquet:"seed,optional"`
	Constrained    *bool     `parquet:"constrained,optional"`
	LogprobsMode   string    `parquet:"logprobs_mode,optional"`
	PromptTokenIDs []int32   `parquet:"prompt_token_ids,optional,list"`
	TokenIDs       []int32   `parquet:"token_ids,optional,list"`
	Logprobs       []float32 `parquet:"logprobs,optional,list"`
	Attributes     string    `parquet:"attributes,optional"`
}

type liveTrajectory struct {
	TrajectoryID string `parquet:"trajectory_id"`
	Tokens       string `parquet:"tokens"`
}

func (x liveTrajectory) response(steps []liveStep) string {
	for _, s := range steps {
		if s.TrajectoryID == x.TrajectoryID {
			return s.ResponseID
		}
	}
	return ""
}

func liveSteps(t *testing.T, data string) []liveStep { return liveRows[liveStep](t, data, "steps") }

func liveTrajectories(t *testing.T, data string) []liveTrajectory {
	return liveRows[liveTrajectory](t, data, "trajectories")
}

func liveRows[T any](t *testing.T, data, table string) (rows []T) {
	t.Helper()
	for _, file := range glob(t, filepath.Join(data, "v1", table, "*", "*.parquet")) {
		more, err := parquet.ReadFile[T](file)
		require.NoError(t, err, fmt.Sprint(table, " ", file))
		rows = append(rows, more...)
	}
	return rows
}
