package otlp

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // what SDKs pack with
)

// grpc is the receiver for gRPC.
func (r *receiver) grpc() *grpc.Server {
	s := grpc.NewServer(grpc.MaxRecvMsgSize(MaxReceived))
	ptraceotlp.RegisterGRPCServer(s, &grpcTraces{receiver: r})
	plogotlp.RegisterGRPCServer(s, &grpcLogs{receiver: r})
	pmetricotlp.RegisterGRPCServer(s, &grpcMetrics{})
	return s
}

type grpcTraces struct {
	ptraceotlp.UnimplementedGRPCServer
	receiver *receiver
}

func (g *grpcTraces) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	g.receiver.hand(Request{Signal: Traces, Traces: req.Traces()})
	return ptraceotlp.NewExportResponse(), nil
}

type grpcLogs struct {
	plogotlp.UnimplementedGRPCServer
	receiver *receiver
}

func (g *grpcLogs) Export(_ context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	g.receiver.hand(Request{Signal: Logs, Logs: req.Logs()})
	return plogotlp.NewExportResponse(), nil
}

type grpcMetrics struct {
	pmetricotlp.UnimplementedGRPCServer
}

func (*grpcMetrics) Export(context.Context, pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	return pmetricotlp.NewExportResponse(), nil
}
