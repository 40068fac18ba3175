package reroll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// recorded is an answer that a real vLLM gave, without what is not read.
type recorded struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

func answerNamed(t *testing.T, name string) recorded {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "vllm", name+".json"))
	require.NoError(t, err)
	var r recorded
	require.NoError(t, json.Unmarshal(text, &r))
	return r
}

// server answers each chat with what script says, and notes what it was asked.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	asked []request
}

func serve(t *testing.T, script func(n int, r request) recorded) (*server, *Client) {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		if r.URL.Path == "/v1/models" {
			a := answerNamed(t, "models")
			_, _ = w.Write(a.Body)
			return
		}
		var req request
		assert.NoError(t, json.Unmarshal(text, &req))
		s.mu.Lock()
		n := len(s.asked)
		s.asked = append(s.asked, req)
		s.mu.Unlock()
		a := script(n, req)
		w.WriteHeader(a.Status)
		_, _ = w.Write(a.Body)
	}))
	t.Cleanup(s.Close)
	c, err := NewClient(s.URL + "/v1")
	require.NoError(t, err)
	c.Pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return s, c
}

const weatherTools = `[{"type":"function","name":"get_weather","description":"Weather","parameters":{"type":"object"}}]`

// logged is an attempt that asked for the weather with these arguments.
func logged(id, city, arguments string) *trajectory.Trajectory {
	temperature, most, result := 1.0, int64(80), "sunny"
	return &trajectory.Trajectory{
		ID: id, TaskKey: "weather", TaskKeySource: "input", Tenant: "t1", ServiceName: "agent", Input: "weather in " + city,
		Source: trajectory.SourceSpans, Trainable: true, Attributes: `{"answer":"sunny"}`,
		Messages: []trajectory.Message{
			{Role: "system", Text: "You are a helpful assistant."},
			{Role: "system", Text: "Look twice.", Injected: "g1"},
			{Role: "user", Text: "weather in " + city},
			{Role: "assistant", ToolCalls: []trajectory.ToolCall{{ID: "c1", Name: "get_weather", Arguments: arguments}}},
			{Role: "tool", Text: "sunny", ToolCallID: "c1"},
			{Role: "assistant", Text: "It is sunny."},
		},
		Steps: []trajectory.Step{
			{Index: 0, Kind: trajectory.KindModel, AgentName: "clerk", Trainable: true, Model: &trajectory.ModelCall{Temperature: &temperature, MaxTokens: &most, Tools: weatherTools, Input: []int32{0, 1, 2}, Output: []int32{3}}},
			{Index: 1, Kind: trajectory.KindTool, Trainable: true, Tool: &trajectory.ToolRun{Name: "get_weather", CallID: "c1", Arguments: arguments, Result: &result}},
			{Index: 2, Kind: trajectory.KindModel, Trainable: true, Model: &trajectory.ModelCall{Input: []int32{0, 1, 2, 3, 4}, Output: []int32{5}}},
		},
	}
}

func promptOf(t *testing.T, x *trajectory.Trajectory) *Prompt {
	t.Helper()
	p, left := PromptOf(x)
	require.Empty(t, left)
	return p
}

// read is every rollout of a dataset, as rows say.
func read(t *testing.T, out string) map[string]bool {
	t.Helper()
	have, err := rolloutsOf(out)
	require.NoError(t, err)
	return have
}

var stopped = func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

