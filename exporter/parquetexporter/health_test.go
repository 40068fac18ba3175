package parquetexporter

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tracegrad/tracegrad/exporter/parquetexporter/internal/metadatatest"
)

// statuses is a host that remembers what it was told.
type statuses struct {
	component.Host
	list []componentstatus.Status
}

func (s *statuses) Report(e *componentstatus.Event) { s.list = append(s.list, e.Status()) }

// Whoever watches the Collector sees that the dataset cannot be written, and
// that it can again.
func TestADiskThatFailsIsSeen(t *testing.T) {
	root := t.TempDir()
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	set := metadatatest.NewSettings(tel)
	core, logs := observer.New(zap.InfoLevel)
	set.Logger = zap.New(core)
	e, err := newExporter(set, config(root))
	require.NoError(t, err)
	clock := now
	e.now = func() time.Time { return clock }
	host := &statuses{Host: componenttest.NewNopHost()}
	require.NoError(t, e.start(t.Context(), host))
	defer func() { require.NoError(t, e.shutdown(context.Background())) }()
	require.NoError(t, e.pushLogs(t.Context(), verdict("c")))
	assert.Empty(t, host.list)

	inTheWay := filepath.Join(root, "v1", "trajectories")
	require.NoError(t, os.WriteFile(inTheWay, nil, 0o600))
	for range 13 { // one minute
		require.Error(t, e.pushTraces(t.Context(), spansOf(some(1)...)))
		clock = clock.Add(5 * time.Second)
	}
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.list)
	assert.Equal(t, 2, logs.FilterMessageSnippet("Cannot write to the dataset").Len(), "once a minute")
	metadatatest.AssertEqualExporterParquetFailures(t, tel, []metricdata.DataPoint[int64]{
		{Value: 13, Attributes: attribute.NewSet(attribute.String("signal", "traces"))},
	}, ignore...)

	require.NoError(t, os.Remove(inTheWay))
	require.NoError(t, e.pushTraces(t.Context(), spansOf(some(1)...)))
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}, host.list)
	assert.Equal(t, 1, logs.FilterMessageSnippet("can be written again").Len())
}
