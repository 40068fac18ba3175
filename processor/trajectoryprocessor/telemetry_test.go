package trajectoryprocessor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracegrad/tracegrad/processor/trajectoryprocessor/internal/metadatatest"
)

func settings(tt *componenttest.Telemetry) processor.Settings { return metadatatest.NewSettings(tt) }

// counts returns a metric by its kind or reason, "" where it has neither; nil
// if it was never recorded.
func counts(t *testing.T, tt *componenttest.Telemetry, name string) map[string]int64 {
	t.Helper()
	m, err := tt.GetMetric("otelcol_processor_trajectory_" + name)
	if err != nil {
		return nil
	}
	var points []metricdata.DataPoint[int64]
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = d.DataPoints
	case metricdata.Gauge[int64]:
		points = d.DataPoints
	}
	out := map[string]int64{}
	for _, p := range points {
		label := ""
		for _, kv := range p.Attributes.ToSlice() {
			label = kv.Value.AsString()
		}
		out[label] += p.Value
	}
	return out
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tt := componenttest.NewTelemetry()
		defer func() { require.NoError(t, tt.Shutdown(context.Background())) }()
		cfg := defaults()
		cfg.Rewards.File = "testdata/rewards.yaml"
		cfg.LateWindow = time.Minute
		p := start(t, cfg, settings(tt), nil)
		defer p.stop(t)
		send := func(spans ...testSpan) { require.NoError(t, p.ConsumeTraces(t.Context(), request(spans...))) }
		wait := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}

		cut := chat(1, 4, 1)
		cut.attrs["gen_ai.input.messages"] = `[{"role":"user","parts":[{"type":"te`
		send(agent(1, 1, 0), chat(1, 2, 1), tool(1, 3, 1), cut, ordinary(1, 5, 1), chat(2, 1, 7), ordinary(3, 1, 0))
		send(agent(1, 1, 0))
		assert.Equal(t, map[string]int64{"": 2}, counts(t, tt, "open"))
		assert.Positive(t, counts(t, tt, "held")[""])
		wait(10 * time.Second)
		send(chat(1, 6, 1))
		wait(61 * time.Second)
		wait(2 * time.Minute)
		send(chat(1, 7, 1))
		wait(61 * time.Second)

		assert.Equal(t, map[string]int64{"": 0}, counts(t, tt, "open"))
		assert.Equal(t, map[string]int64{"": 0}, counts(t, tt, "pending"))
		assert.Equal(t, map[string]int64{"agent": 1, "model": 5, "tool": 1, "other": 1}, counts(t, tt, "spans"))
		assert.Equal(t, map[string]int64{"duplicate": 1}, counts(t, tt, "spans_dropped"))
		assert.Equal(t, map[string]int64{"content_truncated": 1}, counts(t, tt, "spans_incomplete"))
		assert.Equal(t, map[string]int64{"": 1}, counts(t, tt, "spans_late"))
		assert.Equal(t, map[string]int64{"": 1}, counts(t, tt, "reopened"))
		assert.Equal(t, map[string]int64{"complete": 2, "idle": 1, "late": 1}, counts(t, tt, "closed"))
		assert.Equal(t, int64(1), counts(t, tt, "untrainable")["late"])
		metadatatest.AssertEqualProcessorTrajectoryReopened(t, tt, []metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp())
		assert.NotEmpty(t, counts(t, tt, "rewards_null"))
	})
}
