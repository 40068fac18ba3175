package scaleout

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
	"github.com/tracegrad/tracegrad/internal/cmd/torture/delivery"
	"github.com/tracegrad/tracegrad/internal/cmd/torture/ledger"
	"github.com/tracegrad/tracegrad/internal/localcollector"
	"github.com/tracegrad/tracegrad/internal/otlp"
)

// runs are runs of agents, 16 a request.
func runs(t *testing.T, kind load.Kind, requests int) (list []ptrace.Traces) {
	t.Helper()
	set, err := load.New(kind, time.Now().Add(-time.Minute))
	require.NoError(t, err)
	for n := range requests {
		req := ptraceotlp.NewExportRequest()
		require.NoError(t, req.UnmarshalProto(set.Append(nil, n)))
		list = append(list, req.Traces())
	}
	return list
}

// fragments makes a trace of its own of each call and tool run; what is left of
// a run is its conversation.
func fragments(list []ptrace.Traces) []ptrace.Traces {
	for _, td := range list {
		conversations := map[pcommon.TraceID]string{}
		spans(td, func(s ptrace.Span) bool {
			if id, ok := s.Attributes().Get("gen_ai.conversation.id"); ok {
				conversations[s.TraceID()] = id.Str()
			}
			return false
		})
		spans(td, func(s ptrace.Span) bool {
			if s.ParentSpanID().IsEmpty() {
				return true
			}
			s.SetParentSpanID(pcommon.NewSpanIDEmpty())
			s.Attributes().PutStr("gen_ai.conversation.id", conversations[s.TraceID()]+s.TraceID().String()) // the load repeats its texts
			id := s.SpanID()
			s.SetTraceID(pcommon.TraceID(append(id[:], id[:]...)))
			return false
		})
	}
	return list
}

func spans(td ptrace.Traces, remove func(ptrace.Span) bool) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			ss.Spans().RemoveIf(remove)
		}
	}
}

// plan cuts runs into requests: parts of a run come in several of them, mixed
// with others, some twice.
func plan(t *testing.T, list []ptrace.Traces) []delivery.Delivery {
	t.Helper()
	plan, err := delivery.Plan(rand.New(rand.NewPCG(1, 2)), list, delivery.Shape{
		Over: time.Second, Parts: 3, Spread: 400 * time.Millisecond, Late: 800 * time.Millisecond, Collectors: 1,
	})
	require.NoError(t, err)
	return plan
}

// send sends every request until it is acknowledged, as an SDK's exporter does,
// and calls between after each.
func send(t *testing.T, to *localcollector.Collector, book *ledger.Ledger, plan []delivery.Delivery, between func(done int)) {
	t.Helper()
	client := client(t, to)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	for _, d := range plan {
		book.Plan(d.Spans)
	}
	for i, d := range plan {
		req := ptraceotlp.NewExportRequest()
		require.NoError(t, req.UnmarshalProto(d.Body))
		for {
			answer, err := client.Export(ctx, req)
			if err == nil {
				require.Zero(t, answer.PartialSuccess().RejectedSpans())
				break
			}
			require.Equal(t, codes.Unavailable, status.Code(err), err)
			time.Sleep(100 * time.Millisecond)
		}
		book.Acked(d.Spans)
		if between != nil {
			between(i + 1)
		}
	}
}

func client(t *testing.T, to *localcollector.Collector) ptraceotlp.GRPCClient {
	t.Helper()
	conn, err := grpc.NewClient(to.Address(localcollector.OTLPGRPC), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return ptraceotlp.NewGRPCClient(conn)
}

// replay sends runs whose content stands in log records and whose tree in spans.
func replay(t *testing.T, to *localcollector.Collector) {
	t.Helper()
	capture, err := filepath.Glob("../../testdata/dialects/*semconv136.*jsonl.gz")
	require.NoError(t, err)
	require.Len(t, capture, 2, "spans and log records")
	report, err := otlp.Replay(context.Background(), otlp.Files(capture...), otlp.Options{Endpoint: to.URL(localcollector.OTLPHTTP), KeepTimes: true})
	require.NoError(t, err)
	require.True(t, report.Complete())
	require.Positive(t, report.LogRecords)
}
