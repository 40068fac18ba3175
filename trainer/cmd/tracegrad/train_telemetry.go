package main

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracegrad/tracegrad/trainer"
	"github.com/tracegrad/tracegrad/trainer/update"
)

// scope names who measures.
const scope = "github.com/tracegrad/tracegrad/trainer"

// trainTelemetry makes spans and metrics of a night's events: a span for the
// run, one in it for each stage, and the figures of each optimizer step. Steps
// that an earlier process took were told by that process.
type trainTelemetry struct {
	ctx    context.Context
	tracer trace.Tracer
	run    trace.Span
	stages map[string]trace.Span
	attrs  metric.MeasurementOption

	runs, steps, tokens, trajectories    metric.Int64Counter
	loss, kl, base, ess, clip, valueLoss metric.Float64Gauge
}

func newTrainTelemetry(ctx context.Context, t *telemetry, c trainer.Config) *trainTelemetry {
	n := &trainTelemetry{tracer: t.traces.Tracer(scope), stages: map[string]trace.Span{}}
	about := []attribute.KeyValue{
		attribute.String("tracegrad.name", c.Name), attribute.String("tracegrad.policy", c.Policy.Kind), attribute.String("tracegrad.algorithm", c.Algorithm.Name),
	}
	n.attrs = metric.WithAttributes(about...)
	n.ctx, n.run = n.tracer.Start(context.WithoutCancel(ctx), "tracegrad train", trace.WithAttributes(about...))
	m := t.metrics.Meter(scope)
	for _, x := range []struct {
		into              *metric.Int64Counter
		name, unit, words string
	}{
		{&n.runs, "tracegrad.train.runs", "{run}", "Runs, by outcome"},
		{&n.steps, "tracegrad.train.steps", "{step}", "Optimizer steps taken"},
		{&n.tokens, "tracegrad.train.tokens", "{token}", "Generated tokens trained on"},
		{&n.trajectories, "tracegrad.train.trajectories", "{trajectory}", "Trajectories, by what became of them"},
	} {
		*x.into, _ = m.Int64Counter(x.name, metric.WithUnit(x.unit), metric.WithDescription(x.words)) // the names are good
	}
	for _, x := range []struct {
		into              *metric.Float64Gauge
		name, unit, words string
	}{
		{&n.loss, "tracegrad.train.loss", "1", "Loss of the last step, normalised"},
		{&n.kl, "tracegrad.train.kl", "{nat}/{token}", "KL from the policy before the night"},
		{&n.base, "tracegrad.train.kl_base", "{nat}/{token}", "KL from the base model"},
		{&n.ess, "tracegrad.train.ess", "1", "Effective sample size, as a share of the tokens with recorded log-probabilities"},
		{&n.clip, "tracegrad.train.clip_fraction", "1", "Share of the tokens that the loss clipped"},
		{&n.valueLoss, "tracegrad.train.value_loss", "1", "Loss of the critic"},
	} {
		*x.into, _ = m.Float64Gauge(x.name, metric.WithUnit(x.unit), metric.WithDescription(x.words))
	}
	return n
}

func (n *trainTelemetry) event(e trainer.Event) {
	n.run.SetAttributes(attribute.String("tracegrad.run", e.ID))
	switch {
	case e.Step != nil:
		if e.State == trainer.Working {
			n.step(e.Step)
		}
	case e.Estimate != nil, e.Stage == "night":
	case e.State == trainer.Started, e.State == trainer.Reused:
		_, n.stages[e.Stage] = n.tracer.Start(n.ctx, "train "+e.Stage, trace.WithAttributes(
			attribute.String("tracegrad.stage", e.Stage), attribute.Bool("tracegrad.stage.reused", e.State == trainer.Reused)))
	}
	if e.State == trainer.Done || e.State == trainer.Reused {
		n.end(e.Stage, nil)
	}
}

func (n *trainTelemetry) step(s *update.Step) {
	n.loss.Record(n.ctx, s.Loss, n.attrs)
	n.kl.Record(n.ctx, s.Moved, n.attrs)
	n.clip.Record(n.ctx, s.ClipFraction, n.attrs)
	if s.ESS != nil {
		n.ess.Record(n.ctx, *s.ESS, n.attrs)
	}
	if s.KL != nil {
		n.base.Record(n.ctx, *s.KL, n.attrs)
	}
	if s.ValueLoss != nil {
		n.valueLoss.Record(n.ctx, *s.ValueLoss, n.attrs)
	}
	if s.Stop == "" {
		n.steps.Add(n.ctx, 1, n.attrs)
		n.tokens.Add(n.ctx, int64(s.Tokens), n.attrs)
	}
}

func (n *trainTelemetry) end(stage string, err error) {
	span := n.stages[stage]
	if span == nil {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
	delete(n.stages, stage)
}

// close ends the run; a stage that is still open is the one that failed.
func (n *trainTelemetry) close(r *trainer.Result, err error) {
	for stage := range n.stages {
		n.end(stage, err)
	}
	outcome := "done"
	switch {
	case err != nil && errors.Is(err, context.Canceled):
		outcome = "interrupted"
	case err != nil:
		outcome = "failed"
	}
	if err != nil {
		n.run.SetStatus(codes.Error, err.Error())
	}
	n.run.SetAttributes(attribute.String("tracegrad.outcome", outcome))
	n.runs.Add(n.ctx, 1, n.attrs, metric.WithAttributes(attribute.String("tracegrad.outcome", outcome)))
	if r != nil {
		n.run.SetAttributes(attribute.String("tracegrad.bundle", r.Bundle.ID), attribute.String("tracegrad.bundle.status", string(r.Bundle.Status)))
		count := func(of int, what string) {
			n.trajectories.Add(n.ctx, int64(of), n.attrs, metric.WithAttributes(attribute.String("tracegrad.use", what)))
		}
		count(r.Counts.Trained, "trained")
		count(r.Counts.Holdout, "holdout")
		for _, l := range r.Counts.LeftOut {
			count(l.Count, l.Reason)
		}
	}
	n.run.End()
}
