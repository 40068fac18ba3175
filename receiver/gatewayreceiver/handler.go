package gatewayreceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/tracegrad/tracegrad/internal/bundle"
)

const (
	chatPath   = "/v1/chat/completions"
	modelsPath = "/v1/models"

	// headerBundle tells the agent which bundle was applied to its call.
	headerBundle = "X-Tracegrad-Bundle"
)

// handler answers what agents ask.
func (g *gateway) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+chatPath, g.chat)
	mux.HandleFunc("GET "+modelsPath, func(w http.ResponseWriter, r *http.Request) { g.forward(w, r, nil) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, invalidRequest, "not_found",
			fmt.Sprintf("%s %s is not served here: use POST %s or GET %s", r.Method, r.URL.Path, chatPath, modelsPath))
	})
	return mux
}

// rejectBody answers requests whose body cannot be unpacked, and those that
// the configured auth refuses.
func rejectBody(w http.ResponseWriter, _ *http.Request, message string, status int) {
	kind := invalidRequest
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		kind = "authentication_error"
	}
	writeError(w, status, kind, "rejected", message)
}

// chat passes one chat completion on.
func (g *gateway) chat(w http.ResponseWriter, r *http.Request) {
	if !g.calls.enter() {
		writeError(w, http.StatusServiceUnavailable, gatewayError, "shutting_down", "the gateway is shutting down")
		return
	}
	defer g.calls.leave()
	c := g.begin(r)
	defer g.finish(r.Context(), c) // a broken answer ends in a panic that aborts the connection

	body, err := readBody(r)
	if err != nil {
		c.outcome = outcomeRejected
		rejectRead(w, err)
		return
	}
	c.request = body
	body = g.serve(c, body)
	body = g.ask(c, r, body)

	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(body))
	g.forward(w, r, c)
}

// forward passes a request on, whose call is nil if it is not a model call.
func (g *gateway) forward(w http.ResponseWriter, r *http.Request, c *call) {
	ctx := context.WithValue(r.Context(), callKey{}, c)
	if d := g.cfg.Upstream.Timeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	g.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// readBody reads the whole body, whose size the server limits, at once where
// its length is told; a told length alone must not take much memory.
func readBody(r *http.Request) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(int(min(max(r.ContentLength, 0), 1<<20)) + bytes.MinRead)
	_, err := buf.ReadFrom(r.Body)
	return buf.Bytes(), err
}

func rejectRead(w http.ResponseWriter, err error) {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		writeError(w, http.StatusRequestEntityTooLarge, invalidRequest, "request_too_large",
			fmt.Sprintf("the request body is larger than this gateway's max_request_body_size of %d bytes", large.Limit))
		return
	}
	writeError(w, http.StatusBadRequest, invalidRequest, "unreadable_body", "the request body could not be read")
}

// begin takes down what the request's head says.
func (g *gateway) begin(r *http.Request) *call {
	c := &call{start: g.now(), trace: continueTrace(r.Header, g.random), agent: g.cfg.Agent}
	if name := header(r, g.cfg.AgentHeader); name != "" {
		c.agent = name
	}
	c.conversation = header(r, g.cfg.ConversationHeader)
	return c
}

// maxNameBytes bounds what a header may name.
const maxNameBytes = 256

func header(r *http.Request, name string) string {
	if name == "" {
		return ""
	}
	if v := r.Header.Get(name); len(v) <= maxNameBytes {
		return v
	}
	return ""
}

// serve applies the bundles that serve a call: guidance first, which may be for
// the model that the agent asks for, then the way to an adapter.
func (g *gateway) serve(c *call, body []byte) []byte {
	key := sync.OnceValue(func() string { return stickyKey(c, c.request) })
	for _, f := range g.followers {
		switch s := f.choose(key); {
		case s.bundle == nil: // the label is not set
		case s.bundle.Manifest.Kind == bundle.KindAdapter:
			body = g.route(c, s, f.cfg.Models, body)
		default:
			body = g.inject(c, s, f.cfg.Demonstrations, body)
		}
	}
	return body
}

// inject adds a bundle's text, if it is for this call.
func (g *gateway) inject(c *call, s served, demonstrations bool, body []byte) []byte {
	target := bundle.Target{Demonstrations: demonstrations}
	if c.agent != "" {
		target.Agents = []string{c.agent}
	}
	a, err := s.bundle.Apply(body, target)
	switch {
	case err != nil: // the upstream says what is wrong with it
		g.notInjected("not_json")
	case a.Skip == bundle.SkipPresent: // a gateway before this one applied it
		c.guidance = s
		g.notInjected(string(a.Skip))
	case a.Skip != bundle.SkipNone:
		g.notInjected(string(a.Skip))
	default:
		c.guidance, c.injected = s, a.Injected
		g.telemetry.ReceiverLlmGatewayInjected.Add(context.Background(), 1)
	}
	return a.Body
}

func (g *gateway) notInjected(reason string) {
	g.telemetry.ReceiverLlmGatewayNotInjected.Add(context.Background(), 1, metric.WithAttributes(attribute.String("reason", reason)))
}

// finish takes down how the call ended and queues it.
func (g *gateway) finish(request context.Context, c *call) {
	c.end = g.now()
	c.canceled = request.Err() != nil
	if c.stream != nil {
		g.telemetry.ReceiverLlmGatewayActiveStreams.Add(context.Background(), -1)
	}
	c.settle()
	g.telemetry.ReceiverLlmGatewayRequests.Add(context.Background(), 1, metric.WithAttributes(attribute.String("outcome", string(c.outcome))))
	if c.outcome == outcomeUnreachable || c.outcome == outcomeTimeout {
		g.set.Logger.Warn("The model server did not answer", zap.String("server", g.upstream.Host), zap.Error(c.failure))
	}
	if c.outcome != outcomeRejected {
		g.recorder.add(c)
	}
}
