package localcollector

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	settleTimeout = 2 * time.Minute

	// Between the moment a trajectory is no longer open and the one it is
	// counted as closed it is being assembled, and no metric shows it. What
	// stays the same over this many looks is not on its way.
	calmLooks = 10
)

// Settle waits until the trajectory processor's clocks have closed every
// trajectory it holds and the parquet exporter has committed them. It returns
// how many trajectories were committed, each revision counted.
func (c *Collector) Settle(ctx context.Context) (committed int, err error) {
	calm, before := 0, -1
	err = c.untilMetrics(ctx, "every trajectory is closed and committed", func(m map[string]float64) bool {
		committed = int(m["exporter_parquet_trajectories"])
		done := m["processor_trajectory_open"] == 0 && m["processor_trajectory_pending"] == 0 &&
			m["exporter_parquet_trajectories"]+m["processor_trajectory_lost"] >= m["processor_trajectory_closed"] &&
			(m["processor_trajectory_spans"] == 0 || m["processor_trajectory_closed"] > 0)
		if !done || committed != before {
			calm = 0
		}
		calm, before = calm+1, committed
		return done && calm >= calmLooks
	})
	return committed, err
}

// SettleFacts waits until the parquet exporter has committed n facts.
func (c *Collector) SettleFacts(ctx context.Context, n int) error {
	return c.untilMetrics(ctx, fmt.Sprintf("%d facts are committed", n), func(m map[string]float64) bool {
		return int(m["exporter_parquet_facts"]) >= n
	})
}

func (c *Collector) untilMetrics(ctx context.Context, what string, is func(map[string]float64) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleTimeout, fmt.Errorf("gave up after %s of waiting until %s", settleTimeout, what))
	defer cancel()
	return c.Until(ctx, func(ctx context.Context) (bool, error) {
		m, err := c.Metrics(ctx)
		return err == nil && is(m), err
	})
}

// Metrics reads the Collector's own metrics: the sum over all label sets of
// each gauge and counter, by the name that its metadata.yaml gives it.
func (c *Collector) Metrics(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL(MetricsPort)+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read the collector's metrics: %w", err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the collector's metrics: %w", err)
	}
	out := map[string]float64{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			out[strings.TrimPrefix(name, "otelcol_")] += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out, nil
}
