package parquetexporter

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracegrad/tracegrad/exporter/parquetexporter/internal/metadata"
	"github.com/tracegrad/tracegrad/exporter/parquetexporter/internal/metadatatest"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/internal/trajectory/trajectorytest"
)

var ignore = []metricdatatest.Option{metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars()}

func some(n int) (list []*trajectory.Trajectory) {
	for seed := range n {
		t := trajectorytest.Random(rand.New(rand.NewPCG(uint64(seed), 11)))
		t.Facts = nil
		list = append(list, t)
	}
	return list
}

func spansOf(list ...*trajectory.Trajectory) ptrace.Traces {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, t := range list {
		spans.AppendEmpty().Attributes().PutEmptyBytes(trajectory.AttrTrajectory).FromRaw(trajectory.Encode(t))
	}
	return td
}

func verdict(conversation string) plog.Logs {
	ld := plog.NewLogs()
	r := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.SetEventName("gen_ai.evaluation.result")
	r.Attributes().PutStr("gen_ai.evaluation.name", "solved")
	r.Attributes().PutStr("gen_ai.conversation.id", conversation)
	r.Attributes().PutInt("gen_ai.evaluation.score.value", 1)
	return ld
}

func readTable[T any](t *testing.T, root, table string) (all []T) {
	files, err := dataset.Files(root, table)
	require.NoError(t, err)
	for _, f := range files {
		rows, err := parquet.ReadFile[T](f)
		require.NoError(t, err)
		all = append(all, rows...)
	}
	return all
}

func readDataset(t *testing.T, root string) []*trajectory.Trajectory {
	list, err := dataset.Trajectories(dataset.Set{
		Trajectories: readTable[dataset.TrajectoryRow](t, root, dataset.TableTrajectories),
		Steps:        readTable[dataset.StepRow](t, root, dataset.TableSteps),
		Messages:     readTable[dataset.MessageRow](t, root, dataset.TableMessages),
		Rewards:      readTable[dataset.RewardRow](t, root, dataset.TableRewards),
	})
	require.NoError(t, err)
	return list
}

func config(root string) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Directory, cfg.Writer = root, "test"
	return cfg
}

type running struct {
	traces exporter.Traces
	logs   exporter.Logs
	tel    *componenttest.Telemetry
}

func (r running) shutdown(t *testing.T) {
	require.NoError(t, r.traces.Shutdown(context.Background()))
	require.NoError(t, r.logs.Shutdown(context.Background()))
}

func start(t *testing.T, cfg *Config) running {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	set := metadatatest.NewSettings(tel)
	traces, err := NewFactory().CreateTraces(t.Context(), set, cfg)
	require.NoError(t, err)
	logs, err := NewFactory().CreateLogs(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, traces.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, logs.Start(t.Context(), componenttest.NewNopHost()))
	return running{traces, logs, tel}
}

// Whatever was accepted is in the dataset after Shutdown, in one file set per
// signal, and counted.
func TestShutdownFlushes(t *testing.T) {
	root := t.TempDir()
	cfg := config(root)
	e := start(t, cfg)
	want := some(20)
	require.NoError(t, e.traces.ConsumeTraces(t.Context(), spansOf(want[:7]...)))
	require.NoError(t, e.traces.ConsumeTraces(t.Context(), spansOf(want[7:]...)))
	require.NoError(t, e.logs.ConsumeLogs(t.Context(), verdict("c-1")))
	require.NoError(t, e.logs.ConsumeLogs(t.Context(), verdict("c-2")))
	e.shutdown(t)

	assert.ElementsMatch(t, want, readDataset(t, root))
	facts := readTable[dataset.FactRow](t, root, dataset.TableFacts)
	require.Len(t, facts, 2)
	files, err := dataset.Files(root, dataset.TableFacts)
	require.NoError(t, err)
	assert.Len(t, files, 1, "batched")
	assert.True(t, strings.HasPrefix(filepath.Base(files[0]), "test-"))

	n := func(v int64, kv ...attribute.KeyValue) []metricdata.DataPoint[int64] {
		return []metricdata.DataPoint[int64]{{Value: v, Attributes: attribute.NewSet(kv...)}}
	}
	metadatatest.AssertEqualExporterParquetTrajectories(t, e.tel, n(20), ignore...)
	metadatatest.AssertEqualExporterParquetFacts(t, e.tel, n(2), ignore...)
	rows, err := e.tel.GetMetric("otelcol_exporter_parquet_rows")
	require.NoError(t, err)
	for _, p := range rows.Data.(metricdata.Sum[int64]).DataPoints {
		if table, _ := p.Attributes.Value("table"); table.AsString() == dataset.TableTrajectories {
			assert.Equal(t, int64(20), p.Value)
		}
	}
	assert.Empty(t, sinks.of, "nothing is kept of a component that was shut down")
}

