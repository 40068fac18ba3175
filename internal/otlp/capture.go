package otlp

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// MaxLine is the longest line of a capture that is read, in bytes. A longer
// one is an error of its own; the lines after it are read.
const MaxLine = 64 << 20

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
	Line   int    // 1-based
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
// An error stands for one line or one file that could not be read; what comes
// after it is still yielded.
type Source = iter.Seq2[Request, error]

// LineError is a line of a capture that is not an export request.
type LineError struct {
	File string
	Line int
	Err  error
}

// Error names the file and the line the way editors jump to.
func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// Files reads captures one after the other. Gzip is recognised by its content,
// not by the name of the file.
func Files(paths ...string) Source {
	return func(yield func(Request, error) bool) {
		for _, path := range paths {
			if !readFile(path, yield) {
				return
			}
		}
	}
}

// Read reads one capture from r; name stands for it in requests and errors.
// The source can be ranged over once.
func Read(name string, r io.Reader) Source {
	return func(yield func(Request, error) bool) {
		readLines(name, r, MaxLine, yield)
	}
}

func readFile(path string, yield func(Request, error) bool) bool {
	f, err := os.Open(path)
	if err != nil {
		return yield(Request{File: path}, fmt.Errorf("open capture: %w", err))
	}
	defer f.Close()
	return readLines(path, f, MaxLine, yield)
}

// readLines reports whether the consumer wants more.
func readLines(name string, r io.Reader, maxLine int, yield func(Request, error) bool) bool {
	in, err := decompress(r)
	if err != nil {
		return yield(Request{File: name}, fmt.Errorf("read capture %s: %w", name, err))
	}
	lines := lineReader{in: in, max: maxLine}
	for number := 1; ; number++ {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil && !errors.Is(err, errLineTooLong) {
			return yield(Request{File: name, Line: number}, fmt.Errorf("read capture %s: line %d: %w", name, number, err))
		}
		var req Request
		if err == nil {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			req, err = parse(line)
		}
		req.File, req.Line = name, number
		if err != nil {
			err = &LineError{File: name, Line: number, Err: err}
		}
		if !yield(req, err) {
			return false
		}
	}
}

var gzipMagic = []byte{0x1f, 0x8b}

func decompress(r io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if head, _ := in.Peek(2); !bytes.Equal(head, gzipMagic) {
		return in, nil
	}
	zr, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(zr, 64<<10), nil
}
