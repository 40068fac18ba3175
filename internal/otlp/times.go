package otlp

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Contents is what a source holds.
type Contents struct {
	Files    []FileContents // in order of first appearance
	Requests int
	Last     time.Time // the latest time on any span, span event or log record; zero = none
}

// FileContents is what a source holds of one capture.
type FileContents struct {
	File                        string
	Requests, Spans, LogRecords int
}

// Scan reads all of src once. What cannot be read is left out: whoever
// consumes src afterwards meets the errors.
func Scan(src Source) Contents {
	var c Contents
	at := map[string]int{}
	var last int64
	for req, err := range src {
		if err != nil {
			continue
		}
		i, seen := at[req.File]
		if !seen {
			i = len(c.Files)
			at[req.File] = i
			c.Files = append(c.Files, FileContents{File: req.File})
		}
		f := &c.Files[i]
		f.Requests++
		c.Requests++
		if req.Signal == Logs {
			f.LogRecords += req.Items()
		} else {
			f.Spans += req.Items()
		}
		req.eachTime(func(t pcommon.Timestamp, _ func(pcommon.Timestamp)) { last = max(last, int64(t)) })
	}
	if last > 0 {
		c.Last = time.Unix(0, last)
	}
	return c
}

// shiftTo returns what to add to every time so that last becomes now. It is a
// whole number of milliseconds, so that times cut to milli- or microseconds
// keep their order and their distances.
func shiftTo(now, last time.Time) time.Duration {
	if last.IsZero() {
		return 0
	}
	return now.Sub(last).Truncate(time.Millisecond)
}

// shift moves every time of the request by d. Absent times stay absent.
func (r Request) shift(d time.Duration) {
	if d == 0 {
		return
	}
	r.eachTime(func(t pcommon.Timestamp, set func(pcommon.Timestamp)) {
		set(pcommon.Timestamp(int64(t) + int64(d)))
	})
}

// eachTime visits the times that are there: zero means absent in OTLP, and
// what does not fit in 63 bits is no time.
func (r Request) eachTime(visit func(t pcommon.Timestamp, set func(pcommon.Timestamp))) {
	see := func(t pcommon.Timestamp, set func(pcommon.Timestamp)) {
		if t != 0 && t <= math.MaxInt64 {
			visit(t, set)
		}
	}
	if r.Signal == Logs {
		eachRecord(r.Logs, func(l plog.LogRecord) {
			see(l.Timestamp(), l.SetTimestamp)
			see(l.ObservedTimestamp(), l.SetObservedTimestamp)
		})
		return
	}
	eachSpan(r.Traces, func(s ptrace.Span) {
		see(s.StartTimestamp(), s.SetStartTimestamp)
		see(s.EndTimestamp(), s.SetEndTimestamp)
		for _, e := range s.Events().All() {
			see(e.Timestamp(), e.SetTimestamp)
		}
	})
}

func eachSpan(td ptrace.Traces, visit func(ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				visit(s)
			}
		}
	}
}

func eachRecord(ld plog.Logs, visit func(plog.LogRecord)) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, l := range sl.LogRecords().All() {
				visit(l)
			}
		}
	}
}
