package parquetexporter

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/tracegrad/tracegrad/internal/genai"
)

// testdata/facts.txtar holds pairs: a log record in OTLP/JSON, and the fact it
// becomes, or why it is set aside. It is 2026-03-14 12:00 UTC.
func TestReadFacts(t *testing.T) {
	a, err := txtar.ParseFile("testdata/facts.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, a.Files)
	for i := 0; i < len(a.Files); i += 2 {
		record, want := a.Files[i], a.Files[i+1]
		t.Run(record.Name, func(t *testing.T) {
			scope := "some.judge"
			if strings.Contains(record.Name, "feedback receiver") {
				scope = "github.com/tracegrad/tracegrad/receiver/feedbackreceiver"
			}
			ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(`{"resourceLogs":[{"scopeLogs":[{"scope":{"name":"` + scope + `"},"logRecords":[` + string(record.Data) + `]}]}]}`))
			require.NoError(t, err)
			in := readFacts(ld, now)
			got := map[string]any{"facts": in.facts, "skipped": in.skipped}
			for _, b := range in.bad {
				got["bad"] = b.Reason + ": " + b.Error
				assert.NotEmpty(t, b.Data)
			}
			data, err := json.Marshal(got)
			require.NoError(t, err)
			assert.JSONEq(t, string(want.Data), string(data))
		})
	}
}

func TestReadFactsKeepsNoNumberThatIsNone(t *testing.T) {
	ld := verdict("c")
	r := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	for _, v := range []float64{nan(), 1 / zero()} {
		r.Attributes().PutDouble("gen_ai.evaluation.score.value", v)
		in := readFacts(ld, now)
		assert.Empty(t, in.facts)
		require.Len(t, in.bad, 1)
		assert.Equal(t, genai.NotFinite, in.bad[0].Reason)
	}
}

func zero() float64 { return 0 }
func nan() float64  { return zero() / zero() }
