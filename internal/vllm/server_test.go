package vllm

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exchange is one of testdata/vllm/recorded.json.
type exchange struct {
	Path        string
	Status      int
	ContentType string `json:"content_type"`
	Request     json.RawMessage
	Response    string
}

func recorded(tb testing.TB, name string) exchange {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "vllm", "recorded.json"))
	require.NoError(tb, err)
	var all map[string]exchange
	require.NoError(tb, json.Unmarshal(raw, &all))
	e, ok := all[name]
	require.True(tb, ok, name)
	return e
}

// write answers as the recorded server did, with other names in it.
func (e exchange) write(w http.ResponseWriter, names ...string) {
	w.Header().Set("Content-Type", e.ContentType)
	w.WriteHeader(e.Status)
	_, _ = io.WriteString(w, strings.NewReplacer(names...).Replace(e.Response))
}

func connect(tb testing.TB, handler http.HandlerFunc) *Server {
	tb.Helper()
	up := httptest.NewServer(handler)
	tb.Cleanup(up.Close)
	s, err := New(up.URL+"/v1/", "secret", up.Client())
	require.NoError(tb, err)
	return s
}

// TestRecorded: what vLLM answered is understood, and it is asked as it was then.
func TestRecorded(t *testing.T) {
	load := func(name, path string) func(*Server) (any, error) {
		return func(s *Server) (any, error) { return s.Load(t.Context(), name, path) }
	}
	unload := func(s *Server) (any, error) { return s.Unload(t.Context(), "policy@v1") }
	const failed = "Call to add_lora method failed: Worker failed with error '"
	const root = "', please check the stack trace above for the root cause"
	for name, c := range map[string]struct {
		do   func(*Server) (any, error)
		want any
		err  string
	}{
		"models": {func(s *Server) (any, error) { return s.Models(t.Context()) },
			[]Model{{ID: "base", Root: "tiny"}, {ID: "policy@v1", Root: "/srv/loras/plain", Parent: "base"}}, ""},
		"loaded":              {load("policy@v1", "/srv/loras/plain"), true, ""},
		"loaded_again":        {load("policy@v1", "/srv/loras/plain"), false, ""},
		"wrong_base":          {load("wb", "/srv/loras2/wrongbase"), true, ""}, // hence CheckAdapter
		"wrong_shape":         {load("sh", "/srv/loras2/shape"), true, ""},
		"dora":                {load("l-dora", "/srv/loras/dora"), false, "load adapter l-dora: the server answered 500: " + failed + "vLLM does not yet support DoRA." + root},
		"bias":                {load("l-bias", "/srv/loras/bias"), false, "load adapter l-bias: the server answered 500: " + failed + "Adapter bias is not supported." + root},
		"rank":                {load("l-rank32", "/srv/loras/rank32"), false, "load adapter l-rank32: the server answered 500: " + failed + "LoRA rank 32 is greater than max_lora_rank 16." + root},
		"corrupt":             {load("co", "/srv/loras2/corrupt"), false, "load adapter co: the server answered 500: " + failed + "Error while deserializing header: incomplete metadata, file not fully covered" + root},
		"no_path":             {load("x1", "/srv/loras/nothere"), false, "load adapter x1: the server answered 404: Loading lora x1 failed: No adapter found for /srv/loras/nothere"},
		"no_such_path":        {load("a", "/b"), false, "load adapter: the server does not load adapters at run time: start vLLM with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora, or use its resolver: --resolver-dir"},
		"unloaded":            {unload, true, ""},
		"unloaded_again":      {unload, false, ""},
		"unknown_model":       {func(s *Server) (any, error) { return nil, s.Answers(t.Context(), "policy@v1") }, nil, "ask policy@v1 for a token: the server answered 404: The model `policy@v1` does not exist. Valid aliases: base."},
		"resolver_completion": {func(s *Server) (any, error) { return nil, s.Answers(t.Context(), "plain2") }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := recorded(t, name)
			s := connect(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if strings.HasSuffix(e.Path, "_adapter") {
					assert.Equal(t, e.Path, r.URL.Path)
					assert.JSONEq(t, string(e.Request), string(body))
				}
				assert.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
				e.write(w)
			})
			got, err := c.do(s)
			if c.err != "" {
				require.EqualError(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestAnotherServer(t *testing.T) {
	for body, want := range map[string]string{
		"<html>":                         "is no answer of an OpenAI-compatible server",
		`{"model":"b","choices":[{}]}`:   `"b" answered with 1 choices`,
		`{"model":"a","choices":[]}`:     `"a" answered with 0 choices`,
		`{"model":"a","choices":[{},1]}`: `"a" answered with 2 choices`,
	} {
		s := connect(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		require.ErrorContains(t, s.Answers(t.Context(), "a"), want)
	}
	for _, bad := range []string{"", "localhost:8000", "ftp://x", "http://u:p@x", "http://x?y=z"} {
		_, err := New(bad, "", nil)
		assert.Error(t, err, bad)
	}
}
