package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// hold is the longest single wait for a result; servers hold the line for up to
// 5 minutes, proxies often for less.
const hold = 75 * time.Second

const futurePath = "retrieve_future"

// queued is what every request that takes time is answered with at once.
type queued struct {
	ID    string `json:"request_id"`
	Model string `json:"model_id"`
}

// submit queues a request.
func (c *Client) submit(ctx context.Context, request call) (queued, error) {
	var out queued
	got, err := c.do(ctx, request)
	if err != nil {
		return out, err
	}
	if err := decode(request.path, got, &out); err != nil {
		return out, err
	}
	if out.ID == "" {
		return out, fmt.Errorf("%s: the answer has no request_id", request.path)
	}
	return out, nil
}

// errPending is an answer without a result yet.
var errPending = errors.New("no result yet")

// result waits for what a queued request comes to, at most Options.Timeout. A
// *StatusError of 400 is the server's refusal of the request itself.
func (c *Client) result(ctx context.Context, path, id string, limit int64) (answer, error) {
	request := jsonCall(futurePath, map[string]string{"request_id": id})
	request.again, request.held, request.within, request.limit = true, true, c.hold, limit
	if c.Capabilities().Wire == Protobuf {
		request.accept = protobuf + ", application/json"
	}
	limited, cancel := context.WithTimeoutCause(ctx, c.options.Timeout, fmt.Errorf("no result within %s", c.options.Timeout))
	defer cancel()
	for {
		asked := time.Now()
		got, err := c.poll(limited, request)
		switch {
		case err == nil:
			return got, nil
		case errors.Is(err, errPending):
			if quick := c.options.Backoff - time.Since(asked); quick > 0 { // a server that does not hold the line
				sleep(limited, quick)
			}
			if limited.Err() == nil {
				continue
			}
			err = context.Cause(limited)
		}
		return answer{}, fmt.Errorf("%s: %w", path, err)
	}
}

// poll asks once; errPending if there is no result yet.
func (c *Client) poll(ctx context.Context, request call) (answer, error) {
	got, err := c.do(ctx, request)
	var refused *StatusError
	switch {
	case errors.Is(err, errPending), errors.As(err, &refused) && refused.Status == http.StatusRequestTimeout:
		return answer{}, errPending
	case errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusGone):
		return answer{}, fmt.Errorf("the server forgot the request (restarted?): %w", ErrLost)
	case err != nil:
		return answer{}, err
	case !strings.HasPrefix(got.kind, "application/json"):
		return got, nil
	}
	var said struct {
		Type  string `json:"type"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(got.body, &said); err != nil {
		return answer{}, fmt.Errorf("read the result: %w", err)
	}
	switch {
	case said.Type == "try_again":
		return answer{}, errPending
	case said.Error != "":
		return answer{}, &StatusError{Path: request.path, Status: http.StatusBadRequest, Detail: clip(said.Error)}
	}
	return got, nil
}