func TestShutdownIsSafe(t *testing.T) {
	cfg := config(t.TempDir())
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	e, err := NewFactory().CreateTraces(t.Context(), metadatatest.NewSettings(tel), cfg)
	require.NoError(t, err)
	require.NoError(t, e.Shutdown(t.Context()), "without Start")
	require.NoError(t, e.Shutdown(t.Context()), "twice")
	assert.NoDirExists(t, filepath.Join(cfg.Directory, "v1"))
}

func TestStartRefusesANameInUse(t *testing.T) {
	root := t.TempDir()
	e := start(t, config(root))
	defer e.shutdown(t)
	other, err := NewFactory().CreateTraces(t.Context(), exportertest.NewNopSettings(metadata.Type), config(root))
	require.NoError(t, err)
	require.ErrorContains(t, other.Start(t.Context(), componenttest.NewNopHost()), `writer "test" is in use`)
	require.NoError(t, other.Shutdown(t.Context()))
}

func TestStartRefusesAFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	e, err := NewFactory().CreateLogs(t.Context(), exportertest.NewNopSettings(metadata.Type), config(file))
	require.NoError(t, err)
	require.ErrorContains(t, e.Start(t.Context(), componenttest.NewNopHost()), "open dataset "+file)
	require.NoError(t, e.Shutdown(t.Context()))
}

func TestWriterNames(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	name := func(cfg *Config, id string) string {
		s := &sink{cfg: cfg, id: component.MustNewIDWithName("parquet", id)}
		n, err := s.writerName()
		require.NoError(t, err)
		return n
	}
	assert.Equal(t, host, name(&Config{}, ""))
	assert.Equal(t, host+"-cold", name(&Config{}, "cold"), "two components of one host")
	assert.Equal(t, "w", name(&Config{Writer: "w"}, "cold"))
}

// An error of the disk is not permanent, and what could not be written is
// written when the disk works again.
func TestDiskErrorsAreRetried(t *testing.T) {
	root := t.TempDir()
	e, err := newExporter(exportertest.NewNopSettings(metadata.Type), config(root))
	require.NoError(t, err)
	require.NoError(t, e.start(t.Context(), nil))
	defer func() { require.NoError(t, e.shutdown(context.Background())) }()

	inTheWay := filepath.Join(root, "v1", "trajectories")
	require.NoError(t, os.WriteFile(inTheWay, nil, 0o600))
	td := spansOf(some(3)...)
	bad := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
	bad.Attributes().PutEmptyBytes(trajectory.AttrTrajectory).FromRaw([]byte("?"))
	err = e.pushTraces(t.Context(), td)
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
	assert.NoDirExists(t, filepath.Join(root, "quarantine"), "set aside once, with the commit")

	require.NoError(t, os.Remove(inTheWay))
	require.NoError(t, e.pushTraces(t.Context(), td))
	assert.ElementsMatch(t, some(3), readDataset(t, root))
	assert.Len(t, quarantined(t, root), 1)
}

func quarantined(t *testing.T, root string) (items []badItem) {
	files, err := filepath.Glob(filepath.Join(root, "quarantine", "test", "*.jsonl"))
	require.NoError(t, err)
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			var item badItem
			require.NoError(t, json.Unmarshal([]byte(line), &item))
			items = append(items, item)
		}
	}
	return items
}

