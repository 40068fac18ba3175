package reroll

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Client asks a server that speaks OpenAI's protocol. It is safe for concurrent
// use.
type Client struct {
	// Key is sent as a bearer token; "" = none.
	Key string
	// Pause waits between tries; nil = it really waits.
	Pause func(ctx context.Context, d time.Duration) error

	root  string // without /v1
	http  *http.Client
	plain atomic.Bool // the server refuses what is beyond the protocol
}

// Bounds of a request.
const (
	attempts       = 6
	firstPause     = time.Second
	longestPause   = 30 * time.Second
	requestTimeout = 10 * time.Minute
	maxAnswer      = 64 << 20
)

// NewClient is a client of the server at address, such as
// http://127.0.0.1:8000/v1; /v1 may be left out.
func NewClient(address string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is not the url of a server: use one such as http://127.0.0.1:8000/v1", address)
	}
	root := strings.TrimSuffix(strings.TrimRight(address, "/"), "/v1")
	return &Client{root: root, http: &http.Client{Timeout: requestTimeout}}, nil
}

// URL is the address of the server, without /v1.
func (c *Client) URL() string { return c.root }

// RefusedError is a request that the server understood and refused: asking again
// would not help.
type RefusedError struct {
	Status  int
	Message string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("server answered %d: %s", e.Status, e.Message)
}

// UnreachableError is a server that does not answer, or only with trouble of its
// own: another try may do.
type UnreachableError struct{ cause error }

func (e *UnreachableError) Error() string { return e.cause.Error() }
func (e *UnreachableError) Unwrap() error { return e.cause }

// Models are the names of the models that the server has.
func (c *Client) Models(ctx context.Context) ([]string, error) {
	body, err := c.once(ctx, http.MethodGet, "/v1/models", nil)
	if err != nil {
		return nil, fmt.Errorf("list models of %s: %w", c.root, err)
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("list models of %s: %w: is it a server of OpenAI's protocol?", c.root, err)
	}
	var names []string
	for _, m := range list.Data {
		names = append(names, m.ID)
	}
	return names, nil
}

// chat asks for one reply. It tries again after trouble that may pass.
func (c *Client) chat(ctx context.Context, r request) (answer, error) {
	pause := firstPause
	for try := 1; ; try++ {
		r.Logprobs, r.ReturnTokenIDs = !c.plain.Load(), !c.plain.Load()
		text, err := json.Marshal(r)
		if err != nil {
			return answer{}, err
		}
		body, err := c.once(ctx, http.MethodPost, "/v1/chat/completions", text)
		var refused *RefusedError
		var down *UnreachableError
		switch {
		case err == nil:
			return parseAnswer(body)
		case errors.As(err, &refused) && r.ReturnTokenIDs && beyondProtocol(refused):
			c.plain.Store(true)
			continue
		case !errors.As(err, &down) || try == attempts || ctx.Err() != nil:
			return answer{}, err
		}
		var wait *waitError
		if errors.As(err, &wait) {
			pause = max(pause, wait.after)
		}
		if err := c.pause(ctx, min(pause, longestPause)); err != nil {
			return answer{}, err
		}
		pause *= 2
	}
}

// beyondProtocol reports that a server does not know what vLLM knows.
func beyondProtocol(e *RefusedError) bool {
	return (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity) &&
		(strings.Contains(e.Message, "return_token_ids") || strings.Contains(e.Message, "logprobs"))
}

func (c *Client) pause(ctx context.Context, d time.Duration) error {
	if c.Pause != nil {
		return c.Pause(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// waitError is the server's wish to be asked later.
type waitError struct {
	cause error
	after time.Duration
}

func (e *waitError) Error() string { return e.cause.Error() }
func (e *waitError) Unwrap() error { return e.cause }

func (c *Client) once(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.root+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.Key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &UnreachableError{fmt.Errorf("read answer: %w", err)}
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("read answer: it has more than %d bytes", maxAnswer)
	case resp.StatusCode < 300:
		return text, nil
	}
	said := &RefusedError{resp.StatusCode, messageOf(text)}
	if s := resp.StatusCode; s >= 500 || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return nil, &UnreachableError{&waitError{said, time.Duration(seconds) * time.Second}}
	}
	return nil, said
}

const maxMessage = 300

// messageOf is what an error's body says, in one line.
func messageOf(body []byte) string {
	var wire struct {
		Error   json.RawMessage `json:"error"`
		Detail  json.RawMessage `json:"detail"`
		Message string          `json:"message"`
	}
	text := string(body)
	if json.Unmarshal(body, &wire) == nil {
		var inner struct {
			Message string `json:"message"`
		}
		_ = json.Unmarshal(wire.Error, &inner) // a text has no message
		text = cmp.Or(inner.Message, wire.Message, strings.Trim(string(wire.Error), `"`), strings.Trim(string(wire.Detail), `"`), text)
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + " …"
	}
	return cmp.Or(text, "nothing more")
}
