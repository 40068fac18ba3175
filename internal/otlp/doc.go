// Package otlp reads captures and replays them to an OTLP/HTTP endpoint.
//
// A capture is a file of OTLP/JSON lines, plain or gzip: each line is one
// ExportTraceServiceRequest or ExportLogsServiceRequest, as the Collector's
// file exporter and most SDK debug exporters write them. [Files] reads
// captures as a [Source], [Shuffle] disturbs the order in which a source
// arrives, and [Replay] sends a source the way an SDK would: protobuf, gzip,
// retries that honour Retry-After.
package otlp
