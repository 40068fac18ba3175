package feedbackreceiver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tracegrad/tracegrad/receiver/feedbackreceiver/internal/metadata"
)

const (
	path = "/v1/feedback"

	// maxInFlight bounds the memory of requests at work: maxInFlight × the
	// body limit. More are answered 429.
	maxInFlight = 64
)

// The reasons of otelcol_receiver_feedback_refused (metadata.yaml).
const (
	reasonInvalid           = "invalid"
	reasonNotJSON           = "not_json"
	reasonContentType       = "content_type"
	reasonMethod            = "method"
	reasonTooLarge          = "too_large"
	reasonTooManyRequests   = "too_many_requests"
	reasonUnauthenticated   = "unauthenticated"
	reasonEncoding          = "encoding"
	reasonUnreadable        = "unreadable"
	reasonPipelineRetryable = "pipeline_retryable"
	reasonPipelinePermanent = "pipeline_permanent"
)

// handler answers POST /v1/feedback.
type handler struct {
	next      consumer.Logs
	now       func() time.Time
	report    *receiverhelper.ObsReport
	telemetry *metadata.TelemetryBuilder
	maxBody   int64
	slots     chan struct{}
}

// answer is the body of every response. Error, Field and Index are those of
// the first problem; Errors has all of them if there are several.
type answer struct {
	Accepted int       `json:"accepted"`
	Error    string    `json:"error,omitempty"`
	Field    string    `json:"field,omitempty"`
	Index    *int      `json:"index,omitempty"`
	Errors   []problem `json:"errors,omitempty"`
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		h.fail(r.Context(), w, http.StatusTooManyRequests, reasonTooManyRequests, "too many requests at once: send it again later")
		return
	}
	body, ok := h.read(w, r)
	if !ok {
		return
	}
	items, problems, err := parse(body, h.now())
	if err != nil {
		h.fail(r.Context(), w, http.StatusBadRequest, reasonNotJSON, err.Error())
		return
	}
	h.count(r.Context(), reasonInvalid, len(problems))
	if len(items) > 0 && !h.consume(r.Context(), w, items) {
		return
	}
	respond(w, len(items), problems)
}

// read checks the head of a request and reads its body.
func (h *handler) read(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	ctx := r.Context()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		h.fail(ctx, w, http.StatusMethodNotAllowed, reasonMethod, "use POST "+path)
		return nil, false
	}
	// other types can be sent by any web page that this machine's browser shows
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		h.fail(ctx, w, http.StatusUnsupportedMediaType, reasonContentType, "set the header Content-Type: application/json")
		return nil, false
	}
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		h.fail(ctx, w, http.StatusRequestEntityTooLarge, reasonTooLarge,
			fmt.Sprintf("the body has more than %d bytes: send fewer items at once, or raise max_request_body_size", h.maxBody))
		return nil, false
	case err != nil:
		h.fail(ctx, w, http.StatusBadRequest, reasonUnreadable, "read the body: "+err.Error())
		return nil, false
	}
	return body, true
}

// consume hands the items on; false if the pipeline did not take them and the
// request is answered.
func (h *handler) consume(reqCtx context.Context, w http.ResponseWriter, items []feedback) bool {
	ctx := h.report.StartLogsOp(reqCtx)
	err := h.next.ConsumeLogs(ctx, records(items, h.now()))
	h.report.EndLogsOp(ctx, "json", len(items), err)
	if err == nil {
		return true
	}
	status, reason := http.StatusServiceUnavailable, reasonPipelineRetryable
	message := "the pipeline cannot take feedback now: send it again later"
	if consumererror.IsPermanent(err) {
		status, reason = http.StatusBadRequest, reasonPipelinePermanent
		message = "the pipeline refuses this feedback: " + err.Error()
	} else {
		w.Header().Set("Retry-After", "1")
	}
	h.count(reqCtx, reason, len(items))
	write(w, status, answer{Error: message})
	return false
}

func (h *handler) notFound(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusNotFound, answer{Error: "there is nothing here: use POST " + path})
}

// refuse answers what the server refuses before the handler: authentication
// and decompression. The reasons may tell an attacker something and stay out.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, message string, status int) {
	if status == http.StatusUnauthorized {
		h.fail(r.Context(), w, status, reasonUnauthenticated, "not authenticated")
		return
	}
	h.fail(r.Context(), w, status, reasonEncoding, message)
}

func (h *handler) fail(ctx context.Context, w http.ResponseWriter, status int, reason string, message string) {
	h.count(ctx, reason, 1)
	write(w, status, answer{Error: message})
}

func (h *handler) count(ctx context.Context, reason string, n int) {
	if n > 0 {
		h.telemetry.ReceiverFeedbackRefused.Add(ctx, int64(n), metric.WithAttributes(attribute.String("reason", reason)))
	}
}

// respond reports what was accepted and what is wrong with the rest.
func respond(w http.ResponseWriter, accepted int, problems []problem) {
	if len(problems) == 0 {
		write(w, http.StatusOK, answer{Accepted: accepted})
		return
	}
	first := problems[0]
	a := answer{Accepted: accepted, Error: first.Error, Field: first.Field, Index: &first.Index}
	if len(problems) > 1 {
		a.Errors = problems
	}
	write(w, http.StatusBadRequest, a)
}

func write(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // the client is gone: nobody is left to tell
}
