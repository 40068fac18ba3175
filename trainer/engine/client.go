package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Options are how a server is spoken to. The zero value works.
type Options struct {
	Key       string            // API key; "" = none
	Wire      Wire              // generation of the protocol; "" = found out
	Normalize Normalization     // how the server sums; "" = as it says, else measured
	Tokens    int               // most tokens in one request, unless one row has more; 0 = 65,536
	Timeout   time.Duration     // longest wait for the result of one request; 0 = 1 h
	Patience  time.Duration     // how long a server may be out of reach before it is given up; 0 = 2 min
	Backoff   time.Duration     // pause before the first retry, doubled up to 10 s; 0 = 250 ms
	Heartbeat time.Duration     // between signs of life; 0 = 10 s (servers drop sessions after minutes)
	Transport http.RoundTripper // nil = http.DefaultTransport's settings
	Log       *slog.Logger      // nil = silent
}

func (o Options) withDefaults() Options {
	if o.Tokens <= 0 {
		o.Tokens = 1 << 16
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&o.Timeout, time.Hour}, {&o.Patience, 2 * time.Minute}, {&o.Backoff, 250 * time.Millisecond}, {&o.Heartbeat, 10 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Client is a session with one server. Its methods may be called from several
// goroutines; those of one [Model] take turns.
type Client struct {
	base    string // scheme://host[/path], no slash at the end
	options Options
	http    *http.Client
	anew    *http.Client // with a connection for each request
	caps    Capabilities
	session string
	hold    time.Duration // see the constant; tests have less time

	stop  context.CancelFunc
	beats sync.WaitGroup

	mu     sync.Mutex
	gone   error // the server dropped the session
	models int   // asked for
}

// Dial opens a session with the server at address (http://host:port) and keeps
// it alive until Close. The error says when there is no such server, or one that
// does not speak the protocol.
func Dial(ctx context.Context, address string, o Options) (*Client, error) {
	base, err := baseURL(address)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	c := &Client{base: base, options: o, hold: hold}
	c.http = &http.Client{Transport: transport(o, true), CheckRedirect: redirect}
	c.anew = &http.Client{Transport: transport(o, false), CheckRedirect: redirect}
	if err := c.learn(ctx); err != nil {
		return nil, fmt.Errorf("dial engine %s: %w", base, err)
	}
	if err := c.open(ctx); err != nil {
		return nil, fmt.Errorf("dial engine %s: %w", base, err)
	}
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	c.beats.Go(func() { c.beat(alive) })
	return c, nil
}

// Close ends the signs of life. Models that are not closed stay on the server
// until it drops the session.
func (c *Client) Close() error {
	c.stop()
	c.beats.Wait()
	c.http.CloseIdleConnections()
	return nil
}

// URL is the server's address.
func (c *Client) URL() string { return c.base }

func baseURL(address string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("dial engine: %q is not an address; write it as http://host:port", address)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("dial engine: %q carries more than scheme, host and path; pass the key apart", u.Redacted())
	}
	return strings.TrimSuffix(strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), "/api/v1"), nil
}

// transport keeps connections for the next request or not. A server that closes
// an idle one just then makes it unknown whether the request arrived.
func transport(o Options, keep bool) http.RoundTripper {
	if o.Transport != nil {
		return o.Transport
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes, t.DisableKeepAlives = 1<<16, !keep
	return t
}

// redirect follows a few, and keeps the key from other hosts.
func redirect(r *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("more than 5 redirects")
	}
	if r.URL.Host != via[0].URL.Host {
		r.Header.Del("X-Api-Key")
		r.Header.Del("Authorization")
	}
	return nil
}

func (c *Client) open(ctx context.Context) error {
	var out struct {
		ID    string  `json:"session_id"`
		Error *string `json:"error_message"`
	}
	in := map[string]any{"tags": []string{"tracegrad"}, "sdk_version": "tracegrad/0", "type": "create_session"}
	if err := c.post(ctx, "create_session", in, &out); err != nil {
		return err
	}
	if out.ID == "" {
		if out.Error != nil {
			return fmt.Errorf("create session: the server says: %s", clip(*out.Error))
		}
		return errors.New("create session: the answer has no session_id")
	}
	c.session = out.ID
	return nil
}

// beat sends signs of life. One that fails is followed by the next; a session
// that the server no longer knows ends everything that runs in it.
func (c *Client) beat(ctx context.Context) {
	every := time.NewTicker(c.options.Heartbeat)
	defer every.Stop()
	body := map[string]any{"session_id": c.session, "type": "session_heartbeat"}
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		once, cancel := context.WithTimeout(ctx, c.options.Heartbeat)
		_, err := c.once(once, jsonCall("session_heartbeat", body))
		cancel()
		var refused *StatusError
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
			c.drop(fmt.Errorf("the server no longer knows session %s (restarted?): %w", c.session, ErrLost))
			return
		default:
			c.options.Log.Warn("heartbeat failed", "engine", c.base, "error", err)
		}
	}
}

func (c *Client) drop(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = err
}

func (c *Client) alive() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone
}
