"""Puts a capture into Agent Lightning's store and keeps what the store's server gives out.

    pip install -r make_agentlightning.txt; python3 make_agentlightning.py

Spans are rebuilt as the OpenTelemetry SDK's ReadableSpan, added with LightningStore.add_otel_span as Agent Lightning's own
tracer does, and read from GET /v1/agl/spans of its store server (lightning.api). lightning.spans has Span.model_dump_json() of
each, as a script around query_spans would write it.
"""

import asyncio
import gzip
import json
from pathlib import Path

import httpx
from agentlightning.store.client_server import LightningStoreServer
from agentlightning.store.memory import InMemoryLightningStore
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

here = Path(__file__).parent
KINDS = [SpanKind.INTERNAL, SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER]


def raw(value):
    (kind, v), = value.items()
    return [raw(x) for x in v.get("values", [])] if kind == "arrayValue" else int(v) if kind == "intValue" else v


def attributes(list):
    return {a["key"]: raw(a["value"]) for a in list or []}


def context(trace, span):
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(1))


def readable(s, resource, scope):
    return ReadableSpan(
        name=s["name"], context=context(s["traceId"], s["spanId"]),
        parent=context(s["traceId"], s["parentSpanId"]) if s.get("parentSpanId") else None,
        resource=Resource(resource), attributes=attributes(s.get("attributes")),
        events=[Event(e["name"], attributes(e.get("attributes")), int(e["timeUnixNano"])) for e in s.get("events", [])],
        links=[Link(context(l["traceId"], l["spanId"]), attributes(l.get("attributes"))) for l in s.get("links", [])],
        kind=KINDS[s.get("kind", 0)], status=Status(StatusCode(s.get("status", {}).get("code", 0)), s.get("status", {}).get("message")),
        start_time=int(s["startTimeUnixNano"]), end_time=int(s["endTimeUnixNano"]),
        instrumentation_scope=InstrumentationScope(scope.get("name", ""), scope.get("version")),
    )


async def main():
    store = InMemoryLightningStore()
    server = LightningStoreServer(store, "127.0.0.1", 14747)
    await server.start()
    attempts = {}
    for request in map(json.loads, (here / "lightning.jsonl").open()):
        for group in request["resourceSpans"]:
            resource = attributes(group["resource"]["attributes"])
            rollout = resource.pop("agentlightning.rollout_id"), resource.pop("agentlightning.attempt_id")
            if rollout not in attempts:
                attempts[rollout] = await store.start_rollout(input={"capture": rollout[0]})
            at = attempts[rollout]
            for scope in group["scopeSpans"]:
                for s in scope["spans"]:
                    await store.add_otel_span(at.rollout_id, at.attempt.attempt_id, readable(s, resource, scope["scope"]))
    pages, lines = [], []
    for (rollout, attempt), at in attempts.items():
        async with httpx.AsyncClient() as client:
            got = await client.get("http://127.0.0.1:14747/v1/agl/spans", params={"rollout_id": at.rollout_id, "limit": -1})
        got.raise_for_status()

        def named(text):  # the store gives new ids; the capture's are put back, so that both can be compared
            return text.replace(at.rollout_id, rollout).replace(at.attempt.attempt_id, attempt)

        pages.append(named(got.text))
        lines += [named(s.model_dump_json()) for s in await store.query_spans(at.rollout_id)]
    for name, text in ("lightning.api.json.gz", "\n".join(pages)), ("lightning.spans.jsonl.gz", "\n".join(lines) + "\n"):
        (here / name).write_bytes(gzip.compress(text.encode(), mtime=0))
    await server.stop()


asyncio.run(main())
