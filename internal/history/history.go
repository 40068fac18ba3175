// Package history reads telemetry that lies in files: OTLP, and what other
// systems export of it. Whatever the format, it comes out as export requests
// of spans or log records, so that the decoders of OTLP read it.
//
// Every format is a file: what its records look like ([shape]), and how one
// becomes a span or a log record. What a record is, its keys say, never the
// name of its file; a file may hold several kinds. Formats were tried against
// what the systems really write: testdata/import has it, with how it was made.
package history

import (
	"iter"

	"github.com/tidwall/gjson"

	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/records"
)

// Batch is one request, and where it ends in its file.
type Batch struct {
	otlp.Request
	Format string // see Formats
	Number int    // of the last record in it, 1-based
	Read   int64  // bytes of the file that were read so far
}

// File reads one file from after its first skip records.
//
// An error stands for one record, or for the rest of the file, that could not
// be read; the batch says where. See [Reason] for its kind.
func File(path string, skip int) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		read(open(path, skip), skip, yield)
	}
}

func open(path string, skip int) records.Seq {
	if isParquet(path) {
		return parquetFile(path, skip)
	}
	return records.File(path, skip)
}

// read gathers rows to requests: those of one span each would cost several
// times as much.
func read(seq records.Seq, skip int, yield func(Batch, error) bool) {
	r := &reader{yield: yield, columns: columns{}}
	for rec, err := range seq {
		if rec.Number > 0 && rec.Number <= skip && err == nil {
			continue
		}
		if !r.take(rec, err) {
			return
		}
	}
	r.flush()
}

// rowsAtOnce rows are one request at most; maxGathered bytes close it earlier.
const (
	rowsAtOnce  = 256
	maxGathered = 4 << 20
)

type reader struct {
	yield func(Batch, error) bool
	rows  rows  // gathered
	last  Batch // where they end
	bytes int
	more  int // rows in it

	columns columns // of the row that is being read
}

// take reads one record; it reports whether the consumer wants more.
func (r *reader) take(rec records.Record, err error) bool {
	at := Batch{Request: otlp.Request{File: rec.File, Line: max(rec.Line, 0)}, Number: rec.Number, Read: rec.Read}
	if rec.Line == 0 {
		at.Line = rec.Number
	}
	if err != nil {
		return r.flush() && r.yield(at, err)
	}
	found, err := recognise(rec)
	if err != nil {
		return r.flush() && r.yield(at, &records.Error{Record: rec, Err: err})
	}
	if found.shape == nil {
		req, err := otlp.Parse(rec)
		if err != nil {
			return r.flush() && r.yield(at, &records.Error{Record: rec, Err: invalid(err)})
		}
		req.File, req.Line = at.File, at.Line
		at.Request, at.Format = req, FormatOTLP
		return r.flush() && r.yield(at, nil)
	}
	return r.gather(found, rec, at)
}

// gather adds the rows of a record to those that wait.
func (r *reader) gather(found recognised, rec records.Record, at Batch) bool {
	for i, row := range found.rows {
		if at.Number = rec.Number; i < len(found.rows)-1 {
			at.Number-- // who goes on after this batch reads the record again
		}
		if at.Format = found.shape.format; r.more > 0 && (r.last.Format != at.Format || r.last.Signal != found.shape.signal) && !r.flush() {
			return false
		}
		at.Signal = found.shape.signal
		clear(r.columns)
		row.ForEach(func(k, v gjson.Result) bool { r.columns[k.Str] = v; return true })
		if err := found.shape.read(&r.rows, r.columns); err != nil {
			if !r.flush() || !r.yield(at, &records.Error{Record: rec, Err: err}) {
				return false
			}
			continue
		}
		r.last = at
		r.more++
		if r.bytes += len(row.Raw); (r.more >= rowsAtOnce || r.bytes >= maxGathered) && !r.flush() {
			return false
		}
	}
	return true
}

// flush yields what was gathered.
func (r *reader) flush() bool {
	if r.more == 0 {
		return true
	}
	b := r.last
	b.Traces, b.Logs = r.rows.take(b.Signal)
	r.more, r.bytes = 0, 0
	return r.yield(b, nil)
}
