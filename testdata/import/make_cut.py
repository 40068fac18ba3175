"""Cuts a capture to its first N traces, or to those whose ids begin with what is named, and its log records with it.

    python3 make_cut.py CAPTURE.jsonl N|ID,ID… OUT.jsonl [CAPTURE.logs.jsonl OUT.logs.jsonl]
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


def main(capture, which, out, logs=None, logs_out=None):
    traces = []
    with open(capture) as lines:
        for line in lines:
            for group in json.loads(line)["resourceSpans"]:
                for scope in group["scopeSpans"]:
                    traces += [s["traceId"] for s in scope["spans"]]
    if which.isdigit() and len(which) < 5:
        chosen = set(list(dict.fromkeys(traces))[: int(which)])
    else:
        chosen = {t for t in traces if t.startswith(tuple(which.split(",")))}
    cut(capture, out, "resourceSpans", "scopeSpans", "spans", lambda s: s["traceId"] in chosen)
    if logs:
        cut(logs, logs_out, "resourceLogs", "scopeLogs", "logRecords", lambda r: r.get("traceId") in chosen)


main(*sys.argv[1:])
