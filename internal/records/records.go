// Package records splits files of telemetry into records: the lines of a JSON
// lines file, the elements of a JSON document, the messages of a protobuf file.
//
// What a file is, it tells by its content, never by its name: gzip and zstd are
// unpacked, then the first bytes say which framing follows. What a record
// means is not known here; the packages otlp and history parse it.
//
// Everything is bounded: a record by [MaxBytes], a packed file by how much more
// it may hold than it takes.
package records

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// MaxBytes is the largest record that is read. A larger one is an error of its
// own; the records after it are read.
const MaxBytes = 64 << 20

// Errors of a record.
var (
	ErrTooLong = errors.New("too long")
	// ErrUnknown says that a file is none of the formats that are read.
	ErrUnknown = errors.New("not a known format")
)

// Form says how a record is written.
type Form uint8

// The forms of a record.
const (
	JSON Form = iota
	Proto
)

// Record is one record of a file.
type Record struct {
	File   string // as the caller named it
	Number int    // 1-based, of this file
	Line   int    // 1-based line on which it begins; 0 in a binary file
	Offset int64  // of its first byte in a binary file, after unpacking
	Row    int    // 1-based, in a file of rows
	Read   int64  // bytes of the file, as it lies on disk, that were read so far
	Form   Form
	Data   []byte // valid until the next record is asked for; nil = skipped
}

// Where names the place of the record the way editors jump to.
func (r *Record) Where() string {
	switch {
	case r.Line > 0:
		return fmt.Sprintf("%s:%d", r.File, r.Line)
	case r.Row > 0:
		return fmt.Sprintf("%s: row %d", r.File, r.Row)
	}
	return fmt.Sprintf("%s: byte %d", r.File, r.Offset)
}

// Seq yields the records of files in order.
//
// An error stands for one record, or for the rest of one file, that could not
// be read; its record says where. What comes after it is still yielded.
type Seq = iter.Seq2[Record, error]

// Files reads files one after the other.
func Files(paths ...string) Seq {
	return func(yield func(Record, error) bool) {
		for _, path := range paths {
			for r, err := range File(path, 0) {
				if !yield(r, err) {
					return
				}
			}
		}
	}
}

// File reads one file. The first skip records are yielded without data.
func File(path string, skip int) Seq {
	return func(yield func(Record, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(Record{File: path}, fmt.Errorf("open file: %w", err))
			return
		}
		defer f.Close()
		for r, err := range Read(path, f, skip) {
			if !yield(r, err) {
				return
			}
		}
	}
}

// Read reads the content of one file from r; name stands for it in records and
// errors. The sequence can be ranged over once.
func Read(name string, r io.Reader, skip int) Seq { return read(name, r, skip, MaxBytes) }

func read(name string, r io.Reader, skip, most int) Seq {
	return func(yield func(Record, error) bool) {
		in, err := unpack(r)
		if err != nil {
			yield(Record{File: name}, fmt.Errorf("read %s: %w", name, err))
			return
		}
		defer in.close()
		s := &stream{name: name, in: in, skip: skip, most: most, yield: yield}
		s.run()
	}
}

// stream is one file that is being read.
type stream struct {
	name       string
	in         *input
	skip, most int
	yield      func(Record, error) bool
	number     int
	stopped    bool // the consumer wants no more
}

func (s *stream) run() {
	head, err := s.in.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		s.fail(0, 0, err)
		return
	}
	switch framing, err := detect(head); {
	case err != nil:
		s.yield(Record{File: s.name}, fmt.Errorf("read %s: %w", s.name, err))
	case framing == lines:
		s.lines()
	case framing == document:
		s.document()
	case framing == frames:
		s.frames()
	case framing == message:
		s.message()
	}
}

// give yields a record; it reports whether the consumer wants more.
func (s *stream) give(r Record, err error) bool {
	s.number++
	r.File, r.Number, r.Read = s.name, s.number, s.in.read.n
	if s.number <= s.skip {
		r.Data, err = nil, nil
	}
	if err != nil {
		err = &Error{Record: r, Err: err}
	}
	s.stopped = !s.yield(r, err)
	return !s.stopped
}

// fail yields an error after which nothing more of the file can be read.
func (s *stream) fail(line int, offset int64, err error) {
	if s.stopped {
		return
	}
	s.number++
	r := Record{File: s.name, Number: s.number, Line: line, Offset: offset, Read: s.in.read.n}
	s.yield(r, fmt.Errorf("read %s: %w", r.place(), err))
}

// place is where a record is, within its file.
func (r *Record) place() string {
	if r.Line > 0 {
		return fmt.Sprintf("%s: line %d", r.File, r.Line)
	}
	return r.Where()
}

// Error is a record that could not be read.
type Error struct {
	Record
	Err error
}

// Error names the place of the record the way editors jump to.
func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Where(), e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
