package gatewayreceiver

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"go.uber.org/zap"
)

// callKey finds a request's call in its context.
type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c // nil for GET /v1/models
}

// newProxy passes requests on. [httputil.ReverseProxy] takes care of hop-by-hop
// headers, flushes streams event by event, ends the upstream's call when the
// agent goes away, and aborts the agent's connection when an answer breaks off.
func (g *gateway) newProxy(transport http.RoundTripper) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:      transport,
		Rewrite:        g.rewrite,
		ModifyResponse: g.answered,
		ErrorHandler:   g.unanswered,
		ErrorLog:       zap.NewStdLog(zap.NewNop()), // breaks are counted, and stand on the span
		BufferPool:     &buffers{},
	}
}

func (g *gateway) rewrite(pr *httputil.ProxyRequest) {
	out := pr.Out
	out.URL = g.target(pr.In.URL)
	out.Host = ""
	out.Header.Del("Upgrade")
	out.Header.Del("Connection")
	out.Header.Del("Expect") // the body is here already
	// The span needs the answer's text, and an answer that is compressed on one
	// leg only would not be the same bytes.
	out.Header.Set("Accept-Encoding", "identity")
	if c := callOf(out.Context()); c != nil {
		out.GetBody = pr.In.GetBody
		c.trace.inject(out.Header)
	}
}

func (g *gateway) target(in *url.URL) *url.URL {
	u := *g.upstream
	u.Path += in.Path
	u.RawQuery = in.RawQuery
	return &u
}

func (g *gateway) answered(res *http.Response) error {
	c := callOf(res.Request.Context())
	if c == nil {
		return nil
	}
	if b := c.bundle().bundle; b != nil {
		res.Header.Set(headerBundle, b.ID())
	}
	limit := 0
	if g.cfg.CaptureContent {
		limit = g.cfg.MaxCaptureBytes
	}
	c.watch(res, limit, g.now, func() {
		g.telemetry.ReceiverLlmGatewayActiveStreams.Add(context.Background(), 1)
	})
	c.edit(res)
	return nil
}

func (g *gateway) unanswered(w http.ResponseWriter, r *http.Request, err error) {
	if c := callOf(r.Context()); c != nil {
		c.failure = err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		writeError(w, http.StatusGatewayTimeout, gatewayError, "upstream_timeout",
			"the model server did not answer within the gateway's upstream::timeout")
		return
	}
	writeError(w, http.StatusBadGateway, gatewayError, "upstream_unreachable",
		"the model server "+g.upstream.Host+" did not answer")
}

// buffers recycles the copy buffers of answers.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }
