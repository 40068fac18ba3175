#!/bin/sh
# Writes events.jsonl and events.logs.jsonl again as the Collector's file exporter
# does, in each of its formats: sh make_otlp.sh TRACEGRAD_COLLECTOR TRACEGRAD
set -eu
collector=$1 tracegrad=$2
cd "$(dirname "$0")"
for form in json: json:zstd proto: proto:zstd json:zstd:native proto:zstd:native; do
	format=${form%%:*} rest=${form#*:}
	compression=${rest%%:*} native=${rest#"$compression"}
	out=file-exporter.$format${compression:+.$compression}${native:+.native}
	rm -f "$out"
	cat >"$out.yaml" <<-EOF
		receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:14399"}}}}
		exporters: {file: {path: $out, format: $format, flush_interval: 100ms${compression:+, compression: $compression}}}
		service:
		  telemetry: {metrics: {level: none}}
		  pipelines:
		    traces: {receivers: [otlp], exporters: [file]}
		    logs: {receivers: [otlp], exporters: [file]}
	EOF
	"$collector" --config "$out.yaml" ${native:+--feature-gates exporter.file.nativeCompression} 2>"$out.log" &
	pid=$!
	sleep 3
	"$tracegrad" replay --keep-times --endpoint http://127.0.0.1:14399 events.jsonl events.logs.jsonl
	kill "$pid"
	wait "$pid" || { cat "$out.log"; exit 1; }
	rm "$out.yaml" "$out.log"
done
