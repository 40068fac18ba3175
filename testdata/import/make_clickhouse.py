"""Writes captures as ClickHouse exports them, in the tables of the Collector's ClickHouse exporter.

    pip install -r make_clickhouse.txt; python3 make_clickhouse.py

The tables have the columns and types that the exporter's own CREATE TABLE statements give them (its templates
traces_table.sql, logs_table.sql and, behind its feature gate clickhouse.json, traces_json_table.sql; indices and codecs
left out: they change no row). Rows are made from OTLP the way the exporter makes them: attributes as text, lists and
maps as JSON, ids as hex, the end as a duration. What comes out is ClickHouse's own Parquet and JSONEachRow.
"""

import base64
import json
import os
from pathlib import Path

from chdb import session

here = Path(__file__).parent

SPANS = """CREATE TABLE {table} (
    Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, TraceState String,
    SpanName LowCardinality(String), SpanKind LowCardinality(String), ServiceName LowCardinality(String),
    ResourceAttributes {attributes}, ScopeName String, ScopeVersion String, SpanAttributes {attributes},
    Duration UInt64, StatusCode LowCardinality(String), StatusMessage String,
    Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes {attributes}),
    Links Nested (TraceId String, SpanId String, TraceState String, Attributes {attributes})
) ENGINE = MergeTree() PARTITION BY toDate(Timestamp)
PRIMARY KEY (ServiceName, SpanName, toDateTime(Timestamp)) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp)"""

LOGS = """CREATE TABLE {table} (
    Timestamp DateTime64(9), TimestampTime DateTime DEFAULT toDateTime(Timestamp), TraceId String, SpanId String,
    TraceFlags UInt8, SeverityText LowCardinality(String), SeverityNumber UInt8, ServiceName LowCardinality(String),
    Body String, ResourceSchemaUrl LowCardinality(String), ResourceAttributes {attributes},
    ScopeSchemaUrl LowCardinality(String), ScopeName String, ScopeVersion LowCardinality(String),
    ScopeAttributes {attributes}, LogAttributes {attributes}, EventName String
) ENGINE = MergeTree() PARTITION BY toDate(TimestampTime) PRIMARY KEY (ServiceName, TimestampTime)
ORDER BY (ServiceName, TimestampTime, Timestamp)"""

MAP, JSON = "Map(LowCardinality(String), String)", "JSON"
KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"]
STATUS = ["Unset", "Ok", "Error"]


def raw(value):
    """A value of OTLP/JSON as plain JSON."""
    (kind, v), = value.items() or [(None, None)]
    if kind == "arrayValue":
        return [raw(x) for x in v.get("values", [])]
    if kind == "kvlistValue":
        return {x["key"]: raw(x["value"]) for x in v.get("values", [])}
    if kind == "intValue":
        return int(v)
    if kind == "bytesValue":
        return base64.b64decode(v).decode("latin-1")
    return v


def text(value):
    """pdata's Value.AsString: text as it is, everything else as JSON."""
    v = raw(value)
    return v if isinstance(v, str) else "" if v is None else json.dumps(v, separators=(",", ":"), ensure_ascii=False, sort_keys=isinstance(v, dict))


def attributes(list, form):
    if form is MAP:
        return {a["key"]: text(a["value"]) for a in list or []}
    return {a["key"]: raw(a["value"]) for a in list or []}


def time(ns):
    ns = int(ns or 0)
    return f"{ns // 10**9}.{ns % 10**9:09d}"


