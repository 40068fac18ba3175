package otlp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

var errLineTooLong = errors.New("line too long")

// lineReader reads lines of up to max bytes and skips longer ones.
type lineReader struct {
	in  *bufio.Reader
	max int
	buf []byte
}

// next returns the next line without its end; the slice is valid until the
// following call. After errLineTooLong the next line can be read.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	long := false
	for {
		part, err := l.in.ReadSlice('\n')
		switch {
		case long:
		case len(l.buf)+len(bytes.TrimRight(part, "\r\n")) > l.max:
			long = true
		default:
			l.buf = append(l.buf, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !(errors.Is(err, io.EOF) && (long || len(l.buf) > 0)) {
			return nil, err
		}
		if long {
			return nil, fmt.Errorf("%w: more than %d bytes", errLineTooLong, l.max)
		}
		return l.buf, nil
	}
}

// parse decodes one line. The result does not share memory with it.
func parse(line []byte) (Request, error) {
	signal, err := signalOf(line)
	if err != nil {
		return Request{}, err
	}
	if signal == Logs {
		req := plogotlp.NewExportRequest()
		if err := req.UnmarshalJSON(line); err != nil {
			return Request{}, fmt.Errorf("decode ExportLogsServiceRequest: %w", err)
		}
		return Request{Signal: Logs, Logs: req.Logs()}, nil
	}
	req := ptraceotlp.NewExportRequest()
	if err := req.UnmarshalJSON(line); err != nil {
		return Request{}, fmt.Errorf("decode ExportTraceServiceRequest: %w", err)
	}
	return Request{Signal: Traces, Traces: req.Traces()}, nil
}

// signalOf reads the keys of the line's object up to the first that decides.
// The decoder of pdata ignores keys it does not know, so that any JSON would
// pass as an empty request.
func signalOf(line []byte) (Signal, error) {
	const hint = "a capture holds one OTLP/JSON export request a line ({\"resourceSpans\": …} or {\"resourceLogs\": …})"
	if line[0] != '{' {
		return 0, errors.New("not a JSON object: " + hint)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	if _, err := dec.Token(); err != nil {
		return 0, fmt.Errorf("parse JSON: %w", err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return 0, fmt.Errorf("parse JSON: %w", err)
		}
		switch key {
		case "resourceSpans", "resource_spans":
			return Traces, nil
		case "resourceLogs", "resource_logs":
			return Logs, nil
		case "resourceMetrics", "resource_metrics":
			return 0, errors.New("metrics are not replayed: " + hint)
		}
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return 0, fmt.Errorf("parse JSON: %w", err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return 0, fmt.Errorf("parse JSON (is one request spread over several lines? jq -c . makes it one): %w", err)
	}
	return 0, errors.New("neither resourceSpans nor resourceLogs: " + hint)
}