func TestARecordedToolResultIsFedBack(t *testing.T) {
	call, final := answerNamed(t, "chat_tools_required"), answerNamed(t, "chat_tool_result_turn")
	s, c := serve(t, func(_ int, r request) recorded {
		if r.Messages[len(r.Messages)-1].Role == "tool" {
			return final
		}
		return call
	})
	p := promptOf(t, logged("a", "Paris", " true"))
	got, err := roll(t.Context(), c, Policy{Model: "base", Seed: 1}, p, 0, stopped)
	require.NoError(t, err)
	require.NoError(t, got.Valid())
	require.Len(t, s.asked, 2)

	first, second := s.asked[0], s.asked[1]
	require.Len(t, first.Messages, 2, "what a bundle injected is not asked again")
	assert.Equal(t, "weather in Paris", *first.Messages[1].Content)
	assert.Equal(t, 1.0, *first.Temperature)
	assert.Equal(t, int64(80), *first.MaxTokens)
	assert.Nil(t, first.TopP, "nothing is made up")
	assert.True(t, first.Logprobs && first.ReturnTokenIDs)
	assert.JSONEq(t, `[{"type":"function","function":{"name":"get_weather","description":"Weather","parameters":{"type":"object"}}}]`, string(first.Tools))
	require.Len(t, second.Messages, 4)
	assert.Equal(t, "sunny", *second.Messages[3].Content)
	assert.Equal(t, second.Messages[2].ToolCalls[0].ID, second.Messages[3].ToolCallID)
	assert.NotEqual(t, first.Seed, second.Seed)

	require.Len(t, got.Steps, 3)
	assert.Equal(t, []trajectory.Kind{trajectory.KindModel, trajectory.KindTool, trajectory.KindModel}, []trajectory.Kind{got.Steps[0].Kind, got.Steps[1].Kind, got.Steps[2].Kind})
	assert.Equal(t, trajectory.SourceReroll, got.Source)
	assert.Equal(t, []any{"weather", "t1", "weather in Paris", "agent"}, []any{got.TaskKey, got.Tenant, got.Input, got.ServiceName})
	assert.True(t, got.Trainable)
	assert.Equal(t, trajectory.TokensCaptured, got.Tokens)
	assert.Len(t, got.Steps[0].Model.TokenIDs, 41)
	assert.Len(t, got.Steps[0].Model.Logprobs, 41)
	assert.NotEmpty(t, got.Steps[0].Model.PromptTokenIDs)
	assert.Contains(t, got.Output, "streaming 3")
	assert.Equal(t, p.Key, PromptKeyOf(got))
	assert.Contains(t, got.Attributes, `"answer":"sunny"`, "what rules read of the task stays")
	require.NotNil(t, got.OutputTokens)
	assert.Equal(t, int64(41+12), *got.OutputTokens)
}

func TestACallThatWasNotRecordedEndsTheRollout(t *testing.T) {
	call := answerNamed(t, "chat_tools_required")
	s, c := serve(t, func(int, request) recorded { return call })
	p := promptOf(t, logged("a", "Paris", `{"city":"Paris"}`))
	out := t.TempDir()
	tally, err := Run(t.Context(), c, []*Prompt{p}, out, Options{Policy: Policy{Model: "base"}, Rollouts: 2, Now: stopped})
	require.NoError(t, err)
	assert.Len(t, s.asked, 2)
	assert.Equal(t, map[string]int{"tool_result_not_recorded": 2}, tally.Ended)
	assert.Len(t, read(t, out), 2, "it is kept, as far as it came")

	got, err := roll(t.Context(), c, Policy{Model: "base"}, p, 0, stopped)
	require.NoError(t, err)
	assert.False(t, got.Trainable)
	assert.Equal(t, []trajectory.Reason{trajectory.ReasonNotRecorded}, got.Reasons)
	require.Len(t, got.Steps, 2)
	assert.Nil(t, got.Steps[1].Tool.Result)
	whole, why := Finished(got)
	assert.False(t, whole)
	assert.Equal(t, trajectory.ReasonNotRecorded, why)
}

func TestARolloutThatNeverEndsIsEnded(t *testing.T) {
	call := answerNamed(t, "chat_tools_required")
	s, c := serve(t, func(int, request) recorded { return call })
	got, err := roll(t.Context(), c, Policy{}, promptOf(t, logged("a", "Paris", "true")), 0, stopped)
	require.NoError(t, err)
	assert.Len(t, s.asked, maxCalls)
	assert.Equal(t, []trajectory.Reason{trajectory.ReasonTooManyCalls}, got.Reasons)
}

func TestTroubleThatPassesIsWaitedFor(t *testing.T) {
	final := answerNamed(t, "chat_logprobs_ids")
	for _, status := range []int{500, 503, 429} {
		s, c := serve(t, func(n int, _ request) recorded {
			if n < 2 {
				return recorded{status, json.RawMessage(`{"error":{"message":"busy"}}`)}
			}
			return final
		})
		_, err := roll(t.Context(), c, Policy{}, promptOf(t, logged("a", "Paris", "true")), 0, stopped)
		require.NoError(t, err)
		assert.Len(t, s.asked, 3)
	}
}

