package history

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/tracegrad/tracegrad/internal/otlp"
	"github.com/tracegrad/tracegrad/internal/records"
)

// The formats, by the names that users see.
const (
	FormatOTLP       = "otlp"
	FormatClickHouse = "clickhouse"
	FormatPhoenix    = "phoenix"
	FormatLightning  = "agent-lightning"
)

// shape is one kind of row.
type shape struct {
	format string
	signal otlp.Signal
	keys   []string // all are there
	read   func(*rows, columns) error
}

// columns are the members of a row.
type columns map[string]gjson.Result

// shapes are looked for in this order.
var shapes = []shape{
	{FormatClickHouse, otlp.Traces, []string{"TraceId", "SpanId", "SpanAttributes", "Duration"}, readClickHouseSpan},
	{FormatClickHouse, otlp.Logs, []string{"TraceId", "SpanId", "LogAttributes", "Body"}, readClickHouseLog},
	{FormatLightning, otlp.Traces, []string{"rollout_id", "attempt_id", "trace_id", "span_id", "attributes"}, readLightningSpan},
	{FormatPhoenix, otlp.Traces, []string{"context", "span_kind", "attributes", "start_time"}, readPhoenixSpan},
	{FormatPhoenix, otlp.Traces, []string{"context.trace_id", "context.span_id", "span_kind", "start_time"}, readPhoenixFrame},
	{FormatPhoenix, otlp.Traces, []string{"trace_id", "span_id", "start_time_unix_nano", "attributes"}, readPhoenixOTLP},
}

// lists hold rows in the answers of HTTP APIs.
var lists = []string{"data", "items"}

// otlpKeys is the bit of the keys of an export request.
const otlpKeys = 1

// bits gives every key that tells a bit.
var bits, masks = func() (map[string]uint64, []uint64) {
	bits, masks := map[string]uint64{}, make([]uint64, len(shapes))
	for _, signal := range []string{"Spans", "Logs", "Metrics"} {
		bits["resource"+signal], bits["resource_"+strings.ToLower(signal)] = otlpKeys, otlpKeys
	}
	next := uint64(otlpKeys)
	for i := range shapes {
		for _, k := range shapes[i].keys {
			if bits[k] == 0 {
				next <<= 1
				bits[k] = next
			}
			masks[i] |= bits[k]
		}
	}
	return bits, masks
}()

// recognised is what a record holds: rows of a shape, or with no shape OTLP.
type recognised struct {
	shape *shape
	rows  []gjson.Result
}

const maxNesting = 3000

var errUnknown = errors.New("neither OTLP nor a row of ClickHouse's otel_traces or otel_logs, of Phoenix or of Agent Lightning: docs/import.md has what is read")

// recognise tells what a record holds by its keys.
func recognise(rec records.Record) (recognised, error) {
	if rec.Form == records.Proto || bytes.HasPrefix(rec.Data, []byte(`{"resource`)) {
		return recognised{}, nil
	}
	if rec.Data[0] != '{' || !records.Shallow(rec.Data, maxNesting) || !gjson.ValidBytes(rec.Data) {
		return recognised{}, notRecord(rec.Data)
	}
	row := gjson.ParseBytes(rec.Data)
	have := keysOf(row)
	if have&otlpKeys != 0 {
		return recognised{}, nil
	}
	if s := shapeOf(have); s != nil {
		return recognised{s, []gjson.Result{row}}, nil
	}
	for _, k := range lists {
		if list := row.Get(k); list.IsArray() {
			return page(list)
		}
	}
	return recognised{}, &badRow{reason: "unknown_record", err: errUnknown}
}

// page reads the rows of one answer of an HTTP API. All are of one shape.
func page(list gjson.Result) (recognised, error) {
	found := recognised{shape: &shapes[0]} // of an empty page, too
	var err error
	list.ForEach(func(_, row gjson.Result) bool {
		s := shapeOf(keysOf(row))
		if s == nil || len(found.rows) > 0 && s != found.shape {
			err = &badRow{reason: "unknown_record", err: errUnknown}
			return false
		}
		found.shape = s
		found.rows = append(found.rows, row)
		return true
	})
	return found, err
}

// keysOf is the bits of the keys of a row.
func keysOf(row gjson.Result) (have uint64) {
	if row.IsObject() {
		row.ForEach(func(k, _ gjson.Result) bool {
			have |= bits[k.Str]
			return true
		})
	}
	return have
}

func shapeOf(have uint64) *shape {
	for i := range shapes {
		if have&masks[i] == masks[i] {
			return &shapes[i]
		}
	}
	return nil
}

func notRecord(data []byte) error {
	switch {
	case data[0] != '{':
		return &badRow{reason: "invalid_json", err: errors.New("not a JSON object")}
	case !records.Shallow(data, maxNesting):
		return &badRow{reason: "too_deep", err: errors.New("values lie too deep in each other")}
	}
	return &badRow{reason: "invalid_json", err: errors.New("not whole, or not JSON")}
}

// badRow is a record that cannot be read, and the kind of reason.
type badRow struct {
	reason string
	err    error
}

func (e *badRow) Error() string { return e.err.Error() }
func (e *badRow) Unwrap() error { return e.err }

func invalid(err error) error { return &badRow{reason: "invalid_otlp", err: err} }

func bad(format string, args ...any) error {
	return &badRow{reason: "invalid_row", err: fmt.Errorf(format, args...)}
}

// Reason is the kind of an error of File, for counting.
func Reason(err error) string {
	var row *badRow
	switch {
	case errors.As(err, &row):
		return row.reason
	case errors.Is(err, records.ErrTooLong):
		return "too_long"
	case errors.Is(err, records.ErrUnknown):
		return "unknown_file"
	}
	return "unreadable"
}
