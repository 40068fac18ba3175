//go:build unix

package repotest

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/internal/localcollector"
	"github.com/tracegrad/tracegrad/internal/vllmtest"
)

// TestVLLMServing: adapters of a real vLLM are deployed, served by label while
// calls run, split, rolled back and taken out, by the built commands; and each
// step of the dataset names the one that answered.
func TestVLLMServing(t *testing.T) {
	v := startServing(t)
	one, two := v.pack(t, "one", nil, false), v.pack(t, "two", nil, true)
	v.tracegrad(t, "deploy", "--base", v.server.Model, one.Dir)
	v.tracegrad(t, "deploy", "--base", v.server.Model, "--resolver-dir", v.server.Adapters, two.Dir)
	base, first, second := v.direct(t, "base"), v.direct(t, one.AdapterName()), v.direct(t, two.AdapterName())
	require.NotEqual(t, base, first, "or the test could not tell them apart")
	require.NotEqual(t, first, second)

	v.until(t, "c-1", "", base)
	v.tracegrad(t, "promote", one.Dir)
	v.until(t, "c-1", one.ID(), first)

	t.Run("a label moves under a running stream", func(t *testing.T) {
		stream := v.ask(t, v.gateway, `{"model":"base","stream":true,"max_tokens":1500,"ignore_eos":true,"temperature":0,"messages":[`+liveUser+`]}`, "c-1")
		lines := bufio.NewReader(stream.Body)
		begin, err := lines.ReadString('\n')
		require.NoError(t, err)
		v.tracegrad(t, "promote", two.Dir)
		v.until(t, "c-1", two.ID(), second)
		rest, err := io.ReadAll(lines)
		require.NoError(t, err)
		require.NoError(t, stream.Body.Close())
		whole := begin + string(rest)
		assert.True(t, strings.HasSuffix(whole, "data: [DONE]\n\n"))
		assert.Contains(t, whole, `"finish_reason":"length"`)
		assert.NotContains(t, whole, one.AdapterName())
		assert.Equal(t, strings.Count(whole, "data: {"), strings.Count(whole, `"model":"base"`))
		v.expect(t, answerID.FindStringSubmatch(whole)[1], one)
	})
	t.Run("roll back", func(t *testing.T) {
		v.tracegrad(t, "rollback", v.bundles)
		v.until(t, "c-1", one.ID(), first)
	})
	t.Run("canary", func(t *testing.T) { // half of the traffic: see the gateway's README for the positions
		v.tracegrad(t, "label", two.Dir, "canary")
		v.until(t, "4bf92f3577b34da6a3ce929d0e0e4736", two.ID(), second)
		v.until(t, "c-1", one.ID(), first)
	})
	t.Run("the server lost it", func(t *testing.T) {
		assert.Contains(t, v.refused(t, "undeploy", one.Dir), "the label [production] names it")
		v.tracegrad(t, "undeploy", "--force", one.Dir)
		v.until(t, "c-1", "", base)
		v.tracegrad(t, "deploy", "--base", v.server.Model, one.Dir)
		v.until(t, "c-1", one.ID(), first)
	})
	t.Run("bad adapters", func(t *testing.T) {
		before := v.tracegrad(t, "list", v.bundles)
		for want, change := range map[string]map[string]any{
			"use_dora: is true":                        {"use_dora": true},
			"where the base model and rank 4 need [4 ": {"r": 4},
			"target_modules: is null":                  {"target_modules": nil},
			`is an adapter of "other"`:                 {"base_model_name_or_path": "other"},
			"and the server takes ranks up to 4":       {"revision": "x"},
		} {
			args := []string{"deploy", "--base", v.server.Model}
			if want == "and the server takes ranks up to 4" {
				args = append(args, "--max-rank", "4")
			}
			bad := v.pack(t, want, change, false)
			assert.Contains(t, v.refused(t, append(args, bad.Dir)...), want)
			require.NoError(t, os.RemoveAll(bad.Dir))
		}
		assert.Equal(t, before, v.tracegrad(t, "list", v.bundles))
		v.until(t, "c-1", one.ID(), first)
	})
	v.inDataset(t)
}

// serving is a vLLM behind the gateway of a built Collector.
type serving struct {
	server        *vllmtest.Server
	collector     *localcollector.Collector
	gateway       string
	bundles, data string
	served        map[string]*bundle.Bundle // by response id; nil = the base model
}

func startServing(t *testing.T) *serving {
	t.Helper()
	v := &serving{server: vllmtest.Start(t, root), bundles: filepath.Join(t.TempDir(), "bundles"), data: filepath.Join(t.TempDir(), "dataset"), served: map[string]*bundle.Bundle{}}
	text := strings.Replace(tokensConfig, "    logprobs_mode: processed\n",
		"    logprobs_mode: processed\n    bundle: {directory: \"${env:TRACEGRAD_BUNDLES}\", label: production, canary_percent: 50, models: [base], refresh_interval: 100ms}\n", 1)
	config := filepath.Join(t.TempDir(), "collector.yaml")
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	c, err := localcollector.Start(t.Context(), localcollector.Options{
		Binary: collector(t), Config: config, Log: filepath.Join(t.TempDir(), "collector.log"),
		Env: map[string]string{"TRACEGRAD_UPSTREAM": v.server.URL, "TRACEGRAD_DATA": v.data, "TRACEGRAD_BUNDLES": v.bundles},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Stop() })
	v.collector, v.gateway = c, c.URL(localcollector.Gateway)
	return v
}

