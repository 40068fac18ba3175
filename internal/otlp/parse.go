package otlp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tracegrad/tracegrad/internal/records"
)

const hint = "a capture holds export requests of spans or log records, as OTLP/JSON ({\"resourceSpans\": …} or {\"resourceLogs\": …}) or protobuf"

var errMetrics = errors.New("metrics are not read: " + hint)

func parseJSON(data []byte) (Request, error) {
	signal, err := signalOf(data)
	switch {
	case err != nil:
		return Request{}, err
	case !records.Shallow(data, 3*maxDepth): // a level of a value takes three brackets
		return Request{}, errDeep
	}
	if signal == Logs {
		req := plogotlp.NewExportRequest()
		if err := req.UnmarshalJSON(data); err != nil {
			return Request{}, fmt.Errorf("decode ExportLogsServiceRequest: %w", brief(err))
		}
		return Request{Signal: Logs, Logs: req.Logs()}, nil
	}
	req := ptraceotlp.NewExportRequest()
	if err := req.UnmarshalJSON(data); err != nil {
		return Request{}, fmt.Errorf("decode ExportTraceServiceRequest: %w", brief(err))
	}
	return Request{Signal: Traces, Traces: req.Traces()}, nil
}

func parseProto(data []byte) (Request, error) {
	signal, err := signalOfProto(data)
	if err != nil {
		return Request{}, err
	}
	if signal == Logs {
		req := plogotlp.NewExportRequest()
		if err := req.UnmarshalProto(data); err != nil {
			return Request{}, fmt.Errorf("decode ExportLogsServiceRequest: %w", brief(err))
		}
		return Request{Signal: Logs, Logs: req.Logs()}, nil
	}
	req := ptraceotlp.NewExportRequest()
	if err := req.UnmarshalProto(data); err != nil {
		return Request{}, fmt.Errorf("decode ExportTraceServiceRequest: %w", brief(err))
	}
	return Request{Signal: Traces, Traces: req.Traces()}, nil
}

// maxDepth bounds how deep values may lie in each other: the decoders of pdata
// go down one call a level, and a stack that overflows ends the process.
const maxDepth = 1000

var errDeep = fmt.Errorf("values lie more than %d deep in each other", maxDepth)

// brief cuts the excerpts of its input that pdata's JSON decoder puts into its
// errors: they may be content.
func brief(err error) error {
	text, _, _ := bytes.Cut([]byte(err.Error()), []byte(", error found in"))
	return errors.New(string(text))
}

// signalOf reads the keys of an object up to the first that decides. The
// decoder of pdata ignores keys it does not know, so that any JSON would pass
// as an empty request.
func signalOf(data []byte) (Signal, error) {
	if data[0] != '{' {
		return 0, errors.New("not a JSON object: " + hint)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return 0, notJSON(err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return 0, notJSON(err)
		}
		switch key {
		case "resourceSpans", "resource_spans":
			return Traces, nil
		case "resourceLogs", "resource_logs":
			return Logs, nil
		case "resourceMetrics", "resource_metrics":
			return 0, errMetrics
		}
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return 0, notJSON(err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return 0, notJSON(err)
	}
	return 0, errors.New("neither resourceSpans nor resourceLogs: " + hint)
}

func notJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("parse JSON: the object is cut")
	}
	return fmt.Errorf("parse JSON: %w", err)
}