func TestStopAndGoOn(t *testing.T) {
	final := answerNamed(t, "chat_logprobs_ids")
	var prompts []*Prompt
	for i := range 10 {
		prompts = append(prompts, promptOf(t, logged(fmt.Sprint("t", i), fmt.Sprint("city ", i), "true")))
	}
	down := true
	s, c := serve(t, func(n int, _ request) recorded {
		if down && n >= 7 {
			return recorded{503, json.RawMessage(`{"error":{"message":"gone"}}`)}
		}
		return final
	})
	out := t.TempDir()
	o := Options{Policy: Policy{Model: "base", Seed: 5}, Rollouts: 3, Concurrency: 1, Now: stopped}
	tally, err := Run(t.Context(), c, prompts, out, o)
	require.ErrorContains(t, err, "gone")
	assert.ErrorAs(t, err, new(*UnreachableError))
	assert.Equal(t, 7, tally.Made)
	assert.Len(t, read(t, out), 7, "what was made stays")

	down = false
	first := s.asked[:7]
	s.asked = nil
	tally, err = Run(t.Context(), c, prompts, out, o)
	require.NoError(t, err)
	assert.Equal(t, []int{30, 7, 23, 0}, []int{tally.Wanted, tally.Reused, tally.Made, tally.Missing()})
	assert.Len(t, s.asked, 23)
	assert.Len(t, read(t, out), 30)
	seeds := map[int64]bool{}
	for _, r := range append(first, s.asked...) {
		seeds[*r.Seed] = true
	}
	assert.Len(t, seeds, 30, "every rollout has its own seed, and none was asked twice")

	tally, err = Run(t.Context(), c, prompts, out, o)
	require.NoError(t, err)
	assert.Equal(t, 30, tally.Reused)
	o.Seed = 6
	_, err = Run(t.Context(), c, prompts, out, o)
	require.ErrorContains(t, err, "name another folder")
}

func TestAnInterruptedRunKeepsWhatWasMade(t *testing.T) {
	final := answerNamed(t, "chat_logprobs_ids")
	ctx, stop := context.WithCancel(t.Context())
	_, c := serve(t, func(n int, _ request) recorded {
		if n == 4 {
			stop()
		}
		return final
	})
	var prompts []*Prompt
	for i := range 10 {
		prompts = append(prompts, promptOf(t, logged(fmt.Sprint("t", i), fmt.Sprint("city ", i), "true")))
	}
	out := t.TempDir()
	tally, err := Run(ctx, c, prompts, out, Options{Concurrency: 1, Now: stopped})
	require.ErrorIs(t, err, context.Canceled)
	assert.Len(t, read(t, out), tally.Made)
	assert.GreaterOrEqual(t, tally.Made, 4)
}

func TestWhatTheServerRefuses(t *testing.T) {
	p := promptOf(t, logged("a", "Paris", "true"))
	t.Run("the prompt", func(t *testing.T) {
		long, final := answerNamed(t, "err_too_long_prompt"), answerNamed(t, "chat_logprobs_ids")
		_, c := serve(t, func(n int, _ request) recorded {
			if n == 0 {
				return long
			}
			return final
		})
		tally, err := Run(t.Context(), c, []*Prompt{p}, t.TempDir(), Options{Rollouts: 3, Concurrency: 1, Now: stopped})
		require.NoError(t, err)
		assert.Equal(t, 2, tally.Made)
		assert.Equal(t, 1, tally.Missing())
		require.Len(t, tally.Refused, 1)
		for message := range tally.Refused {
			assert.Contains(t, message, "maximum context length")
		}
	})
	t.Run("the model", func(t *testing.T) {
		missing := answerNamed(t, "err_unknown_model")
		_, c := serve(t, func(int, request) recorded { return missing })
		_, err := Run(t.Context(), c, []*Prompt{p}, t.TempDir(), Options{Policy: Policy{Model: "nope"}, Now: stopped})
		require.ErrorContains(t, err, "ask model nope: server answered 404: The model `nope` does not exist")
	})
	t.Run("whoever asks", func(t *testing.T) {
		_, c := serve(t, func(int, request) recorded { return recorded{401, json.RawMessage(`{"error":"Unauthorized"}`)} })
		_, err := Run(t.Context(), c, []*Prompt{p}, t.TempDir(), Options{Now: stopped})
		require.ErrorContains(t, err, "401: Unauthorized: is the server's key right?")
	})
	t.Run("what is vLLM's own", func(t *testing.T) {
		s, c := serve(t, func(_ int, r request) recorded {
			if r.ReturnTokenIDs {
				return recorded{400, json.RawMessage(`{"error":{"message":"Unrecognized request argument supplied: return_token_ids"}}`)}
			}
			return recorded{200, json.RawMessage(`{"id":"x","model":"m","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}`)}
		})
		got, err := roll(t.Context(), c, Policy{}, p, 0, stopped)
		require.NoError(t, err)
		assert.Equal(t, "hello", got.Output)
		assert.Equal(t, trajectory.TokensNone, got.Tokens)
		assert.Nil(t, got.OutputTokens, "what the server does not say is not known")
		_, err = roll(t.Context(), c, Policy{}, p, 1, stopped)
		require.NoError(t, err)
		assert.Len(t, s.asked, 3, "it is not tried again and again")
	})
}

