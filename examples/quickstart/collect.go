package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// startCollector sets what differs from the defaults of collector.yaml: the
// folders, and clocks for people who do not want to wait.
func (d *demo) startCollector(ctx context.Context) (err error) {
	d.collector, err = d.start(ctx, "collector.yaml", []string{
		"TRACEGRAD_DATA=" + d.path("dataset"),
		"TRACEGRAD_REWARDS=" + quickstart("rewards.yaml"),
		"TRACEGRAD_ROOT_GRACE=2s", "TRACEGRAD_IDLE=4s", "TRACEGRAD_FLUSH=500ms",
	})
	if err != nil {
		return err
	}
	d.say("OTLP gRPC on %s, OTLP HTTP on %s, feedback on %s (free ports for the demo; 4317, 4318 and 4319 by default)",
		d.collector.Address(localcollector.OTLPGRPC), d.collector.Address(localcollector.OTLPHTTP), d.collector.Address(localcollector.Feedback))
	return nil
}

// replay sends the captures and waits until the Collector has made
// trajectories of them.
func (d *demo) replay(ctx context.Context) error {
	pattern := filepath.Join(d.captures, "*__*.jsonl")
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return fmt.Errorf("find captures: nothing matches %s", pattern)
	}
	endpoint := []string{"--endpoint", d.collector.URL(localcollector.OTLPHTTP)}
	args := append(append([]string{"replay"}, endpoint...), files...)
	if err := d.tracegradShown(ctx, args, append(append([]string{"replay"}, endpoint...), pattern)); err != nil {
		return err
	}
	n, err := d.collector.Settle(ctx)
	if err != nil {
		return err
	}
	d.say("\nThe Collector waited until every run was whole and wrote %d trajectories to %s.", n, d.path("dataset"))
	return nil
}

// sql shows what one can ask.
func (d *demo) sql(ctx context.Context) error {
	for _, query := range []string{
		"SELECT service_name, count(*) AS runs, sum(model_calls) AS model_calls, sum(tool_calls) AS tool_calls FROM trajectories GROUP BY ALL ORDER BY ALL",
		"SELECT left(any_value(input), 48) AS task, count(*) AS runs, round(avg(value), 2) AS solved, round(avg(tool_calls), 1) AS tool_calls FROM trajectories JOIN facts USING (trajectory_id) WHERE name = 'solved' GROUP BY task_key ORDER BY solved",
		"SELECT tool_name, count(*) AS runs, count(nullif(error, '')) AS failed, any_value(error) FILTER (error <> '') AS such_as FROM steps WHERE kind = 'tool' GROUP BY ALL ORDER BY failed DESC, runs DESC",
	} {
		if err := d.tracegrad(ctx, "sql", "--dataset", d.path("dataset"), query); err != nil {
			return err
		}
		d.say("")
	}
	return nil
}
