package records

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// framing says how a file is cut into records.
type framing uint8

const (
	lines    framing = iota // one JSON value a line
	document                // JSON values over any number of lines: a pretty-printed one, or an array
	frames                  // messages behind their length, four bytes, big endian, as the Collector's file exporter writes
	message                 // one protobuf message
)

// detect tells the framing by the first bytes of a file.
func detect(head []byte) (framing, error) {
	switch {
	case bytes.HasPrefix(head, parquetMagic):
		return 0, fmt.Errorf("%w here: a Parquet file (tracegrad import reads those of ClickHouse and Phoenix)", ErrUnknown)
	case len(head) >= 4 && binary.BigEndian.Uint32(head) <= MaxBytes:
		return frames, nil
	case isMessage(head):
		return message, nil
	}
	text := bytes.TrimLeft(head, " \t\r\n")
	if len(text) > 0 && text[0] == '[' || isPretty(text) {
		return document, nil
	}
	if len(text) > 0 && bytes.IndexByte(text[:min(len(text), 512)], 0) >= 0 {
		return 0, fmt.Errorf("%w: neither JSON nor OTLP protobuf, plain or packed with gzip or zstd", ErrUnknown)
	}
	return lines, nil
}

// isPretty says whether a text begins with a JSON object that goes on over
// several lines. A first line that was cut stands before a line that begins a
// new object.
func isPretty(text []byte) bool {
	if len(text) == 0 || text[0] != '{' {
		return false
	}
	first, rest, more := bytes.Cut(text, []byte("\n"))
	if !more || balanced(first) {
		return false
	}
	rest = bytes.TrimLeft(rest, "\r\n")
	return len(rest) > 0 && rest[0] != '{'
}

// balanced says whether every bracket of a line is closed.
func balanced(line []byte) bool {
	var n nesting
	for _, c := range line {
		n.see(c)
	}
	return n.depth == 0 && !n.text
}

// isMessage says whether a file begins like an export request in protobuf:
// field 1, in it a resource or a scope with what those may hold. "\n{" and a
// line of JSON begin with the same two bytes and fail at the third or fourth.
func isMessage(head []byte) bool {
	inner, ok := field(head, 1)
	if !ok {
		return false
	}
	num, typ, n := protowire.ConsumeTag(inner)
	if n < 0 || typ != protowire.BytesType || num > 3 {
		return false
	}
	if num != 1 {
		return true
	}
	resource, ok := field(inner, 1)
	if !ok {
		return false
	}
	if len(resource) == 0 {
		return true
	}
	num, typ, n = protowire.ConsumeTag(resource)
	return n > 0 && (num == 1 && typ == protowire.BytesType || num == 2 && typ == protowire.VarintType || num == 3 && typ == protowire.BytesType)
}

// field returns what is there of a field at the start of b.
func field(b []byte, want protowire.Number) ([]byte, bool) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != want || typ != protowire.BytesType {
		return nil, false
	}
	size, m := protowire.ConsumeVarint(b[n:])
	if m < 0 || size > MaxBytes {
		return nil, false
	}
	rest := b[n+m:]
	return rest[:min(uint64(len(rest)), size)], true
}