// Data that cannot be read is set aside and counted, and the rest goes on.
func TestBadDataIsQuarantined(t *testing.T) {
	root := t.TempDir()
	e := start(t, config(root))
	td := spansOf(some(2)...)
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	spans.AppendEmpty().Attributes().PutEmptyBytes(trajectory.AttrTrajectory).FromRaw([]byte{0x08, 9})
	spans.AppendEmpty().Attributes().PutStr(trajectory.AttrTrajectory, "text")
	spans.AppendEmpty().SetName("GET /health")
	require.NoError(t, e.traces.ConsumeTraces(t.Context(), td))
	nameless := verdict("c")
	nameless.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Remove("gen_ai.evaluation.name")
	require.NoError(t, e.logs.ConsumeLogs(t.Context(), nameless))
	e.shutdown(t)

	assert.ElementsMatch(t, some(2), readDataset(t, root))
	items := quarantined(t, root)
	byReason := map[string]badItem{}
	for _, item := range items {
		byReason[item.Reason] = item
	}
	require.Len(t, byReason, 3)
	assert.Equal(t, []byte{0x08, 9}, byReason[reasonUndecodable].Data)
	assert.Contains(t, byReason[reasonUndecodable].Error, "format version 9 is newer than 1")
	assert.Equal(t, "text", string(byReason[reasonNotBytes].Data))
	_, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(byReason[genai.NoName].Data)
	require.NoError(t, err)

	one := func(key, value string) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: 1, Attributes: attribute.NewSet(attribute.String(key, value))}
	}
	metadatatest.AssertEqualExporterParquetQuarantined(t, e.tel, []metricdata.DataPoint[int64]{
		one("reason", reasonUndecodable), one("reason", reasonNotBytes), one("reason", genai.NoName),
	}, ignore...)
	metadatatest.AssertEqualExporterParquetSkipped(t, e.tel, []metricdata.DataPoint[int64]{one("signal", "traces")}, ignore...)
}

func TestQuarantineIsBounded(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "quarantine", "w")
	q, err := openQuarantine(t.Context(), root, "w", 3*block)
	require.NoError(t, err)
	item := badItem{Reason: reasonUndecodable, Data: make([]byte, 100)}
	big := badItem{Reason: reasonUndecodable, Data: make([]byte, 2*block)}
	keep := func(items ...badItem) int {
		_, dropped, err := q.keep(t.Context(), items, time.UnixMicro(5))
		require.NoError(t, err)
		return dropped
	}
	assert.Equal(t, 0, keep(item))
	assert.Equal(t, 1, keep(item, big), "what fits is kept")
	assert.Equal(t, 0, keep(item))
	assert.Equal(t, 1, keep(item), "small files count as a block")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 3)

	again, err := openQuarantine(t.Context(), root, "w", 3*block)
	require.NoError(t, err)
	assert.Equal(t, q.used, again.used, "what is there counts after a restart")

	none, err := openQuarantine(t.Context(), root, "none", 0)
	require.NoError(t, err)
	_, dropped, err := none.keep(t.Context(), []badItem{item}, time.UnixMicro(5))
	require.NoError(t, err)
	assert.Equal(t, 1, dropped)
	assert.NoDirExists(t, filepath.Join(root, "quarantine", "none"))
}

// A batch that was handed on twice and merged holds every revision twice: one of
// each is written.
func TestARevisionIsOnceInABatch(t *testing.T) {
	root := t.TempDir()
	list := some(3)
	newer := *list[0]
	newer.Revision++
	e := start(t, config(root))
	require.NoError(t, e.traces.ConsumeTraces(t.Context(), spansOf(append(list, list[0], list[2], &newer)...)))
	e.shutdown(t)
	require.Len(t, readDataset(t, root), 4)
	metadatatest.AssertEqualExporterParquetDuplicates(t, e.tel, []metricdata.DataPoint[int64]{{Value: 2}}, ignore...)
}
