//go:build unix

package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/processor/processortest"
	"golang.org/x/sys/unix"

	"github.com/tracegrad/tracegrad/exporter/parquetexporter"
	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
	"github.com/tracegrad/tracegrad/processor/trajectoryprocessor"
)

const rewardRules = "../../../examples/quickstart/rewards.yaml"

// BenchmarkStages runs the pipelines of the benchmark within this process, for
// profiles:
//
//	go test ./internal/cmd/bench -run '^$' -bench Stages/mix/parquet -benchtime 1000x -cpuprofile cpu.prof
//
// An operation is one request. cpu-ns/span is the CPU time of the whole
// process, garbage collection and flushing included.
func BenchmarkStages(b *testing.B) {
	for _, kind := range []load.Kind{load.Mix, load.Semconv, load.OpenInference, load.Vercel, load.Ordinary} {
		set, err := load.New(kind, time.Now())
		require.NoError(b, err)
		b.Run(string(kind)+"/receive", func(b *testing.B) { stage(b, set, consumertest.NewNop()) })
		b.Run(string(kind)+"/trajectory", func(b *testing.B) { stage(b, set, newProcessor(b, consumertest.NewNop())) })
		if kind != load.Ordinary {
			b.Run(string(kind)+"/parquet", func(b *testing.B) { stage(b, set, newProcessor(b, newExporter(b))) })
		}
	}
}

// part is a component that must be stopped for its work to be done.
type part interface {
	consumer.Traces
	Shutdown(context.Context) error
}

func stage(b *testing.B, set *load.Set, next consumer.Traces) {
	var body []byte
	n, before := 0, cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		body = set.Append(body[:0], n)
		n++
		req := ptraceotlp.NewExportRequest()
		require.NoError(b, req.UnmarshalProto(body))
		require.NoError(b, next.ConsumeTraces(b.Context(), req.Traces()))
	}
	for p, ok := next.(part); ok; p, ok = after(p) {
		require.NoError(b, p.Shutdown(context.Background()))
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(n*load.SpansPerRequest), "cpu-ns/span")
}

// chained is a part and the one behind it, which stops later.
type chained struct {
	part
	behind consumer.Traces
}

func after(p part) (part, bool) {
	c, ok := p.(chained)
	if !ok {
		return nil, false
	}
	next, ok := c.behind.(part)
	return next, ok
}

func newProcessor(b *testing.B, next consumer.Traces) part {
	b.Helper()
	f := trajectoryprocessor.NewFactory()
	cfg := f.CreateDefaultConfig().(*trajectoryprocessor.Config)
	cfg.RootGrace = 100 * time.Millisecond
	cfg.Rewards.File = rewardRules
	p, err := f.CreateTraces(b.Context(), processortest.NewNopSettings(f.Type()), cfg, next)
	require.NoError(b, err)
	require.NoError(b, p.Start(b.Context(), componenttest.NewNopHost()))
	return chained{p, next}
}

func newExporter(b *testing.B) part {
	b.Helper()
	f := parquetexporter.NewFactory()
	cfg := f.CreateDefaultConfig().(*parquetexporter.Config)
	cfg.Directory = b.TempDir()
	e, err := f.CreateTraces(b.Context(), exportertest.NewNopSettings(f.Type()), cfg)
	require.NoError(b, err)
	require.NoError(b, e.Start(b.Context(), componenttest.NewNopHost()))
	return e
}

func cpuTime(b *testing.B) int64 {
	b.Helper()
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}
