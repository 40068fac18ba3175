package gatewayreceiver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/openai"
)

// server is an upstream that answers with what was recorded of vLLM: one way
// where it is asked for token ids, and another where it is not.
type server struct {
	t      *testing.T
	name   string // in internal/openai/testdata/tokens
	models string // the answer to GET /v1/models
	refuse int    // the status for requests that ask; 0 = they are answered

	mu    sync.Mutex
	calls []string // "models", "asked", "plain"
	auth  string   // of the last request for models
}

const vllmModels = `{"object":"list","data":[{"id":"base","object":"model","owned_by":"vllm"}]}`

func (s *server) recorded(kind string) []byte {
	raw, err := os.ReadFile(filepath.Join("internal", "openai", "testdata", "tokens", s.name+"."+kind))
	require.NoError(s.t, err)
	return raw
}

func (s *server) note(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, kind)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == modelsPath {
		s.note("models")
		s.auth = r.Header.Get("Authorization")
		_, _ = io.WriteString(w, s.models)
		return
	}
	body, _ := io.ReadAll(r.Body)
	kind := "plain"
	if gjson.GetBytes(body, "return_token_ids").Bool() {
		kind = "asked"
	}
	s.note(kind)
	if kind == "asked" && s.refuse != 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(s.refuse)
		_, _ = io.WriteString(w, `{"error":{"message":"Unrecognized request argument supplied: return_token_ids"}}`)
		return
	}
	answer := s.recorded(kind)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case bytes.HasPrefix(answer, []byte("data:")):
		w.Header().Set("Content-Type", "text/event-stream")
	case bytes.HasPrefix(answer, []byte(`{"error"`)):
		w.WriteHeader(http.StatusBadRequest)
	}
	for _, event := range bytes.SplitAfter(answer, []byte("\n\n")) {
		_, _ = w.Write(event)
		_ = http.NewResponseController(w).Flush()
	}
}

// asking is a gateway that may ask for token ids.
func (s *server) asking(mode string, sink *consumertest.TracesSink) *bench {
	if s.models == "" {
		s.models = vllmModels
	}
	return start(s.t, s.serve, sink, func(c *Config) { c.TokenIDs, c.LogprobsMode = mode, "processed" })
}

// decoded is a span as the trajectory processor reads it.
func decoded(s ptrace.Span) (prompt, ids []int32, logprobs []float32, constrained *bool) {
	c := genai.NewDecoder(genai.Options{}).Decode(pcommon.NewResource(), pcommon.NewInstrumentationScope(), s).Call
	return c.PromptTokenIDs, c.TokenIDs, c.Logprobs, c.Constrained
}

// TestAskedForTokens: the agent gets the answer to its own request, byte for
// byte, and the span what the server said of the tokens.
func TestAskedForTokens(t *testing.T) {
	names, err := filepath.Glob("internal/openai/testdata/tokens/*.request")
	require.NoError(t, err)
	for _, name := range names {
		name = strings.TrimSuffix(filepath.Base(name), ".request")
		t.Run(name, func(t *testing.T) {
			up, sink := &server{t: t, name: name}, new(consumertest.TracesSink)
			b := up.asking(idsAuto, sink)
			request := up.recorded("request")
			res, got := b.post(string(request), "Authorization", "Bearer of the agent")
			want := up.recorded("plain")
			assert.Equal(t, withoutCallIDs(want), withoutCallIDs(got))
			if res.ContentLength >= 0 {
				assert.EqualValues(t, len(got), res.ContentLength)
			}
			assert.Equal(t, "Bearer of the agent", up.auth)

			_, _, why := openai.Ask(request)
			s := b.span(sink)
			prompt, ids, logprobs, constrained := decoded(s)
			switch {
			case strings.Contains(name, "error"):
				assert.Equal(t, http.StatusBadRequest, res.StatusCode)
				assert.Empty(t, ids)
			case why != "":
				assert.Equal(t, []string{"models", "plain"}, up.calls)
				assert.Equal(t, why, attr(s, "tracegrad.token_ids.missing"))
				assert.Empty(t, ids)
			default:
				assert.Equal(t, []string{"models", "asked"}, up.calls)
				assert.NotEmpty(t, prompt)
				assert.NotEmpty(t, ids)
				assert.Len(t, logprobs, len(ids))
				require.NotNil(t, constrained)
				assert.Equal(t, strings.Contains(name, "tool_") || name == "json_schema", *constrained)
				assert.Equal(t, "processed", attr(s, "tracegrad.logprobs_mode"))
				assert.Nil(t, attr(s, "tracegrad.token_ids.missing"))
			}
		})
	}
}

