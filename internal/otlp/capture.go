package otlp

import (
	"io"
	"iter"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/records"
)

// Signal says what a request carries.
type Signal uint8

// The signals of a capture.
const (
	Traces Signal = iota
	Logs
)

// Request is one export request of a capture.
type Request struct {
	File   string // the capture it was read from, as the caller named it
	Line   int    // 1-based; in a file without lines the number of the request
	Signal Signal
	Traces ptrace.Traces // Signal == Traces
	Logs   plog.Logs     // Signal == Logs
}

// Items is the number of spans or log records in the request.
func (r Request) Items() int {
	if r.Signal == Logs {
		return r.Logs.LogRecordCount()
	}
	return r.Traces.SpanCount()
}

// Source yields requests in order. It may be ranged over several times and
// reads anew each time; the consumer owns what it is given.
//
// An error stands for one record or one file that could not be read; what comes
// after it is still yielded.
type Source = iter.Seq2[Request, error]

// Files reads captures one after the other.
func Files(paths ...string) Source { return parsed(records.Files(paths...)) }

// Read reads one capture from r; name stands for it in requests and errors.
// The source can be ranged over once.
func Read(name string, r io.Reader) Source { return parsed(records.Read(name, r, 0)) }

func parsed(seq records.Seq) Source {
	return func(yield func(Request, error) bool) {
		for rec, err := range seq {
			var req Request
			if err == nil {
				if req, err = Parse(rec); err != nil {
					err = &records.Error{Record: rec, Err: err}
				}
			}
			if req.File, req.Line = rec.File, rec.Line; rec.Line == 0 {
				req.Line = rec.Number
			}
			if !yield(req, err) {
				return
			}
		}
	}
}

// Parse decodes one record. The result does not share memory with it and names
// no file.
func Parse(rec records.Record) (Request, error) {
	if rec.Form == records.Proto {
		return parseProto(rec.Data)
	}
	return parseJSON(rec.Data)
}
