#!/usr/bin/env python3
"""Cut captures of whole test runs down to a few attempts each.

usage: cut.py OUT CAPTURES [CAPTURES ...] [--attempts N]

CAPTURES is a folder of <name>.jsonl, <name>.logs.jsonl and truth.jsonl. OUT gets the same, gzipped, with the
spans and log records of N attempts a capture: one of every scenario first, the smaller ones before the larger.
Requests keep their order and their boundaries; nothing within a span or a record is changed.
"""
import argparse, collections, gzip, json, os, sys


def lines(path):
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            for line in f:
                yield json.loads(line)


def write(path, rows):
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as f:  # the same bytes every time
        for r in rows:
            f.write((json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n").encode())


def cut(request, keep, outer, inner, items):
    """The request with the items for which keep is true; None without any."""
    some = []
    for r in request.get(outer, []):
        scopes = []
        for s in r.get(inner, []):
            kept = [x for x in s.get(items, []) if keep(x)]
            if kept:
                scopes.append({**s, items: kept})
        if scopes:
            some.append({**r, inner: scopes})
    return {outer: some} if some else None


def session(record):
    for a in record.get("attributes", []):
        if a["key"] == "session.id":
            return a["value"].get("stringValue")


def choose(attempts, n):
    """n attempts: of every scenario the smallest, then the smallest of all; sessions are kept whole."""
    attempts = sorted(attempts, key=lambda t: (sum(t["spans_per_trace"].values()) if isinstance(t.get("spans_per_trace"), dict) else 0, t["ref"]))
    chosen, seen = [], set()
    for t in attempts:
        if t["scenario"] not in seen:
            seen.add(t["scenario"])
            chosen.append(t)
    chosen = (chosen + [t for t in attempts if t not in chosen])[:n]
    turns = {t["session_id"] for t in chosen if t.get("turn")}
    return [t for t in attempts if t in chosen or t.get("turn") and t["session_id"] in turns]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("captures", nargs="+")
    p.add_argument("--attempts", type=int, default=5)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    truth = []
    for folder in a.captures:
        files = collections.defaultdict(list)
        for t in lines(os.path.join(folder, "truth.jsonl")):
            files[t["file"]].append(t)
        for file, attempts in sorted(files.items()):
            if not os.path.exists(os.path.join(folder, file)):
                continue
            chosen = choose(attempts, a.attempts)
            traces = {i.lower() for t in chosen for i in t["trace_ids"]}
            others = {i.lower() for t in attempts if t not in chosen for i in t["trace_ids"]}
            name = file.removesuffix(".jsonl")
            spans = [cut(r, lambda x: x["traceId"].lower() in traces, "resourceSpans", "scopeSpans", "spans") for r in lines(os.path.join(folder, file))]
            records = [cut(r, lambda x: x.get("traceId", "").lower() in traces, "resourceLogs", "scopeLogs", "logRecords")
                       for r in lines(os.path.join(folder, name + ".logs.jsonl"))]
            sessions = {session(x) for r in records if r for rl in r["resourceLogs"] for sl in rl["scopeLogs"] for x in sl["logRecords"]} - {None}
            records = [cut(r, lambda x: x.get("traceId", "").lower() in traces or x.get("traceId", "").lower() not in others and session(x) in sessions,
                           "resourceLogs", "scopeLogs", "logRecords") for r in lines(os.path.join(folder, name + ".logs.jsonl"))]
            write(os.path.join(a.out, name + ".jsonl.gz"), filter(None, spans))
            if any(records):
                write(os.path.join(a.out, name + ".logs.jsonl.gz"), filter(None, records))
            truth += chosen
            print(f"{name}: {len(chosen)} of {len(attempts)} attempts", file=sys.stderr)
    write(os.path.join(a.out, "truth.jsonl.gz"), truth)


if __name__ == "__main__":
    main()