func withoutCallIDs(raw []byte) string {
	for {
		at := bytes.Index(raw, []byte("chatcmpl-tool-"))
		if at < 0 {
			return string(raw)
		}
		raw = append(raw[:at:at], raw[at+len("chatcmpl-tool-")+16:]...)
	}
}

// A server that is no vLLM is not asked, and looked at once.
func TestOthersAreNotAsked(t *testing.T) {
	for _, models := range []string{`{"data":[{"id":"m","owned_by":"openai"}]}`, `not found`, `{}`} {
		up, sink := &server{t: t, name: "plain", models: models}, new(consumertest.TracesSink)
		b := up.asking(idsAuto, sink)
		for range 3 {
			_, got := b.post(string(up.recorded("request")))
			assert.Equal(t, string(up.recorded("plain")), string(got))
		}
		assert.Equal(t, []string{"models", "plain", "plain", "plain"}, up.calls)
		for _, s := range b.spans(sink) {
			_, ids, _, _ := decoded(s)
			assert.Empty(t, ids)
			assert.Nil(t, attr(s, "tracegrad.token_ids.missing"))
		}
	}
}

// A server that refuses what it was not asked by the agent answers the agent's
// own request, and is left alone from then on.
func TestRefusalIsNotSeen(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusUnprocessableEntity} {
		up, sink := &server{t: t, name: "stream", refuse: status}, new(consumertest.TracesSink)
		b := up.asking(idsOn, sink)
		for range 2 {
			res, got := b.post(string(up.recorded("request")))
			assert.Equal(t, http.StatusOK, res.StatusCode)
			assert.Equal(t, string(up.recorded("plain")), string(got))
		}
		assert.Equal(t, []string{"asked", "plain", "plain"}, up.calls)
		spans := b.spans(sink)
		require.Len(t, spans, 2)
		why := []any{attr(spans[0], "tracegrad.token_ids.missing"), attr(spans[1], "tracegrad.token_ids.missing")}
		assert.ElementsMatch(t, []any{"refused", nil}, why)
		for _, s := range spans {
			assert.Nil(t, attr(s, "error.type"))
		}
	}
}

// An error that the agent's own request deserves is the one it gets.
func TestOwnErrorIsSeen(t *testing.T) {
	up, sink := &server{t: t, name: "error"}, new(consumertest.TracesSink)
	b := up.asking(idsOn, sink)
	res, got := b.post(string(up.recorded("request")))
	assert.Equal(t, http.StatusBadRequest, res.StatusCode)
	assert.Equal(t, string(up.recorded("plain")), string(got))
	assert.Equal(t, []string{"asked", "plain"}, up.calls)
	assert.Equal(t, "400", attr(b.span(sink), "error.type"))
}

// A server that takes the request and knows nothing of ids is asked once.
func TestServerWithoutIDs(t *testing.T) {
	sink := new(consumertest.TracesSink)
	var asked []bool
	b := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, gjson.GetBytes(body, "return_token_ids").Bool())
		answering(w, r)
	}, sink, func(c *Config) { c.TokenIDs = idsOn })
	b.post(hello)
	require.Eventually(t, func() bool { // the answer is read beside the call
		b.gateway.asker.mu.Lock()
		defer b.gateway.asker.mu.Unlock()
		return !b.gateway.asker.yes
	}, 10*time.Second, time.Millisecond)
	b.post(hello)
	assert.Equal(t, []bool{true, false}, asked)
	spans := b.spans(sink)
	assert.Equal(t, openai.NoneAbsent, attr(spans[0], "tracegrad.token_ids.missing"))
	assert.Nil(t, attr(spans[1], "tracegrad.token_ids.missing"))
}