def span_rows(path, form):
    for request in map(json.loads, path.open()):
        for group in request["resourceSpans"]:
            resource = attributes(group.get("resource", {}).get("attributes"), form)
            for scope in group["scopeSpans"]:
                for s in scope["spans"]:
                    events, links = s.get("events", []), s.get("links", [])
                    yield {
                        "Timestamp": time(s["startTimeUnixNano"]),
                        "TraceId": s["traceId"], "SpanId": s["spanId"], "ParentSpanId": s.get("parentSpanId", ""),
                        "TraceState": s.get("traceState", ""), "SpanName": s["name"], "SpanKind": KINDS[s.get("kind", 0)],
                        "ServiceName": resource.get("service.name", ""), "ResourceAttributes": resource,
                        "ScopeName": scope.get("scope", {}).get("name", ""), "ScopeVersion": scope.get("scope", {}).get("version", ""),
                        "SpanAttributes": attributes(s.get("attributes"), form),
                        "Duration": int(s["endTimeUnixNano"]) - int(s["startTimeUnixNano"]),
                        "StatusCode": STATUS[s.get("status", {}).get("code", 0)], "StatusMessage": s.get("status", {}).get("message", ""),
                        "Events.Timestamp": [time(e["timeUnixNano"]) for e in events], "Events.Name": [e["name"] for e in events],
                        "Events.Attributes": [attributes(e.get("attributes"), form) for e in events],
                        "Links.TraceId": [l["traceId"] for l in links], "Links.SpanId": [l["spanId"] for l in links],
                        "Links.TraceState": [l.get("traceState", "") for l in links],
                        "Links.Attributes": [attributes(l.get("attributes"), form) for l in links],
                    }


def log_rows(path, form):
    for request in map(json.loads, path.open()):
        for group in request["resourceLogs"]:
            resource = attributes(group.get("resource", {}).get("attributes"), form)
            for scope in group["scopeLogs"]:
                for r in scope["logRecords"]:
                    yield {
                        "Timestamp": time(r.get("timeUnixNano") or r.get("observedTimeUnixNano")),
                        "TraceId": r.get("traceId", ""), "SpanId": r.get("spanId", ""), "TraceFlags": r.get("flags", 0) & 255,
                        "SeverityText": r.get("severityText", ""), "SeverityNumber": r.get("severityNumber", 0),
                        "ServiceName": resource.get("service.name", ""), "Body": text(r.get("body", {})),
                        "ResourceSchemaUrl": group.get("schemaUrl", ""), "ResourceAttributes": resource,
                        "ScopeSchemaUrl": scope.get("schemaUrl", ""), "ScopeName": scope.get("scope", {}).get("name", ""),
                        "ScopeVersion": scope.get("scope", {}).get("version", ""),
                        "ScopeAttributes": attributes(scope.get("scope", {}).get("attributes"), form),
                        "LogAttributes": attributes(r.get("attributes"), form), "EventName": r.get("eventName", ""),
                    }


def export(db, name, ddl, rows, form, formats):
    db.query(f"DROP TABLE IF EXISTS {name}")
    db.query(ddl.format(table=name, attributes=form))
    lines = "\n".join(json.dumps(r) for r in rows)
    db.query(f"INSERT INTO {name} SETTINGS input_format_import_nested_json=0, date_time_input_format='best_effort' FORMAT JSONEachRow\n{lines}")
    for format, extension in formats:
        out = here / f"clickhouse.{name}.{extension}"
        out.unlink(missing_ok=True)
        db.query(f"SELECT * FROM {name} INTO OUTFILE '{out}' FORMAT {format}")
        print(out.name, os.path.getsize(out))


db = session.Session()
db.query("CREATE DATABASE IF NOT EXISTS otel ENGINE = Atomic")
db.query("USE otel")
BOTH, ROWS = [("Parquet", "parquet"), ("JSONEachRow", "jsonl.gz")], [("JSONEachRow", "jsonl.gz")]
export(db, "chat_traces", SPANS, span_rows(here / "chat.jsonl", MAP), MAP, BOTH)
export(db, "events_traces", SPANS, span_rows(here / "events.jsonl", MAP), MAP, BOTH)
export(db, "events_logs", LOGS, log_rows(here / "events.logs.jsonl", MAP), MAP, BOTH)
export(db, "chat_traces_json", SPANS, span_rows(here / "chat.jsonl", JSON), JSON, ROWS)
