package trajectoryprocessor

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tracegrad/tracegrad/internal/buffer"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// kinds are the values of the kind attribute, by trajectory.Role.
var kinds = [...]metric.MeasurementOption{
	trajectory.RoleOther:     withKind("other"),
	trajectory.RoleAgentSpan: withKind("agent"),
	trajectory.RoleModelSpan: withKind("model"),
	trajectory.RoleToolSpan:  withKind("tool"),
}

func withKind(kind string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("kind", kind)))
}

func withReason(reason string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", reason)))
}

func add(ctx context.Context, c metric.Int64Counter, n int64, opts ...metric.AddOption) {
	if n != 0 {
		c.Add(ctx, n, opts...)
	}
}

// countTally counts what the buffer did.
func (h *hub) countTally(ctx context.Context, t buffer.Tally) {
	if t == (buffer.Tally{}) {
		return
	}
	for role, n := range t.Accepted {
		add(ctx, h.tb.ProcessorTrajectorySpans, n, kinds[role])
	}
	add(ctx, h.tb.ProcessorTrajectoryRecords, t.Records)
	add(ctx, h.tb.ProcessorTrajectorySpansDropped, t.Duplicate, withReason("duplicate"))
	add(ctx, h.tb.ProcessorTrajectorySpansDropped, t.AfterTruncation, withReason("after_truncation"))
	add(ctx, h.tb.ProcessorTrajectorySpansDropped, t.NoAttempt, withReason("no_attempt"))
	add(ctx, h.tb.ProcessorTrajectorySpansIncomplete, t.Stripped, withReason("too_large"))
	add(ctx, h.tb.ProcessorTrajectorySpansLate, t.Late)
	add(ctx, h.tb.ProcessorTrajectoryReopened, t.Reopened)
	add(ctx, h.tb.ProcessorTrajectoryForgotten, t.Forgotten)
}

// countIncomplete counts what the decoders found missing.
func (h *hub) countIncomplete(ctx context.Context, list map[trajectory.Reason]int64) {
	for r, n := range list {
		add(ctx, h.tb.ProcessorTrajectorySpansIncomplete, n, withReason(string(r)))
	}
}

// countTrajectory counts a trajectory that goes out.
func (h *hub) countTrajectory(ctx context.Context, t *trajectory.Trajectory) {
	h.tb.ProcessorTrajectoryClosed.Add(ctx, 1, withReason(string(t.CloseReason)))
	for _, r := range t.Reasons {
		h.tb.ProcessorTrajectoryUntrainable.Add(ctx, 1, withReason(string(r)))
	}
	for _, r := range t.Rewards {
		if r.Value == nil {
			h.tb.ProcessorTrajectoryRewardsNull.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(
				attribute.String("rule", r.Name), attribute.String("reason", r.Reason))))
		}
	}
}
