package otlp

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"
)

const imports = "../../testdata/import/"

// contents are the requests of a source, as OTLP/JSON.
func contents(t *testing.T, src Source) []string {
	t.Helper()
	var out []string
	for req, err := range src {
		require.NoError(t, err)
		out = append(out, asJSON(t, req))
	}
	require.NotEmpty(t, out)
	return out
}

func asJSON(t *testing.T, req Request) string {
	t.Helper()
	if req.Signal == Logs {
		b, err := (&plog.JSONMarshaler{}).MarshalLogs(req.Logs)
		require.NoError(t, err)
		return string(b)
	}
	b, err := (&ptrace.JSONMarshaler{}).MarshalTraces(req.Traces)
	require.NoError(t, err)
	return string(b)
}

// TestTheFileExportersFormats reads what the Collector's file exporter wrote,
// spans and log records in one file, in each of its formats.
func TestTheFileExportersFormats(t *testing.T) {
	want := contents(t, Files(imports+"events.jsonl", imports+"events.logs.jsonl"))
	paths, err := filepath.Glob(imports + "file-exporter.*")
	require.NoError(t, err)
	require.Len(t, paths, 6)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) { assert.Equal(t, want, contents(t, Files(path))) })
	}
}

func TestOneRequestAFile(t *testing.T) {
	for req, err := range Files(imports+"events.jsonl", imports+"events.logs.jsonl") {
		require.NoError(t, err)
		proto, err := req.marshal()
		require.NoError(t, err)
		var pretty bytes.Buffer
		require.NoError(t, json.Indent(&pretty, []byte(asJSON(t, req)), "", "  "))
		want := []string{asJSON(t, req)}
		assert.Equal(t, want, contents(t, Read("proto", bytes.NewReader(proto))))
		assert.Equal(t, want, contents(t, Read("pretty", &pretty)))
		assert.Equal(t, want, contents(t, Read("array", strings.NewReader("["+want[0]+"]"))))
	}
}

func TestSignalOfProto(t *testing.T) {
	metrics := pmetricotlp.NewExportRequest()
	m := metrics.Metrics().ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("requests")
	m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	b, err := metrics.MarshalProto()
	require.NoError(t, err)
	_, err = parseProto(b)
	assert.ErrorIs(t, err, errMetrics)

	body := plog.NewLogs() // a record without times, ids or severity
	body.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("hello")
	b, err = Request{Signal: Logs, Logs: body}.marshal()
	require.NoError(t, err)
	req, err := parseProto(b)
	require.NoError(t, err)
	assert.Equal(t, Logs, req.Signal)
	assert.Equal(t, 1, req.Items())

	_, err = parseProto([]byte{0x0a, 0x05, 1})
	assert.ErrorContains(t, err, "parse protobuf")
}

// TestValuesThatLieTooDeep: pdata's decoders would overflow the stack.
func TestValuesThatLieTooDeep(t *testing.T) {
	wrap := func(field protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), b)
	}
	nested := func(n int) []byte {
		var v []byte
		for range n {
			v = wrap(5, wrap(1, v))
		}
		return wrap(1, wrap(1, wrap(1, wrap(2, v)))) // request, resource, attribute, value
	}
	_, err := parseProto(nested(maxDepth - 1))
	require.NoError(t, err)
	_, err = parseProto(nested(maxDepth + 1))
	require.ErrorIs(t, err, errDeep)

	text := func(n int) string {
		return `{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":` +
			strings.Repeat(`{"arrayValue":{"values":[`, n) + strings.Repeat(`]}}`, n) + `}]}}]}`
	}
	_, err = parseJSON([]byte(text(maxDepth - 3)))
	require.NoError(t, err)
	_, err = parseJSON([]byte(text(maxDepth + 1)))
	require.ErrorIs(t, err, errDeep)
}

func FuzzParseProto(f *testing.F) {
	for req, err := range Files(imports+"events.jsonl", imports+"events.logs.jsonl") {
		require.NoError(f, err)
		b, err := req.marshal()
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := parseProto(data)
		if err != nil {
			return
		}
		_, err = req.marshal()
		require.NoError(t, err)
	})
}
