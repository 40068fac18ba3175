package parquetexporter

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// factsRead is what a batch of log records holds.
type factsRead struct {
	facts   []trajectory.Fact
	bad     []badItem
	skipped int // records that are no evaluation
}

func readFacts(ld plog.Logs, now time.Time) factsRead {
	verdicts, others := genai.Verdicts(ld, now)
	in := factsRead{skipped: others}
	for _, v := range verdicts {
		if v.Reason != "" {
			in.bad = append(in.bad, badItem{v.Reason, v.Error, recordJSON(v.Resource, v.Record)})
			continue
		}
		if v.Fact.ID == "" {
			v.Fact.ID = dataset.FactID(v.Fact)
		}
		in.facts = append(in.facts, v.Fact)
	}
	return in
}

func recordJSON(res pcommon.Resource, r plog.LogRecord) []byte {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	res.CopyTo(rl.Resource())
	r.CopyTo(rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	b, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
	if err != nil {
		return nil
	}
	return b
}
