package history

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/records"
)

const imports = "../../testdata/import/"

var update = flag.Bool("update", false, "rewrite what the cases in testdata expect")

// TestCases reads the lines `in` of every case; `want` has what they become, as
// OTLP/JSON, and the errors with their reasons.
func TestCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/cases/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			c, err := txtar.ParseFile(path)
			require.NoError(t, err)
			got := describe(t, c.Files[0].Data)
			if *update {
				c.Files = append(c.Files[:1], txtar.File{Name: "want", Data: []byte(got)})
				require.NoError(t, os.WriteFile(path, txtar.Format(c), 0o644))
				return
			}
			require.Len(t, c.Files, 2)
			assert.Equal(t, string(c.Files[1].Data), got)
		})
	}
}

func describe(t *testing.T, data []byte) string {
	var out strings.Builder
	read(records.Read("in", bytes.NewReader(data), 0), 0, func(b Batch, err error) bool {
		if err != nil {
			fmt.Fprintf(&out, "%s: %v\n", Reason(err), err)
			return true
		}
		fmt.Fprintf(&out, "%s, up to %d:\n%s\n", b.Format, b.Number, strings.ReplaceAll(asJSON(t, b.Request), `{"key":`, "\n  {\"key\":"))
		return true
	})
	return out.String()
}

func asJSON(t testing.TB, req otlp.Request) string {
	var b []byte
	var err error
	if req.Signal == otlp.Logs {
		b, err = (&plog.JSONMarshaler{}).MarshalLogs(req.Logs)
	} else {
		b, err = (&ptrace.JSONMarshaler{}).MarshalTraces(req.Traces)
	}
	require.NoError(t, err)
	return string(b)
}

// count is how many spans and log records a file holds.
func count(t *testing.T, path string, skip int) (items int, last Batch) {
	for b, err := range File(path, skip) {
		require.NoError(t, err)
		items += b.Items()
		last = b
	}
	return items, last
}

func TestRealExports(t *testing.T) {
	for name, want := range map[string]int{
		"chat.jsonl": 3, "events.logs.jsonl": 15, "file-exporter.proto.zstd": 18,
		"clickhouse.chat_traces.parquet": 3, "clickhouse.chat_traces.jsonl.gz": 3, "clickhouse.chat_traces_json.jsonl.gz": 3,
		"clickhouse.events_logs.parquet": 15, "clickhouse.events_logs.jsonl.gz": 15, "clickhouse.events_traces.parquet": 3,
		"phoenix.agents.parquet": 6, "phoenix.agents.rest.json.gz": 6, "phoenix.agents.otlpv1.json.gz": 6,
		"lightning.spans.jsonl.gz": 10, "lightning.api.json.gz": 10,
	} {
		t.Run(name, func(t *testing.T) {
			items, last := count(t, imports+name, 0)
			assert.Equal(t, want, items)
			info, err := os.Stat(imports + name)
			require.NoError(t, err)
			assert.Equal(t, info.Size(), last.Read)
			assert.Equal(t, filepath.Base(name), filepath.Base(last.File))
		})
	}
}

// TestGoingOn: whoever stopped after a record reads the rest.
func TestGoingOn(t *testing.T) {
	for _, name := range []string{"clickhouse.events_logs.parquet", "clickhouse.events_logs.jsonl.gz", "lightning.spans.jsonl.gz", "events.logs.jsonl"} {
		whole, last := count(t, imports+name, 0)
		assert.Positive(t, whole)
		rest, _ := count(t, imports+name, last.Number-1)
		assert.Less(t, rest, whole)
		assert.Positive(t, rest)
		none, _ := count(t, imports+name, last.Number)
		assert.Zero(t, none)
	}
}

// TestALongPage: who stops within the rows of one record reads it again.
func TestALongPage(t *testing.T) {
	row := `{"trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708","start_time_unix_nano":1,"attributes":[]}`
	page := `{"data":[` + strings.Repeat(row+",", rowsAtOnce) + row + "]}"
	var at []int
	read(records.Read("in", strings.NewReader(page+"\n"+page), 0), 0, func(b Batch, err error) bool {
		require.NoError(t, err)
		at = append(at, b.Number)
		return true
	})
	assert.Equal(t, []int{0, 1, 2}, at)
}

func TestAConsumerMayStopEarly(t *testing.T) {
	for _, name := range []string{"chat.jsonl", "phoenix.agents.parquet", "clickhouse.events_logs.jsonl.gz"} {
		for _, err := range File(imports+name, 0) {
			require.NoError(t, err)
			break
		}
	}
}

func TestFilesThatAreNot(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.parquet")
	data, err := os.ReadFile(imports + "clickhouse.chat_traces.parquet")
	require.NoError(t, err)
	for name, content := range map[string][]byte{"cut": data[:len(data)/2], "magic": data[:4], "scrambled": append(bytes.Repeat([]byte("PAR1"), 1000), "PAR1"...)} {
		require.NoError(t, os.WriteFile(broken, content, 0o600))
		for _, err := range File(broken, 0) {
			require.ErrorContains(t, err, "read Parquet file "+broken, name)
			assert.Equal(t, "unreadable", Reason(err))
		}
	}
	for _, err := range File(filepath.Join(t.TempDir(), "none"), 0) {
		require.ErrorIs(t, err, os.ErrNotExist)
		assert.Equal(t, "unreadable", Reason(err))
	}
}

func FuzzRead(f *testing.F) {
	paths, err := filepath.Glob("testdata/cases/*.txtar")
	require.NoError(f, err)
	for _, path := range paths {
		c, err := txtar.ParseFile(path)
		require.NoError(f, err)
		f.Add(c.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		read(records.Read("f", bytes.NewReader(data), 0), 0, func(b Batch, err error) bool {
			if err == nil {
				asJSON(t, b.Request)
			} else {
				require.NotEmpty(t, Reason(err))
			}
			return true
		})
	})
}

// FuzzParquet scrambles real files: a number of bytes at a place each time.
func FuzzParquet(f *testing.F) {
	var files [][]byte
	for _, name := range []string{"clickhouse.chat_traces.parquet", "clickhouse.events_logs.parquet", "phoenix.agents.parquet"} {
		data, err := os.ReadFile(imports + name)
		require.NoError(f, err)
		files = append(files, data)
	}
	f.Add(uint8(0), uint32(100), []byte{0xff})
	f.Add(uint8(1), uint32(11000), []byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte) {
		data := bytes.Clone(files[int(which)%len(files)])
		copy(data[int(at)%len(data):], patch)
		p := &parquetReader{name: "f", size: int64(len(data)), yield: func(r records.Record, err error) bool {
			if err == nil {
				found, err := recognise(r)
				_ = err
				_ = found
			}
			return r.Number < 100
		}}
		_ = p.run(bytes.NewReader(data))
	})
}