func TestNobodyThere(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	c, err := NewClient(gone.URL)
	require.NoError(t, err)
	c.Pause = func(context.Context, time.Duration) error { return nil }
	_, err = c.Models(t.Context())
	require.ErrorAs(t, err, new(*UnreachableError))
	_, err = NewClient("localhost:8000")
	require.ErrorContains(t, err, "not the url of a server")
}

func TestPolicies(t *testing.T) {
	a, b := Policy{Model: "base", Seed: 1}, Policy{Model: "base-abc", Seed: 1}
	assert.NotEqual(t, a.id("p", 0), b.id("p", 0))
	assert.Equal(t, a.seedOf("p", 3, 1), b.seedOf("p", 3, 1), "two policies are asked under the same chance")
	assert.NotEqual(t, a.seedOf("p", 3, 1), a.seedOf("p", 4, 1))
	assert.NotEqual(t, a.seedOf("p", 3, 1), a.seedOf("q", 3, 1))
	assert.Nil(t, Policy{NoSeed: true}.seedOf("p", 3, 1))
}

func TestPromptOf(t *testing.T) {
	for reason, change := range map[string]func(*trajectory.Trajectory){
		LeftNoCall:         func(x *trajectory.Trajectory) { x.Steps = x.Steps[1:2] },
		LeftNoInput:        func(x *trajectory.Trajectory) { x.Steps[0].Model.Input = nil },
		"content_redacted": func(x *trajectory.Trajectory) { x.Steps[0].Reasons = []trajectory.Reason{trajectory.ReasonRedacted} },
		LeftContent:        func(x *trajectory.Trajectory) { x.Messages[2].Parts = `[{"type":"image"}]` },
		LeftConstrained:    func(x *trajectory.Trajectory) { x.Steps[0].Model.Constrained = new(true) },
		LeftTools:          func(x *trajectory.Trajectory) { x.Steps[0].Model.Tools = `[{"what":1}]` },
	} {
		x := logged("a", "Paris", "true")
		change(x)
		_, left := PromptOf(x)
		assert.Equal(t, reason, left)
	}
}

func TestGather(t *testing.T) {
	a, b, c := promptOf(t, logged("b", "Paris", `{"city":"Paris"}`)), promptOf(t, logged("a", "Paris", `{"city": "Lyon"}`)), promptOf(t, logged("c", "Rome", "true"))
	got := Gather([]*Prompt{a, b, c})
	require.Len(t, got, 2)
	var paris *Prompt
	for _, p := range got {
		if p.Attempts == 2 {
			paris = p
		}
	}
	require.NotNil(t, paris)
	assert.Equal(t, "a", paris.Of())
	for _, arguments := range []string{`{"city":"Lyon"}`, `{ "city" : "Paris" }`} {
		_, found := paris.recorded.result("get_weather", arguments, 0)
		assert.True(t, found, "results of all attempts at a prompt are known: %s", arguments)
	}
	_, found := paris.recorded.result("get_weather", `{"city":"Rome"}`, 0)
	assert.False(t, found)
	other := logged("d", "Paris", "true")
	other.Tenant = "t2"
	assert.NotEqual(t, paris.Key, promptOf(t, other).Key, "tenants share nothing")
}

func TestRecordings(t *testing.T) {
	x := logged("a", "Paris", "{}")
	second := "rainy"
	x.Steps = append(x.Steps, trajectory.Step{Index: 3, Kind: trajectory.KindTool, Tool: &trajectory.ToolRun{Name: "get_weather", Arguments: " ", Result: &second}})
	var r recordings
	r.add(x)
	for n, want := range []string{"sunny", "rainy", "rainy"} {
		got, found := r.result("get_weather", "", n)
		assert.True(t, found)
		assert.Equal(t, want, got)
	}
	for _, same := range [][2]string{{`{"a":1,"b":[1,2]}`, ` {"b":[1, 2], "a":1}`}, {"", "{}"}, {"not json", "not json"}} {
		assert.Equal(t, canonical(same[0]), canonical(same[1]))
	}
	for _, other := range [][2]string{{`{"a":1}`, `{"a":"1"}`}, {`{"a":12345678901234567890}`, `{"a":12345678901234567891}`}, {`1`, `1 2`}} {
		assert.NotEqual(t, canonical(other[0]), canonical(other[1]))
	}
}