// tracegrad runs `tracegrad bundle …` and returns what it printed.
func (v *serving) tracegrad(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, ".", nil, tracegrad(t), v.command(args)...)
}

func (v *serving) refused(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(tracegrad(t), v.command(args)...).CombinedOutput()
	require.Error(t, err, "%s", out)
	return string(out)
}

func (v *serving) command(args []string) []string {
	switch args[0] {
	case "deploy", "undeploy", "list":
		args = append([]string{args[0], "--vllm", v.server.URL}, args[1:]...)
	}
	return append([]string{"bundle"}, args...)
}

// pack packs the adapter that vllmtest made, or its mirror image: the same
// changes, the other way.
func (v *serving) pack(t *testing.T, name string, change map[string]any, mirrored bool) *bundle.Bundle {
	t.Helper()
	folder := filepath.Join(v.server.Adapters, "tuned")
	var config map[string]any
	require.NoError(t, json.Unmarshal([]byte(readFile(t, folder, "adapter_config.json")), &config))
	for key, value := range change {
		config[key] = value
	}
	raw, err := json.Marshal(config)
	require.NoError(t, err)
	weights := []byte(readFile(t, folder, "adapter_model.safetensors"))
	if mirrored {
		mirror(t, weights)
	}
	m := bundle.Manifest{
		Kind: bundle.KindAdapter, Name: name, Status: bundle.StatusReleased, BaseModel: config["base_model_name_or_path"].(string),
		CreatedAt: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Gate: bundle.Gate{Passed: true},
	}
	files, err := bundle.AdapterFiles(m, map[string][]byte{"adapter_config.json": raw, "adapter_model.safetensors": weights})
	require.NoError(t, err)
	b, err := bundle.Add(v.bundles, m, files)
	require.NoError(t, err)
	return b
}

// mirror turns the sign of every lora_B.
func mirror(t *testing.T, weights []byte) {
	t.Helper()
	from := 8 + binary.LittleEndian.Uint64(weights)
	var header map[string]struct {
		DType string    `json:"dtype"`
		Data  [2]uint64 `json:"data_offsets"`
	}
	require.NoError(t, json.Unmarshal(weights[8:from], &header))
	for name, x := range header {
		if strings.Contains(name, "lora_B") {
			require.Equal(t, "F32", x.DType)
			for i := from + x.Data[0] + 3; i < from+x.Data[1]; i += 4 {
				weights[i] ^= 0x80
			}
		}
	}
}

func (v *serving) ask(t *testing.T, at, body, conversation string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"/v1/chat/completions", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Conversation-Id", conversation)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	return res
}

// reply asks a model for its likeliest answer.
func (v *serving) reply(t *testing.T, at, model, conversation string) (id, named, text, bundle string) {
	t.Helper()
	res := v.ask(t, at, `{"model":"`+model+`","max_tokens":12,"temperature":0,"messages":[`+liveUser+`]}`, conversation)
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		ID, Model string
		Choices   []struct{ Message struct{ Content string } }
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
	require.Len(t, answer.Choices, 1)
	return answer.ID, answer.Model, answer.Choices[0].Message.Content, res.Header.Get("X-Tracegrad-Bundle")
}

func (v *serving) direct(t *testing.T, model string) string {
	t.Helper()
	_, _, text, _ := v.reply(t, v.server.URL, model, "")
	return text
}

// until asks the gateway until it serves a bundle, which must answer as the server
// does when it is asked for that adapter.
func (v *serving) until(t *testing.T, conversation, id, want string) {
	t.Helper()
	for {
		response, model, text, serves := v.reply(t, v.gateway, "base", conversation)
		var b *bundle.Bundle
		if serves != "" {
			var err error
			b, err = bundle.Open(filepath.Join(v.bundles, serves))
			require.NoError(t, err)
		}
		v.expect(t, response, b)
		require.Equal(t, "base", model)
		if serves == id {
			require.Equal(t, want, text)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (v *serving) expect(t *testing.T, response string, b *bundle.Bundle) {
	t.Helper()
	require.NotContains(t, v.served, response)
	v.served[response] = b
}

// inDataset: the columns of each step name what served it.
func (v *serving) inDataset(t *testing.T) {
	t.Helper()
	_, err := v.collector.Settle(t.Context())
	require.NoError(t, err)
	require.NoError(t, v.collector.Stop())
	type step struct {
		ResponseID    string `parquet:"response_id,optional"`
		RequestModel  string `parquet:"request_model,optional"`
		ResponseModel string `parquet:"response_model,optional"`
		Adapter       string `parquet:"adapter,optional"`
		Bundle        string `parquet:"bundle,optional"`
	}
	seen := map[string]bool{}
	for _, s := range liveRows[step](t, v.data, "steps") {
		want, known := v.served[s.ResponseID]
		require.True(t, known, s)
		seen[s.ResponseID] = true
		expected := step{ResponseID: s.ResponseID, RequestModel: "base", ResponseModel: "base"}
		if want != nil {
			expected.ResponseModel, expected.Adapter, expected.Bundle = want.AdapterName(), want.AdapterName(), want.ID()
		}
		assert.Equal(t, expected, s)
	}
	assert.Len(t, seen, len(v.served), "every call is a step")
	t.Logf("%d calls", len(seen))
}
