package otlp

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	firstPause    = 100 * time.Millisecond
	longestPause  = 5 * time.Second
	longestDemand = time.Minute // a Retry-After above this is cut

	defaultAttempts     = 10
	unreachableAttempts = 5 // nobody answers: about 1.5 s, then it is better to say so
)

// backoff says how long to pause between attempts.
type backoff struct {
	attempts int
	jitter   func() float64 // in [0, 1)
}

// pause is the time before the attempt after the n-th: doubling, half of it
// random, and at least what the server demanded.
func (b backoff) pause(n int, demanded time.Duration) time.Duration {
	d := longestPause
	if shift := n - 1; shift < 6 {
		d = min(firstPause<<shift, longestPause)
	}
	d = d/2 + time.Duration(b.jitter()*float64(d/2))
	return max(d, min(demanded, longestDemand))
}

// limit is how often a request that failed with err is attempted in all.
func (b backoff) limit(err retryableError) int {
	if err.unreachable {
		return min(b.attempts, unreachableAttempts)
	}
	return b.attempts
}

// retryable lists the statuses that OTLP/HTTP declares retryable.
func retryable(code int) bool {
	switch code {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter reads a Retry-After header: seconds or a date. 0 = none.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
		return time.Duration(min(max(seconds, 0), int(longestDemand/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// retryableError marks an attempt that may succeed later.
type retryableError struct {
	err         error
	after       time.Duration // what the server demanded
	unreachable bool          // there was no answer
}

func (e retryableError) Error() string { return e.err.Error() }
func (e retryableError) Unwrap() error { return e.err }

// refusedError is an answer that is not a success.
type refusedError struct {
	url     string
	code    int
	message string
}

func (e *refusedError) Error() string {
	msg := fmt.Sprintf("post %s: %d %s", e.url, e.code, http.StatusText(e.code))
	if e.message != "" {
		msg += ": " + e.message
	}
	return msg
}

// final reports whether the following requests would be refused as well: the
// answer is about the endpoint or the sender, not about this request's content.
func (e *refusedError) final() bool {
	switch e.code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusInternalServerError:
		return false
	}
	return true
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
