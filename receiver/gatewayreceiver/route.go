package gatewayreceiver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/openai"
)

// routing is what became of a call that an adapter was to serve.
type routing struct {
	asked   string // the model that the agent asked for
	adapter string // the name that was sent in its place
	served
	unknown bool // the server did not know it: the model that was asked for answered
}

// The reasons for which a call is not routed to the adapter that a label names,
// beside those of [bundle.Skip].
const (
	notRoutedNoModel = "no_model"        // the request names no model, or two
	notRoutedUnknown = "unknown_adapter" // the server does not have it
)

// route sends a call for the adapter's base model to the adapter: the model in
// the request becomes the adapter's name, and the model in the answer what the
// agent asked for.
func (g *gateway) route(c *call, s served, models []string, body []byte) []byte {
	m := s.bundle.Manifest
	if len(models) == 0 {
		models = []string{m.BaseModel}
	}
	asked, ok := openai.Model(body)
	switch {
	case !ok:
		g.notRouted(notRoutedNoModel)
		return body
	case !slices.Contains(models, asked):
		g.notRouted(string(bundle.SkipModel))
		return body
	case len(m.Agents) > 0 && !slices.Contains(m.Agents, c.agent):
		g.notRouted(string(bundle.SkipAgent))
		return body
	}
	r := &routing{asked: asked, adapter: s.bundle.AdapterName(), served: s}
	c.routing = r
	c.edits = append(c.edits, r.restore)
	g.telemetry.ReceiverLlmGatewayRouted.Add(context.Background(), 1, metric.WithAttributes(attribute.String("label", s.label)))
	body, _ = openai.SetModel(body, r.adapter)
	return body
}

func (g *gateway) notRouted(reason string) {
	g.telemetry.ReceiverLlmGatewayNotRouted.Add(context.Background(), 1, metric.WithAttributes(attribute.String("reason", reason)))
}

// restore gives an answer the model that was asked for.
func (r *routing) restore(doc []byte) []byte {
	if name, ok := openai.Model(doc); ok && name == r.adapter {
		doc, _ = openai.SetModel(doc, r.asked)
	}
	return doc
}

// fallback is the way to the upstream. Where the server does not know the
// adapter that a call was routed to, it sends the call again for the model that
// the agent asked for: a model call must not fail because a label is ahead of a
// server.
type fallback struct {
	next http.RoundTripper
	gone func(*routing) // told once a call
}

// RoundTrip is as [http.RoundTripper] says.
func (f *fallback) RoundTrip(req *http.Request) (*http.Response, error) {
	c := callOf(req.Context())
	if c == nil || c.routing == nil || req.GetBody == nil {
		return f.next.RoundTrip(req)
	}
	if !c.routing.unknown { // else this is one more attempt
		res, err := f.next.RoundTrip(req)
		if err != nil || !isUnknown(res, c.routing.adapter) {
			return res, err
		}
		_ = res.Body.Close()
		c.routing.unknown = true
		f.gone(c.routing)
	}
	again, err := asked(req, c.routing)
	if err != nil {
		return nil, err
	}
	return f.next.RoundTrip(again)
}

// asked is the request for the model that the agent asked for.
func asked(req *http.Request, r *routing) (*http.Request, error) {
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(body) // held in memory already
	if err != nil {
		return nil, err
	}
	raw, _ = openai.SetModel(raw, r.asked)
	out := req.Clone(req.Context())
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	out.Body, _ = out.GetBody()
	out.ContentLength = int64(len(raw))
	return out, nil
}

// maxRefusal is what is read of an error to see whether it is about the adapter.
const maxRefusal = 64 << 10

// isUnknown says whether an answer is the server's refusal of the model, which
// has no other sign than that its message names it. The answer can still be read
// from its beginning.
func isUnknown(res *http.Response, adapter string) bool {
	if res.StatusCode != http.StatusNotFound && res.StatusCode != http.StatusBadRequest {
		return false
	}
	head, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	if err != nil {
		res.Body = resumed{res.Body, io.MultiReader(bytes.NewReader(head), failing{err})}
		return false
	}
	res.Body = resumed{res.Body, io.MultiReader(bytes.NewReader(head), res.Body)}
	if !gjson.ValidBytes(head) {
		return false
	}
	doc := gjson.ParseBytes(head)
	message := doc.Get("error.message").String()
	if message == "" {
		message = doc.Get("message").String()
	}
	return strings.Contains(message, adapter)
}

// resumed is a body whose beginning was read.
type resumed struct {
	io.Closer
	io.Reader
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