// Without content there are no ids: they are content.
func TestNoIDsWithoutContent(t *testing.T) {
	up, sink := &server{t: t, name: "plain", models: vllmModels}, new(consumertest.TracesSink)
	b := start(t, up.serve, sink, func(c *Config) { c.TokenIDs, c.CaptureContent = idsOn, false })
	b.post(string(up.recorded("request")))
	assert.Equal(t, []string{"plain"}, up.calls)
	_, ids, _, _ := decoded(b.span(sink))
	assert.Empty(t, ids)
}

// The ids of an answer that broke off are those that came; the step says that it
// broke off, whoever broke it.
func TestBrokenAnswerKeepsItsIDs(t *testing.T) {
	up := &server{t: t, name: "stream"}
	events := bytes.SplitAfter(up.recorded("asked"), []byte("\n\n"))
	for name, agentLeaves := range map[string]bool{"response_cut": false, "canceled": true} {
		gone, sink := make(chan struct{}), new(consumertest.TracesSink)
		b := start(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			for _, e := range events[:4] {
				_, _ = w.Write(e)
			}
			_ = http.NewResponseController(w).Flush()
			if agentLeaves {
				<-r.Context().Done()
				close(gone)
				return
			}
			panic(http.ErrAbortHandler)
		}, sink, func(c *Config) { c.TokenIDs = idsOn })
		ctx, cancel := context.WithCancel(context.Background())
		res, err := http.DefaultClient.Do(b.request(ctx, string(up.recorded("request"))))
		require.NoError(t, err)
		if agentLeaves {
			_, err = io.ReadFull(res.Body, make([]byte, 600))
			require.NoError(t, err)
			cancel()
			<-gone
		} else {
			_, err = io.ReadAll(res.Body)
			require.Error(t, err)
		}
		_ = res.Body.Close()
		cancel()
		s := b.span(sink)
		assert.Equal(t, name, attr(s, "error.type"))
		prompt, ids, logprobs, _ := decoded(s)
		assert.NotEmpty(t, prompt)
		assert.Len(t, ids, 3)
		assert.Len(t, logprobs, 3)
	}
}

// Calls that come at once look once.
func TestOneProbeForAll(t *testing.T) {
	up, sink := &server{t: t, name: "plain"}, new(consumertest.TracesSink)
	b := up.asking(idsAuto, sink)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			res, err := http.DefaultClient.Do(b.request(context.Background(), string(up.recorded("request"))))
			if assert.NoError(t, err) {
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
	}
	all.Wait()
	assert.Len(t, up.calls, 17)
	assert.Equal(t, "models", up.calls[0])
	assert.NotContains(t, up.calls, "plain")
}

// TestAsker: what is known is believed for as long as it may be.
func TestAsker(t *testing.T) {
	now := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	probes, vllm, known := 0, false, false
	probe := func() (bool, bool) { probes++; return vllm, known }
	a := asker{mode: idsAuto}
	for _, step := range []struct {
		after       time.Duration
		vllm, known bool
		want        bool
		probes      int
	}{
		{0, false, false, false, 1},
		{tryAgain - 1, true, true, false, 1},
		{1, false, true, false, 2},
		{believed - 1, true, true, false, 2},
		{1, true, true, true, 3},
		{1000 * time.Hour, false, true, true, 3},
	} {
		now = now.Add(step.after)
		vllm, known = step.vllm, step.known
		assert.Equal(t, step.want, a.asks(now, probe))
		assert.Equal(t, step.probes, probes)
	}
	assert.True(t, a.deny(now))
	assert.False(t, a.deny(now))
	assert.False(t, a.asks(now.Add(believed-1), probe))
	vllm = true
	assert.True(t, a.asks(now.Add(believed), probe))

	off := asker{mode: idsOff}
	assert.False(t, off.asks(now, probe))
	assert.Equal(t, 4, probes)
}
