"""Cuts a capture to the first N traces, and its log records to those of these traces.

    python3 cut.py CAPTURE.jsonl N OUT.jsonl [CAPTURE.logs.jsonl OUT.logs.jsonl]
"""

import json
import sys


def cut(path, out, groups, scopes, items, keep):
    with open(path) as lines, open(out, "w") as kept:
        for line in lines:
            request = json.loads(line)
            for group in request[groups]:
                for scope in group[scopes]:
                    scope[items] = [i for i in scope[items] if keep(i)]
                group[scopes] = [s for s in group[scopes] if s[items]]
            request[groups] = [g for g in request[groups] if g[scopes]]
            if request[groups]:
                kept.write(json.dumps(request, separators=(",", ":"), ensure_ascii=False) + "\n")


def main(capture, count, out, logs=None, logs_out=None):
    traces = []
    with open(capture) as lines:
        for line in lines:
            for group in json.loads(line)["resourceSpans"]:
                for scope in group["scopeSpans"]:
                    traces += [s["traceId"] for s in scope["spans"]]
    first = set(list(dict.fromkeys(traces))[: int(count)])
    cut(capture, out, "resourceSpans", "scopeSpans", "spans", lambda s: s["traceId"] in first)
    if logs:
        cut(logs, logs_out, "resourceLogs", "scopeLogs", "logRecords", lambda r: r.get("traceId") in first)


main(*sys.argv[1:])
