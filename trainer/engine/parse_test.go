package engine

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWire holds what is written against the protocol's schema, for a pass that
// has everything.
func TestWire(t *testing.T) {
	d := datum{
		input: []int32{1, 200000}, targets: []int32{200000, 3}, weights: []float32{0, 0.5},
		logprobs: []float32{0, -1.25}, advantages: []float32{0, -2}, values: []float32{0, 1}, returns: []float32{0, 2},
	}
	p := pass{model: "model_1", sequence: 300, forward: true, loss: "ppo", config: map[string]float64{"clip_low_threshold": 0.8, "clip_high_threshold": 1.28}, data: []datum{d}}
	assert.JSONEq(t, `{"modelId":"model_1","seqId":300,"lossFn":"ppo","forwardOnly":true,"lossFnConfig":{"clip_low_threshold":0.8,"clip_high_threshold":1.28},
		"data":[{"modelInput":[{"encodedText":{"tokens":"AQAAAEANAwA="}}],"lossFnInputs":{
			"target_tokens":{"dense":"QA0DAAAAAAADAAAAAAAAAA==","dtype":"DTYPE_INT64","shape":["2"]},
			"weights":{"dense":"AAAAAAAAAD8=","dtype":"DTYPE_FLOAT32","shape":["2"]},
			"logprobs":{"dense":"AAAAAAAAoL8=","dtype":"DTYPE_FLOAT32","shape":["2"]},
			"advantages":{"dense":"AAAAAAAAAMA=","dtype":"DTYPE_FLOAT32","shape":["2"]},
			"values":{"dense":"AAAAAAAAgD8=","dtype":"DTYPE_FLOAT32","shape":["2"]},
			"returns":{"dense":"AAAAAAAAAEA=","dtype":"DTYPE_FLOAT32","shape":["2"]}}}]}`, string(asJSON(t, "ForwardBackwardRequest", p.protobuf())))
	path, message := p.json()
	raw, err := json.Marshal(message)
	require.NoError(t, err)
	assert.Equal(t, "forward", path)
	assert.JSONEq(t, `{"model_id":"model_1","seq_id":300,"forward_input":{"loss_fn":"ppo","loss_fn_config":{"clip_low_threshold":0.8,"clip_high_threshold":1.28},
		"data":[{"model_input":{"chunks":[{"type":"encoded_text","tokens":[1,200000]}]},"loss_fn_inputs":{"target_tokens":{"data":[200000,3]},
			"weights":{"data":[0,0.5]},"logprobs":{"data":[0,-1.25]},"advantages":{"data":[0,-2]},"values":{"data":[0,1]},"returns":{"data":[0,2]}}}]}}`, string(raw))
}

func TestBadNumbers(t *testing.T) {
	for _, bad := range []string{`null`, `[1,null]`, `["1"]`, `[[1]]`, `{}`, `"x"`, `[1e99]`, `[true]`, `1`} {
		_, err := parsePassJSON([]byte(`{"loss_fn_outputs":[{"logprobs":{"data":` + bad + `}}]}`))
		require.Error(t, err, bad)
	}
	said, err := parsePassJSON([]byte(`{"loss_fn_outputs":[{"logprobs":{"data":[ -1.5 , 0, 2e-3 ]},"elementwise_loss":{"data":[]}}]}`))
	require.NoError(t, err)
	assert.Equal(t, []outputs{{logprobs: []float32{-1.5, 0, 0.002}, losses: []float32{}}}, said.rows)
}

func FuzzPassJSON(f *testing.F) {
	for name, e := range recorded(f, oldServer) {
		if len(e.Answer) > 0 && name[0] == 'r' {
			f.Add([]byte(e.Answer))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		said, err := parsePassJSON(body)
		if err == nil {
			require.True(t, json.Valid(body))
			require.LessOrEqual(t, len(said.rows), len(body))
		}
	})
}

