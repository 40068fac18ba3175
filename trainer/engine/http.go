package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrLost marks errors after which nobody knows what a model on the server went
// through. Make a new model from the last saved state.
var ErrLost = errors.New("the model's state on the server is not known; start again from the last saved state")

// StatusError is a request that the server refused.
type StatusError struct {
	Path   string // under /api/v1/
	Status int
	Detail string // the server's words, shortened
	Final  bool   // it found fault with the request itself, and would again

	tries int // that it took to be refused
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: the server answered %d: %s", e.Path, e.Status, e.Detail)
}

const (
	protobuf  = "application/x-protobuf"
	small     = 4 << 20          // bytes of an answer without rows
	submitFor = 2 * time.Minute  // for a request that the server only queues
	slowest   = 10 * time.Second // between retries
)

// call is one request.
type call struct {
	method, path string // path under /api/v1/
	body         []byte
	kind         string // content type of body
	accept       string
	again        bool          // may arrive twice
	held         bool          // the server may hold the line for longer than within: errPending then
	limit        int64         // bytes of the answer
	within       time.Duration // for one try
}

type answer struct {
	kind string // content type
	body []byte
}

func jsonCall(path string, in any) call {
	body, err := json.Marshal(in)
	if err != nil { // only of our own types, whose numbers are checked before
		panic(fmt.Sprintf("encode %s: %v", path, err))
	}
	return call{method: http.MethodPost, path: path, body: body, kind: "application/json", accept: "application/json", limit: small, within: submitFor}
}

// post sends what may arrive twice and reads a JSON answer.
func (c *Client) post(ctx context.Context, path string, in, out any) error {
	request := jsonCall(path, in)
	request.again = true
	got, err := c.do(ctx, request)
	if err != nil {
		return err
	}
	return decode(path, got, out)
}

func (c *Client) get(ctx context.Context, path string, out any) error {
	got, err := c.do(ctx, call{method: http.MethodGet, path: path, accept: "application/json", again: true, limit: small, within: submitFor})
	if err != nil {
		return err
	}
	return decode(path, got, out)
}

// decode reads exactly one JSON value.
func decode(path string, got answer, out any) error {
	if !strings.HasPrefix(got.kind, "application/json") {
		return fmt.Errorf("%s: the answer is %q, not JSON", path, clip(got.kind))
	}
	if err := json.Unmarshal(got.body, out); err != nil {
		return fmt.Errorf("%s: read the answer: %w", path, err)
	}
	return nil
}

// do sends a request until it is answered. It is sent again when it surely did
// not arrive or was turned away (429, 503), and on any other trouble only if it
// may arrive twice; else the error is [ErrLost].
func (c *Client) do(ctx context.Context, request call) (answer, error) {
	pause, start := c.options.Backoff, time.Time{}
	for try := 1; ; try++ {
		if err := c.alive(); err != nil {
			return answer{}, fmt.Errorf("%s: %w", request.path, err)
		}
		got, err := c.once(ctx, request)
		if err == nil {
			return got, nil
		}
		if request.held && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			return answer{}, errPending
		}
		retry, lost := verdict(err, request.again)
		if status := (*StatusError)(nil); errors.As(err, &status) {
			status.tries = try
		}
		if ctx.Err() != nil {
			retry, err = false, fmt.Errorf("%s: %w", request.path, context.Cause(ctx))
		}
		if start.IsZero() {
			start = time.Now()
		}
		switch {
		case retry && time.Since(start) < c.options.Patience:
		case lost:
			return answer{}, fmt.Errorf("%w (whether it arrived is not known): %w", err, ErrLost)
		case retry:
			return answer{}, fmt.Errorf("%w (given up after %d tries in %s)", err, try, c.options.Patience)
		default:
			return answer{}, err
		}
		c.options.Log.Warn("engine request failed; trying again", "error", err, "try", try)
		sleep(ctx, max(pause, after(err)))
		pause = min(2*pause, slowest)
	}
}

// busyError is an answer that asks to come back later.
type busyError struct {
	*StatusError
	after time.Duration
}

func (e *busyError) Unwrap() error { return e.StatusError }

// verdict says whether a failed request may be sent again, and whether nobody
// can know if it arrived.
func verdict(err error, again bool) (retry, lost bool) {
	var status *StatusError
	var busy *busyError
	var dial *net.OpError
	switch {
	case errors.As(err, &busy):
		return true, false
	case errors.As(err, &status):
		if status.Status < 500 {
			return false, false
		}
	case errors.As(err, &dial) && dial.Op == "dial":
		return true, false
	}
	return again, !again
}

func after(err error) time.Duration {
	var busy *busyError
	if errors.As(err, &busy) {
		return busy.after
	}
	return 0
}

// sleep ends early with its context.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// once sends a request once. An answer of 400 and above is a *StatusError.
func (c *Client) once(ctx context.Context, request call) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, request.within)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, request.method, c.base+"/api/v1/"+request.path, bytes.NewReader(request.body))
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", request.path, err)
	}
	if request.kind != "" {
		r.Header.Set("Content-Type", request.kind)
	}
	r.Header.Set("Accept", request.accept)
	if c.options.Key != "" {
		r.Header.Set("X-Api-Key", c.options.Key)
		r.Header.Set("Authorization", "Bearer "+c.options.Key)
	}
	client := c.anew
	if request.again {
		client = c.http
	}
	response, err := client.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", request.path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, request.limit+1))
	switch {
	case err != nil:
		return answer{}, fmt.Errorf("%s: read the answer: %w", request.path, err)
	case int64(len(body)) > request.limit:
		return answer{}, fmt.Errorf("%s: the answer is longer than %d bytes", request.path, request.limit)
	case response.StatusCode < 300:
		return answer{kind: response.Header.Get("Content-Type"), body: body}, nil
	}
	refused := StatusError{Path: request.path, Status: response.StatusCode, Detail: detail(body), Final: c.final(request.path, response.StatusCode)}
	if refused.Status == http.StatusTooManyRequests || refused.Status == http.StatusServiceUnavailable {
		return answer{}, &busyError{&refused, retryAfter(response.Header.Get("Retry-After"))}
	}
	return answer{}, &refused
}

// final says whether a request would be refused again. Servers but our worker
// answer 400 to whatever went wrong while they worked, out of memory included.
func (c *Client) final(path string, status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return path != futurePath || c.Capabilities().Worker
	}
	return false
}

// retryAfter reads whole seconds, at most a minute.
func retryAfter(text string) time.Duration {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, 60)) * time.Second
}

// detail is what a server says of an error: {"detail": "…"} or a list of
// {"msg": "…"}, else the text itself.
func detail(body []byte) string {
	var plain struct {
		Detail string `json:"detail"`
		Error  string `json:"error"`
	}
	if json.Unmarshal(body, &plain) == nil && plain.Detail+plain.Error != "" {
		return clip(plain.Detail + plain.Error)
	}
	var listed struct {
		Detail []struct {
			Message string `json:"msg"`
			Where   []any  `json:"loc"`
		} `json:"detail"`
	}
	if json.Unmarshal(body, &listed) == nil && len(listed.Detail) > 0 {
		return clip(fmt.Sprintf("%s (at %v)", listed.Detail[0].Message, listed.Detail[0].Where))
	}
	return clip(string(body))
}

// clip shortens a server's words for an error.
func clip(text string) string {
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	if len(text) <= 300 {
		return text
	}
	end := 300
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
