package gatewayreceiver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tidwall/gjson"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/openai"
)

// Whether the upstream is asked for token ids (the key token_ids).
const (
	idsAuto = "auto" // if it says that it is vLLM
	idsOn   = "on"
	idsOff  = "off"
)

const (
	probeTimeout = 2 * time.Second  // for the one request that asks what the upstream is
	probeSize    = 1 << 20          // bytes read of its answer
	tryAgain     = 30 * time.Second // after it did not answer
	believed     = 10 * time.Minute // that it is none, or returns no ids
)

// Why an answer has no ids, beside the reasons of [openai.Ask] and
// [openai.Answer.Tokens].
const noneRefused = "refused" // the upstream refused a request that asks for them

// asker knows whether the upstream returns token ids. It learns it from what
// the upstream says of its models and from what came of asking, and forgets what
// speaks against it after a while: servers are replaced.
type asker struct {
	mode string
	mu   sync.Mutex
	yes  bool
	till time.Time // when a no, or not knowing, is over
}

// asks says whether to ask, and probes where that is not known. Calls that come
// meanwhile wait.
func (a *asker) asks(now time.Time, probe func() (vllm, known bool)) bool {
	if a.mode == idsOff {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.yes || now.Before(a.till) {
		return a.yes
	}
	if a.mode == idsOn {
		a.yes = true
		return true
	}
	vllm, known := probe()
	a.yes, a.till = vllm, now.Add(believed)
	if !known {
		a.till = now.Add(tryAgain)
	}
	return a.yes
}

// deny takes down that asking did not bring ids. It reports whether that is
// news.
func (a *asker) deny(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	news := a.yes
	a.yes, a.till = false, now.Add(believed)
	return news
}

// ask makes the upstream return token ids for a call, if it can.
func (g *gateway) ask(c *call, r *http.Request, body []byte) []byte {
	if !g.cfg.CaptureContent || !g.asker.asks(c.start, func() (bool, bool) { return g.probe(r) }) {
		return body
	}
	asked, strip, why := openai.Ask(body)
	c.asked, c.untold = why == "", why
	if strip != nil {
		c.plain, c.strip = body, strip
	}
	return asked
}

// probe asks the upstream for its models with the credentials of a request:
// vLLM says that it owns them.
func (g *gateway) probe(r *http.Request) (vllm, known bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), probeTimeout) // others wait for it, too
	defer cancel()
	target := *g.upstream
	target.Path += modelsPath
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return false, false
	}
	for _, name := range []string{"Authorization", "Api-Key", "X-Api-Key"} {
		if v := r.Header.Values(name); len(v) > 0 {
			req.Header[name] = v
		}
	}
	res, err := g.client.Transport.RoundTrip(req)
	if err != nil {
		return false, false
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, probeSize))
	switch {
	case err != nil, res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusForbidden, res.StatusCode >= http.StatusInternalServerError:
		return false, false
	case res.StatusCode != http.StatusOK || !gjson.ValidBytes(body):
		return false, true
	}
	return gjson.GetBytes(body, `data.#(owned_by=="vllm")`).Exists(), true
}

// refusals sends a request again, as the agent sent it, where the upstream
// refused what the gateway added to it: the agent must not see an error that it
// would not have seen.
type refusals struct {
	http.RoundTripper
	g *gateway
}

func (t refusals) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.RoundTripper.RoundTrip(req)
	c := callOf(req.Context())
	if err != nil || c == nil || c.strip == nil || res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnprocessableEntity {
		return res, err
	}
	_, _ = io.CopyN(io.Discard, res.Body, probeSize) // so that the connection can be used again
	_ = res.Body.Close()

	again := req.Clone(req.Context())
	again.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.plain)), nil }
	again.Body, _ = again.GetBody()
	again.ContentLength = int64(len(c.plain))
	c.asked, c.strip, c.plain = false, nil, nil
	if res, err = t.RoundTripper.RoundTrip(again); err == nil && res.StatusCode < http.StatusBadRequest {
		c.untold = noneRefused
		t.g.denied(noneRefused)
	}
	return res, err
}

// denied takes down that asking brought no ids.
func (g *gateway) denied(why string) {
	if g.asker.deny(g.now()) {
		g.set.Logger.Info("The model server returns no token ids: they are not asked for, for a while",
			zap.String("server", g.upstream.Host), zap.String("reason", why), zap.Duration("for", believed))
	}
}

// told takes down what came of asking for ids, once the answer was read.
func (g *gateway) told(c *call) {
	switch {
	case len(c.tokens.IDs) > 0:
		g.telemetry.ReceiverLlmGatewayTokensCaptured.Add(context.Background(), 1)
	case c.untold != "":
		g.telemetry.ReceiverLlmGatewayTokensNotCaptured.Add(context.Background(), 1, metric.WithAttributes(attribute.String("reason", c.untold)))
	}
	if c.asked && c.outcome == outcomeOK && c.untold == openai.NoneAbsent && !c.answer.HasIDs() {
		g.denied(c.untold)
	}
}
