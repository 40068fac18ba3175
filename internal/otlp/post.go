package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

const maxResponse = 1 << 20

func (r Request) marshal() ([]byte, error) {
	if r.Signal == Logs {
		return plogotlp.NewExportRequestFromLogs(r.Logs).MarshalProto()
	}
	return ptraceotlp.NewExportRequestFromTraces(r.Traces).MarshalProto()
}

// poster sends encoded requests to one endpoint.
type poster struct {
	urls    [2]string // by Signal
	headers map[string]string
	client  *http.Client
	backoff backoff
	now     func() time.Time
	sleep   func(context.Context, time.Duration) error
}

// result is what came of one request, all attempts together.
type result struct {
	retries   int
	sentBytes int64
	rejected  int64
	reason    string
}

func newPoster(opt Options) (*poster, error) {
	base, err := parseEndpoint(opt.Endpoint)
	if err != nil {
		return nil, err
	}
	p := &poster{
		urls:    [2]string{Traces: base + "/v1/traces", Logs: base + "/v1/logs"},
		headers: opt.Headers, client: opt.Client, now: opt.Now, sleep: opt.Sleep,
		backoff: backoff{attempts: opt.Attempts, jitter: opt.Jitter},
	}
	if p.client == nil {
		p.client = &http.Client{Timeout: time.Minute}
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.sleep == nil {
		p.sleep = sleep
	}
	if p.backoff.attempts <= 0 {
		p.backoff.attempts = defaultAttempts
	}
	if p.backoff.jitter == nil {
		p.backoff.jitter = rand.Float64
	}
	return p, nil
}

// parseEndpoint returns the base URL without a slash at its end.
func parseEndpoint(endpoint string) (string, error) {
	const hint = "want the base URL of an OTLP/HTTP receiver, such as http://127.0.0.1:4318"
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", fmt.Errorf("parse endpoint: %w; %s", err, hint)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("endpoint %q: scheme %q is not OTLP/HTTP; %s", endpoint, u.Scheme, hint)
	case u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("endpoint %q: want a host and nothing after the path; %s", endpoint, hint)
	}
	path := strings.TrimRight(u.Path, "/")
	for _, suffix := range []string{"/v1/traces", "/v1/logs"} {
		path = strings.TrimSuffix(path, suffix)
	}
	u.Path = path
	return u.String(), nil
}

// send posts body until it is accepted, refused or the attempts are spent.
func (p *poster) send(ctx context.Context, signal Signal, body []byte) (result, error) {
	packed, err := compress(body)
	if err != nil {
		return result{}, err
	}
	var res result
	for attempt := 1; ; attempt++ {
		res.sentBytes += int64(len(packed))
		var again retryableError
		res.rejected, res.reason, err = p.once(ctx, signal, packed)
		if err == nil || !errors.As(err, &again) || ctx.Err() != nil {
			return res, err
		}
		if attempt >= p.backoff.limit(again) {
			return res, fmt.Errorf("%w (gave up after %d attempts)", err, attempt)
		}
		res.retries++
		if err := p.sleep(ctx, p.backoff.pause(attempt, again.after)); err != nil {
			return res, err
		}
	}
}

// once makes one attempt.
func (p *poster) once(ctx context.Context, signal Signal, packed []byte) (rejected int64, reason string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.urls[signal], bytes.NewReader(packed))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "gzip")
	for k, v := range p.headers {
		req.Header.Set(k, v)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, "", retryableError{err: fmt.Errorf("no answer (is a Collector with an otlp receiver listening there?): %w", err), unreachable: true}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return 0, "", retryableError{err: fmt.Errorf("post %s: read the answer: %w", p.urls[signal], err), unreachable: true}
	}
	if resp.StatusCode/100 == 2 {
		return partialSuccess(signal, answer)
	}
	refused := &refusedError{url: p.urls[signal], code: resp.StatusCode, message: errorMessage(resp.Header, answer)}
	if retryable(resp.StatusCode) {
		return 0, "", retryableError{err: refused, after: retryAfter(resp.Header.Get("Retry-After"), p.now())}
	}
	return 0, "", refused
}

func compress(body []byte) ([]byte, error) {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	if _, err := zw.Write(body); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func partialSuccess(signal Signal, answer []byte) (rejected int64, reason string, err error) {
	if signal == Logs {
		res := plogotlp.NewExportResponse()
		if err := res.UnmarshalProto(answer); err != nil {
			return 0, "", fmt.Errorf("decode ExportLogsServiceResponse (is the endpoint OTLP/HTTP?): %w", err)
		}
		return res.PartialSuccess().RejectedLogRecords(), res.PartialSuccess().ErrorMessage(), nil
	}
	res := ptraceotlp.NewExportResponse()
	if err := res.UnmarshalProto(answer); err != nil {
		return 0, "", fmt.Errorf("decode ExportTraceServiceResponse (is the endpoint OTLP/HTTP?): %w", err)
	}
	return res.PartialSuccess().RejectedSpans(), res.PartialSuccess().ErrorMessage(), nil
}

// errorMessage reads the google.rpc.Status that OTLP/HTTP servers answer with,
// or the first line of whatever else came.
func errorMessage(header http.Header, answer []byte) string {
	if strings.HasPrefix(header.Get("Content-Type"), "application/x-protobuf") {
		var s status.Status
		if proto.Unmarshal(answer, &s) == nil {
			return s.GetMessage()
		}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(answer)), "\n")
	if len(line) > 200 {
		line = line[:200] + "…"
	}
	return strings.ToValidUTF8(line, "\uFFFD")
}
