"""Sends captures to a Phoenix server and keeps what it exports.

    pip install -r make_phoenix.txt; phoenix serve; python3 make_phoenix.py [http://127.0.0.1:6006]

Captures are sent as OTLP/HTTP protobuf. Three exports exist: the dataframe that Phoenix's own client makes, written as
Parquet by pandas; the spans of its REST API; and its spans as OTLP/JSON.
"""

import gzip
import json
import os
import sys
import time
from pathlib import Path

import httpx
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from phoenix.client import Client

here = Path(__file__).parent
base = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:6006"


def as_protobuf(request):
    """OTLP/JSON writes ids as hex, protobuf's own JSON as base64."""
    import base64

    def ids(x):
        if isinstance(x, dict):
            return {k: base64.b64encode(bytes.fromhex(v)).decode() if k in ("traceId", "spanId", "parentSpanId") else ids(v) for k, v in x.items()}
        return [ids(v) for v in x] if isinstance(x, list) else x

    return json_format.ParseDict(ids(request), ExportTraceServiceRequest(), ignore_unknown_fields=True)


def project(request, name):
    for group in request["resourceSpans"]:
        attributes = group.setdefault("resource", {}).setdefault("attributes", [])
        attributes[:] = [a for a in attributes if a["key"] != "openinference.project.name"]
        attributes.append({"key": "openinference.project.name", "value": {"stringValue": name}})
    return request


client = Client(base_url=base)
for name in ("chat", "agents"):
    sent = 0
    for line in (here / f"{name}.jsonl").open():
        request = as_protobuf(project(json.loads(line), name))
        sent += sum(len(s.spans) for g in request.resource_spans for s in g.scope_spans)
        httpx.post(f"{base}/v1/traces", content=request.SerializeToString(), headers={"content-type": "application/x-protobuf"}).raise_for_status()
    url = f"{base}/v1/projects/{name}/spans"
    for _ in range(60):
        time.sleep(0.5)
        got = httpx.get(url, params={"limit": 1000})
        if got.is_success and len(got.json()["data"]) == sent:
            break
    else:
        sys.exit(f"{name}: {sent} spans sent, {got.text[:200]}")
    (here / f"phoenix.{name}.rest.json.gz").write_bytes(gzip.compress(got.content, mtime=0))
    otlp = httpx.get(f"{url}/otlpv1", params={"limit": 1000})
    otlp.raise_for_status()
    (here / f"phoenix.{name}.otlpv1.json.gz").write_bytes(gzip.compress(otlp.content, mtime=0))
    frame = client.spans.get_spans_dataframe(project_identifier=name, limit=1000)
    if name == "agents":  # mostly metadata: one is enough
        frame.to_parquet(here / f"phoenix.{name}.parquet")
for f in sorted(here.glob("phoenix.*.*")):
    print(f.name, os.path.getsize(f))
