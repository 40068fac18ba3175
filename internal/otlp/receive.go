package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/tracegrad/tracegrad/internal/records"
)

// MaxReceived bounds one request that is received, packed and unpacked.
const MaxReceived = 64 << 20

// maxReceivers bounds the requests that are read at the same time.
const maxReceivers = 8

// Receive serves OTLP on a listener until ctx ends: HTTP with protobuf or JSON,
// plain or gzip, and gRPC, on the same port. take gets one request of spans or
// log records at a time, and owns it. Metrics are accepted and forgotten, so
// that an SDK that sends them does not complain.
//
// It returns when the requests that are being read are done, or after a moment.
func Receive(ctx context.Context, l net.Listener, take func(Request)) error {
	r := &receiver{take: take, room: make(chan struct{}, maxReceivers)}
	s := &http.Server{Handler: r.handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true) // gRPC's
	stopped := make(chan struct{})
	go func() {
		<-ctx.Done()
		moment, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if s.Shutdown(moment) != nil {
			_ = s.Close()
		}
		close(stopped)
	}()
	err := s.Serve(l)
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("receive: %w", err)
	}
	<-stopped
	return nil
}

type receiver struct {
	take func(Request)
	mu   sync.Mutex
	room chan struct{}
}

func (r *receiver) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.serve(ptraceotlp.NewExportResponse()))
	mux.HandleFunc("POST /v1/logs", r.serve(plogotlp.NewExportResponse()))
	mux.HandleFunc("POST /v1/metrics", r.forget)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		http.Error(w, "this is tracegrad doctor: POST OTLP to /v1/traces and /v1/logs, not "+req.Method+" "+req.URL.Path, http.StatusNotFound)
	})
	grpc := r.grpc()
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.ProtoMajor == 2 && strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc") {
			grpc.ServeHTTP(w, req)
			return
		}
		mux.ServeHTTP(w, req)
	})
}

// response is an answer that says that all was taken.
type response interface {
	MarshalProto() ([]byte, error)
	MarshalJSON() ([]byte, error)
}

func (r *receiver) serve(ok response) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		r.room <- struct{}{}
		defer func() { <-r.room }()
		rec, code, err := readBody(w, req)
		if err != nil {
			http.Error(w, err.Error(), code)
			return
		}
		if len(bytes.TrimSpace(rec.Data)) > 0 && string(bytes.TrimSpace(rec.Data)) != "{}" {
			got, err := Parse(rec)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			r.hand(got)
		}
		answer(w, rec.Form, ok)
	}
}

func (r *receiver) hand(req Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take(req)
}

func (r *receiver) forget(w http.ResponseWriter, req *http.Request) {
	form, err := formOf(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnsupportedMediaType)
		return
	}
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, req.Body, MaxReceived))
	answer(w, form, pmetricotlp.NewExportResponse())
}

func answer(w http.ResponseWriter, form records.Form, ok response) {
	marshal, kind := ok.MarshalProto, "application/x-protobuf"
	if form != records.Proto {
		marshal, kind = ok.MarshalJSON, "application/json"
	}
	body, err := marshal()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body)
}

func formOf(req *http.Request) (records.Form, error) {
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/x-protobuf":
		return records.Proto, nil
	case err == nil && kind == "application/json":
		return records.JSON, nil
	}
	return 0, fmt.Errorf("content type %q: want application/x-protobuf or application/json", req.Header.Get("Content-Type"))
}

// readBody unpacks a request. The code is set with an error.
func readBody(w http.ResponseWriter, req *http.Request) (rec records.Record, code int, err error) {
	if rec.Form, err = formOf(req); err != nil {
		return rec, http.StatusUnsupportedMediaType, err
	}
	in := io.Reader(http.MaxBytesReader(w, req.Body, MaxReceived))
	switch packed := req.Header.Get("Content-Encoding"); packed {
	case "", "identity":
	case "gzip":
		if in, err = gzip.NewReader(in); err != nil {
			return rec, http.StatusBadRequest, fmt.Errorf("unpack request: %w", err)
		}
	default:
		return rec, http.StatusUnsupportedMediaType, fmt.Errorf("content encoding %q: want gzip or none", packed)
	}
	rec.Data, err = io.ReadAll(io.LimitReader(in, MaxReceived+1))
	switch {
	case err != nil && errors.As(err, new(*http.MaxBytesError)), len(rec.Data) > MaxReceived:
		return rec, http.StatusRequestEntityTooLarge, fmt.Errorf("request is larger than %d MiB: let the exporter send smaller batches (OTEL_BSP_MAX_EXPORT_BATCH_SIZE)", MaxReceived>>20)
	case err != nil:
		return rec, http.StatusBadRequest, fmt.Errorf("read request: %w", err)
	}
	return rec, 0, nil
}