func FuzzPassProtobuf(f *testing.F) {
	for _, e := range recorded(f, newServer) {
		if e.AnswerBytes != nil {
			f.Add(e.AnswerBytes, 3)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, rows int) {
		rows = min(max(rows, 0), 1<<10)
		said, err := parsePassProtobuf(body, rows)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(said.rows), rows)
		for _, r := range said.rows {
			require.LessOrEqual(t, 2*len(r.logprobs), len(body))
		}
	})
}

func FuzzAdapter(f *testing.F) {
	archive, err := os.ReadFile("testdata/adapter-0001.tar.gz")
	require.NoError(f, err)
	files, err := unpackAdapter(archive)
	require.NoError(f, err)
	f.Add(files.config, files.weights[:20000], 8)
	f.Add(files.config, files.weights, 8)
	f.Add([]byte(`{"r":8}`), files.weights, 8)
	f.Fuzz(func(t *testing.T, config, weights []byte, rank int) {
		out, err := completeConfig(adapterFiles{config, weights}, "base", rank)
		if err == nil {
			require.True(t, json.Valid(out))
		}
	})
}

func FuzzArchive(f *testing.F) {
	archive, err := os.ReadFile("testdata/adapter-0001.tar.gz")
	require.NoError(f, err)
	f.Add(archive)
	f.Add([]byte{0x1f, 0x8b})
	f.Add([]byte("plain"))
	f.Fuzz(func(_ *testing.T, archive []byte) { _, _ = unpackAdapter(archive) })
}

func FuzzDetail(f *testing.F) {
	for _, server := range []string{oldServer, newServer} {
		for _, e := range recorded(f, server) {
			if e.Status >= 400 {
				f.Add([]byte(e.Answer))
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) { require.LessOrEqual(t, len(detail(body)), 310) })
}

func TestDetails(t *testing.T) {
	for name, want := range map[string]string{
		"error-unknown-model":               "Model not found",
		"error-unknown-loss_fn":             "Input should be 'cross_entropy'",
		"error-bad-loss_fn_config-key":      "Invalid loss_fn_config keys",
		"error-json-forward_backward":       "application/x-protobuf",
		"retrieve_future-error-gspo-on-jax": "not supported by the JAX backend",
	} {
		e, ok := recorded(t, newServer)[name]
		require.True(t, ok, name)
		assert.Contains(t, detail(e.Answer), want)
	}
}

// record is an ArrayRecord of rows with one tensor, in an answer.
func record(rows, dtype int, data []byte, offsets ...uint64) []byte {
	var at []byte
	for _, o := range offsets {
		at = binary.LittleEndian.AppendUint64(at, o)
	}
	tensor := appendInt(appendMessage(appendMessage(nil, 1, data), 2, at), 3, dtype)
	fields := appendMessage(nil, 2, appendMessage(appendText(nil, 1, "logprobs"), 2, tensor))
	return appendMessage(nil, 2, appendInt(fields, 3, rows))
}

func TestTensors(t *testing.T) {
	said, err := parsePassProtobuf(record(2, dtypeBfloat16, []byte{0x80, 0xbf, 0, 0x40}, 0, 2, 4), 2)
	require.NoError(t, err)
	assert.Equal(t, []outputs{{logprobs: []float32{-1}}, {logprobs: []float32{2}}}, said.rows)
	for name, body := range map[string][]byte{
		"more rows than were sent":     record(3, dtypeFloat32, nil, 0, 0, 0, 0),
		"16 bytes of offsets":          record(2, dtypeFloat32, nil, 0, 0),
		"is at bytes 0 to 8 of 4":      record(1, dtypeFloat32, make([]byte, 4), 0, 8),
		"is at bytes 4 to 0 of 4":      record(1, dtypeFloat32, make([]byte, 4), 4, 0),
		"is at bytes 0 to 3 of 4":      record(1, dtypeFloat32, make([]byte, 4), 0, 3),
		"numbers of kind 2":            record(1, dtypeInt64, make([]byte, 8), 0, 8),
		"read protobuf":                {0x12},
		"a group, which":               {0x13},
		"more rows than were sent: 18": record(-1, dtypeFloat32, nil),
	} {
		_, err := parsePassProtobuf(body, 2)
		require.ErrorContains(t, err, name)
	}
}
