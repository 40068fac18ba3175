package otlp

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const captures = "../../testdata/captures"

// capture is a real one of 432 spans, some in several requests.
var capture = filepath.Join(captures, "openai__openinference-chat.jsonl")

func TestLines(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/lines.txtar")
	require.NoError(t, err)
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	for name, data := range files {
		base, isInput := strings.CutSuffix(name, ".jsonl")
		if !isInput {
			continue
		}
		t.Run(base, func(t *testing.T) {
			var got []string
			for req, err := range Read(name, strings.NewReader(data)) {
				got = append(got, describe(req, err))
			}
			want := strings.Split(strings.TrimSpace(files[base+".want"]), "\n")
			require.Len(t, got, len(want), strings.Join(got, "\n"))
			for i := range want {
				assert.True(t, strings.HasPrefix(got[i], want[i]), "got %q, want %q", got[i], want[i])
			}
		})
	}
}

func describe(req Request, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case req.Signal == Logs:
		return fmt.Sprintf("%s:%d: %d log records", req.File, req.Line, req.Items())
	}
	return fmt.Sprintf("%s:%d: %d spans", req.File, req.Line, req.Items())
}

func TestFilesReadsGzipByContent(t *testing.T) {
	plain, err := os.ReadFile(capture)
	require.NoError(t, err)
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	_, err = zw.Write(plain)
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	path := filepath.Join(t.TempDir(), "capture.jsonl")
	require.NoError(t, os.WriteFile(path, packed.Bytes(), 0o600))

	want, got := Scan(Files(capture)), Scan(Files(path))
	require.Positive(t, want.Requests)
	assert.Equal(t, want.Requests, got.Requests)
	assert.Equal(t, want.Files[0].Spans, got.Files[0].Spans)
	assert.Equal(t, want.Last, got.Last)

	cut := filepath.Join(t.TempDir(), "cut.jsonl.gz")
	require.NoError(t, os.WriteFile(cut, packed.Bytes()[:packed.Len()/2], 0o600))
	var errs []error
	read := 0
	for _, err := range Files(cut, capture) {
		if err != nil {
			errs = append(errs, err)
		} else {
			read++
		}
	}
	require.Len(t, errs, 1)
	assert.ErrorContains(t, errs[0], "cut.jsonl.gz: line ")
	assert.Greater(t, read, want.Requests, "the file after the broken one is read")
}

func TestFilesNamesAMissingFile(t *testing.T) {
	for _, err := range Files("no/such.jsonl") {
		assert.ErrorContains(t, err, "open file: open no/such.jsonl")
	}
}

func TestAConsumerMayStopEarly(t *testing.T) {
	n := 0
	for _, err := range Files(capture, capture) {
		require.NoError(t, err)
		if n++; n == 3 {
			break
		}
	}
	assert.Equal(t, 3, n)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","name":"a"}]}]}]}`))
	f.Add([]byte("{\"resourceLogs\":[{}]}\n\n{\n"))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		for req, err := range Read("f", bytes.NewReader(data)) {
			if err == nil {
				_, err := req.marshal()
				require.NoError(t, err)
			}
			if n++; n == 100 {
				break
			}
		}
	})
}