func TestRewardsAreWrittenWithTheRollouts(t *testing.T) {
	final := answerNamed(t, "chat_logprobs_ids")
	_, c := serve(t, func(int, request) recorded { return final })
	engine, err := rewards.Parse("rewards.yaml", []byte("rewards:\n  - name: city\n    expr: 'output contains \"city\" ? 1 : 0'\n"))
	require.NoError(t, err)
	out := t.TempDir()
	_, err = Run(t.Context(), c, []*Prompt{promptOf(t, logged("a", "Paris", "true"))}, out, Options{Rewards: engine, Now: stopped})
	require.NoError(t, err)
	files, err := dataset.Files(out, dataset.TableRewards)
	require.NoError(t, err)
	assert.Len(t, files, 1)
}

// A fact about the task, such as the right answer, holds for every attempt at it;
// what was said of one attempt does not.
func TestFactsOfTheTask(t *testing.T) {
	_, c := serve(t, func(int, request) recorded { return answerNamed(t, "chat_logprobs_ids") })
	a, b := promptOf(t, logged("a", "Paris", "true")), promptOf(t, logged("b", "Paris", "true"))
	a.Facts = []trajectory.Fact{{ID: "f1", Name: "team", Label: "billing", TraceID: "t", Source: "evaluation"}}
	b.Facts = []trajectory.Fact{{Name: "team", Label: "other"}, {Name: "language", Label: "fr"}}
	p := Gather([]*Prompt{b, a})[0]
	got, err := roll(t.Context(), c, Policy{}, p, 0, stopped)
	require.NoError(t, err)
	require.Len(t, got.Facts, 2)
	team := got.Facts[0]
	assert.Equal(t, []string{"team", "billing", "evaluation", got.ID, "", ""}, []string{team.Name, team.Label, team.Source, team.TrajectoryID, team.TraceID, team.ID})
	assert.Contains(t, team.Explanation, "carried over from a")
	assert.Equal(t, "fr", got.Facts[1].Label)

	engine, err := rewards.Parse("rewards.yaml", []byte("rewards:\n  - name: right\n    expr: 'evaluation(\"team\")?.label == \"billing\" ? 1 : 0'\n"))
	require.NoError(t, err)
	engine.Apply(got, 1)
	require.Len(t, got.Rewards, 1)
	require.NotNil(t, got.Rewards[0].Value)
	assert.Equal(t, 1.0, *got.Rewards[0].Value)
}

func TestAFolderThatIsAnothers(t *testing.T) {
	_, c := serve(t, func(int, request) recorded { return answerNamed(t, "chat_logprobs_ids") })
	out := t.TempDir()
	w, err := dataset.NewWriter(out, "collector", dataset.Options{Clock: stopped})
	require.NoError(t, err)
	_, err = w.Write(t.Context(), []*trajectory.Trajectory{logged("a", "Paris", "true")}, nil)
	require.NoError(t, errors.Join(err, w.Close()))
	_, err = Run(t.Context(), c, nil, out, Options{})
	require.ErrorContains(t, err, "not of rollouts")
}

func FuzzAnswer(f *testing.F) {
	found, err := filepath.Glob("testdata/vllm/chat*.json")
	require.NoError(f, err)
	for _, path := range found {
		text, err := os.ReadFile(path)
		require.NoError(f, err)
		var r recorded
		require.NoError(f, json.Unmarshal(text, &r))
		f.Add([]byte(r.Body))
	}
	f.Add([]byte(`{"choices":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parseAnswer(body)
		if err != nil {
			return
		}
		if len(a.Logprobs) != 0 && len(a.Logprobs) != len(a.Tokens) {
			t.Errorf("%d log-probabilities of %d tokens", len(a.Logprobs), len(a.Tokens))
		}
		if strings.Contains(messageOf(body), "\n") {
			t.Error("an error has several lines")
		}
	})
}
