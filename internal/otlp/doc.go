// Package otlp reads captures and replays them to an OTLP/HTTP endpoint.
//
// A capture is a file of export requests, ExportTraceServiceRequest or
// ExportLogsServiceRequest: OTLP/JSON, one a line or in one document, as the
// Collector's file exporter and most SDK debug exporters write them, or
// protobuf, one or many behind their lengths; plain, gzip or zstd. What it is,
// its content tells. [Files] reads captures as a [Source], [Shuffle] disturbs
// the order in which a source arrives, and [Replay] sends a source the way an
// SDK would: protobuf, gzip, retries that honour Retry-After. [Receive] takes
// what SDKs send, over HTTP and gRPC.
package otlp
