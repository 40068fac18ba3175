package engine

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/trainer/grpo"
)

// cut ends a connection without an answer.
func cut(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// trouble is what a server does to its n-th request (from 1) for an exchange.
type trouble func(n int, w http.ResponseWriter, next func())

func times(most int, do func(w http.ResponseWriter, next func())) trouble {
	return func(n int, w http.ResponseWriter, next func()) {
		if n <= most {
			do(w, next)
			return
		}
		next()
	}
}

func status(code int) func(http.ResponseWriter, func()) {
	return func(w http.ResponseWriter, _ func()) {
		http.Error(w, `{"detail":"trouble"}`, code)
	}
}

func drop(w http.ResponseWriter, _ func()) { cut(w) }

func text(kind, body string) func(http.ResponseWriter, func()) {
	return func(w http.ResponseWriter, _ func()) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(body))
	}
}

// TestTrouble drives one update through servers that fail in one way each. It
// must come through, with every request applied once, or say one clear error.
func TestTrouble(t *testing.T) {
	const always = 1 << 20
	cases := []struct {
		name    string
		where   string // exchange
		trouble trouble
		old     string // part of the error with the older server, "" = it comes through
		young   string // with the newer one
		lost    bool   // the error of the older server is ErrLost
	}{
		{"session twice cut", "create_session", times(2, drop), "", "", false},
		{"capabilities busy", "server-capabilities", times(3, status(429)), "", "", false},
		{"busy passes", "forward_backward-cross_entropy", times(2, status(503)), "", "", false},
		{"busy steps", "optim_step-1", times(2, status(429)), "", "", false},
		{"pass cut before the answer", "forward_backward-cross_entropy", times(1, drop), "state on the server is not known", "", true},
		{"step cut before the answer", "optim_step-1", times(1, drop), "state on the server is not known", "", true},
		{"pass failed inside", "forward_backward-cross_entropy", times(1, status(500)), "state on the server is not known", "", true},
		{"result cut", "retrieve_future-forward_backward-cross_entropy", times(3, drop), "", "", false},
		{"result pending", "retrieve_future-optim_step-1", times(5, status(408)), "", "", false},
		{"result pending, in words", "retrieve_future-optim_step-1", times(3, text("application/json", `{"type":"try_again","queue_state":"active"}`)), "", "", false},
		{"result failed", "retrieve_future-optim_step-1", times(always, status(400)), "trouble", "trouble", true},
		{"result failed, in words", "retrieve_future-optim_step-1", times(always, text("application/json", `{"error":"out of memory","category":"server"}`)), "out of memory", "out of memory", true},
		{"result forgotten", "retrieve_future-forward_backward-cross_entropy", times(always, status(404)), "forgot the request", "forgot the request", true},
		{"result of nobody knows what", "retrieve_future-forward_backward-cross_entropy", times(always, text("text/html", "<html>")), "read the result", "read the result", true},
		{"result cut short", "retrieve_future-forward_backward-cross_entropy", times(always, text("application/json", `{"loss_fn_outputs":[`)), "unexpected end", "unexpected end", true},
		{"result without rows", "retrieve_future-forward_backward-cross_entropy", times(always, text("application/json", `{"loss_fn_outputs":[]}`)), "answered 0 rows where 3 were sent", "answered 0 rows where 3 were sent", true},
		{"model gone", "optim_step-1", times(always, status(404)), "start again from the last saved state", "start again from the last saved state", true},
		{"step refused", "optim_step-1", times(always, status(422)), "422: trouble", "422: trouble", false},
		{"model failed inside", "create_model", times(1, status(500)), "whether it arrived is not known", "whether it arrived is not known", true},
		{"model busy", "create_model", times(2, status(503)), "", "", false},
		{"checkpoint cut before the answer", "save_weights", times(1, drop), "", "", false},
		{"archive cut", "download", times(2, drop), "", "", false},
		{"archive is a page", "download", times(always, text("text/html", "<html>")), "unpack the archive", "unpack the archive", false},
	}
	for _, server := range []string{oldServer, newServer} {
		for _, c := range cases {
			t.Run(server+"/"+c.name, func(t *testing.T) {
				p := newReplay(t, server)
				counts := map[string]int{}
				p.meddle = func(w http.ResponseWriter, r *http.Request, name string, next func()) {
					p.mu.Lock()
					counts[name]++
					n := counts[name]
					p.mu.Unlock()
					if name == c.where {
						c.trouble(n, w, next)
						return
					}
					next()
				}
				err := updateOnce(t, p.URL)
				want := c.old
				if server == newServer {
					want = c.young
				}
				if want == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, want)
				said := (*StatusError)(nil)
				assert.Equal(t, c.name == "step refused", errors.As(err, &said) && said.Final, "only what is wrong with a request is final")
				if server == oldServer {
					assert.Equal(t, c.lost, errors.Is(err, ErrLost), "%v", err)
				}
			})
		}
	}
}

// updateOnce is a short night. After an error that makes a model useless, the
// model must say so.
func updateOnce(t *testing.T, url string) (err error) {
	ctx := t.Context()
	c, err := Dial(ctx, url, quick())
	if err != nil {
		return err
	}
	defer c.Close()
	m, err := c.CreateModel(ctx, Spec{Base: recordedBase, Rank: 8, Seed: 7})
	if err != nil {
		return err
	}
	defer func() {
		if errors.Is(err, ErrLost) {
			_, again := m.SaveState(ctx, "after")
			assert.ErrorIs(t, again, ErrLost)
			_, again = m.Forward(ctx, rowsOf(t, "forward-cross_entropy"))
			assert.ErrorIs(t, again, ErrLost)
		}
	}()
	rows := rowsOf(t, "forward-cross_entropy")
	if _, err := m.Forward(ctx, rows); err != nil {
		return err
	}
	if _, err := m.ForwardBackward(ctx, rows, grpo.Loss{Fn: grpo.FnCrossEntropy}); err != nil {
		return err
	}
	if _, err := m.OptimStep(ctx, DefaultAdam(0.01)); err != nil {
		return err
	}
	if _, err := m.SaveState(ctx, "night-0001"); err != nil {
		return err
	}
	_, err = m.Export(ctx, "adapter-0001")
	return err
}

// TestCheckpointKept is a checkpoint that was made although the answer was lost:
// the name is taken, by us.
func TestCheckpointKept(t *testing.T) {
	for _, refused := range []int{http.StatusConflict, http.StatusUnprocessableEntity} {
		p := newReplay(t, newServer)
		var tries int
		p.meddle = func(w http.ResponseWriter, _ *http.Request, name string, next func()) {
			if name != "save_weights" {
				next()
				return
			}
			if tries++; tries == 1 {
				cut(w)
				return
			}
			status(refused)(w, nil)
		}
		c := dial(t, p.URL, quick())
		m, err := c.CreateModel(t.Context(), Spec{Base: recordedBase, Rank: 8, Seed: 7})
		require.NoError(t, err)
		state, err := m.SaveState(t.Context(), "night-0001")
		if refused == http.StatusConflict {
			require.NoError(t, err)
			assert.Equal(t, "tinker://"+m.ID+"/weights/night-0001", state)
		} else {
			require.ErrorContains(t, err, "422")
		}
		_, err = m.SaveState(t.Context(), "night-0001") // of somebody else: taken at the first try
		require.ErrorContains(t, err, strconv.Itoa(refused))
	}
}

// TestFreshConnections: what must not arrive twice has a connection of its own,
// so that none is closed by a server that tired of waiting just then.
func TestFreshConnections(t *testing.T) {
	p := newReplay(t, oldServer)
	from := map[string]string{}
	p.meddle = func(_ http.ResponseWriter, r *http.Request, name string, next func()) {
		p.mu.Lock()
		from[name] = r.RemoteAddr
		p.mu.Unlock()
		next()
	}
	require.NoError(t, updateOnce(t, p.URL))
	for _, once := range []string{"create_model", "forward_backward-cross_entropy", "optim_step-1"} {
		for name, address := range from {
			assert.Equal(t, name == once, address == from[once], "%s and %s", once, name)
		}
	}
	assert.Equal(t, from["server-capabilities"], from["download"], "others share one")
}

func TestServersThatAreNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, err = Dial(t.Context(), "http://"+address, quick())
	require.ErrorContains(t, err, "dial engine http://"+address)
	require.ErrorContains(t, err, "given up after")

	for _, bad := range []string{"", "localhost:8000", "ftp://host", "http://", "http://user:secret@host", "http://host?key=1"} {
		_, err := Dial(t.Context(), bad, quick())
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), "secret")
	}
}

// TestNoAnswer is a server that takes requests and says nothing.
func TestNoAnswer(t *testing.T) {
	p := newReplay(t, newServer)
	held := make(chan struct{})
	t.Cleanup(func() { close(held) })
	p.meddle = func(_ http.ResponseWriter, r *http.Request, name string, next func()) {
		if name != "retrieve_future-create_model" {
			next()
			return
		}
		select {
		case <-held:
		case <-r.Context().Done():
		}
	}
	o := quick()
	o.Timeout = 50 * time.Millisecond
	c := dial(t, p.URL, o)
	_, err := c.CreateModel(t.Context(), Spec{Base: recordedBase, Rank: 8, Seed: 7})
	require.ErrorContains(t, err, "no result within 50ms")
}

// TestHeldLine: a server that holds the line for longer than a request waits is
// not out of reach, however long it takes.
func TestHeldLine(t *testing.T) {
	p := newReplay(t, newServer)
	held := make(chan struct{})
	t.Cleanup(func() { close(held) })
	var polls atomic.Int32
	p.meddle = func(_ http.ResponseWriter, r *http.Request, name string, next func()) {
		if name == "retrieve_future-create_model" && polls.Add(1) <= 5 {
			select {
			case <-held:
			case <-r.Context().Done():
			}
			return
		}
		next()
	}
	o := quick()
	o.Patience = time.Nanosecond
	c := dial(t, p.URL, o)
	c.hold = 20 * time.Millisecond
	_, err := c.CreateModel(t.Context(), Spec{Base: recordedBase, Rank: 8, Seed: 7})
	require.NoError(t, err)
	assert.Equal(t, int32(6), polls.Load())
}

// TestSessionGone is a server that was restarted: its heartbeat says so, and
// what runs in the session ends.
func TestSessionGone(t *testing.T) {
	p := newReplay(t, newServer)
	var beats atomic.Int32
	p.meddle = func(w http.ResponseWriter, r *http.Request, name string, next func()) {
		if strings.HasSuffix(r.URL.Path, "session_heartbeat") {
			if beats.Add(1) > 1 {
				http.Error(w, `{"detail":"Session not found"}`, http.StatusNotFound)
				return
			}
			text("application/json", `{"type":"session_heartbeat"}`)(w, nil)
			return
		}
		next()
	}
	o := quick()
	o.Heartbeat = 5 * time.Millisecond
	c := dial(t, p.URL, o)
	require.Eventually(t, func() bool { return c.alive() != nil }, 5*time.Second, time.Millisecond)
	_, err := c.CreateModel(t.Context(), Spec{Base: recordedBase, Rank: 8, Seed: 7})
	require.ErrorIs(t, err, ErrLost)
	require.ErrorContains(t, err, "no longer knows session")
}

func TestAnswersTwice(t *testing.T) {
	p := newReplay(t, newServer)
	p.meddle = func(w http.ResponseWriter, _ *http.Request, name string, next func()) {
		next()
		if name == "retrieve_future-create_model" { // a second answer behind the first
			_, _ = w.Write(p.byName["retrieve_future-create_model"].Answer)
		}
	}
	c := dial(t, p.URL, quick())
	_, err := c.CreateModel(t.Context(), Spec{Base: recordedBase, Rank: 8, Seed: 7})
	require.ErrorContains(t, err, "after top-level value")
}

func TestOtherModel(t *testing.T) {
	for name, answer := range map[string]string{
		"of another model": `{"model_id":"model_3d1c0edd","base_model":"/models/other","lora_config":{"rank":8,"alpha":32}}`,
		"of rank 4":        `{"model_id":"model_3d1c0edd","base_model":"/models/tiny-qwen3","lora_config":{"rank":4,"alpha":32}}`,
		"of another name":  `{"model_id":"model_other","base_model":"/models/tiny-qwen3","lora_config":{"rank":8,"alpha":32}}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newReplay(t, newServer)
			p.meddle = func(w http.ResponseWriter, _ *http.Request, exchange string, next func()) {
				if exchange == "retrieve_future-create_model" {
					text("application/json", answer)(w, nil)
					return
				}
				next()
			}
			c := dial(t, p.URL, quick())
			_, err := c.CreateModel(t.Context(), Spec{Base: recordedBase, Rank: 8, Seed: 7})
			require.Error(t, err)
			if name == "of another model" {
				assert.ErrorContains(t, err, `made an adapter of "/models/other", not of "/models/tiny-qwen3"`)
			}
			if name != "of another name" {
				assert.True(t, slices.ContainsFunc(p.names(), func(n string) bool { return strings.HasPrefix(n, "unload_model") }), "what was made is taken back")
			}
		})
	}
	c := dial(t, newReplay(t, newServer).URL, quick())
	_, err := c.CreateModel(t.Context(), Spec{Base: "Qwen/Other", Rank: 8})
	require.ErrorContains(t, err, "serves /models/tiny-qwen3, not Qwen/Other")
}

// TestStopped is Ctrl-C in the middle of a pass.
func TestStopped(t *testing.T) {
	p := newReplay(t, newServer)
	ctx, cancel := context.WithCancel(t.Context())
	p.meddle = func(w http.ResponseWriter, _ *http.Request, name string, next func()) {
		if name == "retrieve_future-forward_backward-cross_entropy" {
			cancel()
			status(408)(w, nil)
			return
		}
		next()
	}
	c := dial(t, p.URL, quick())
	m, err := c.CreateModel(ctx, Spec{Base: recordedBase, Rank: 8, Seed: 7})
	require.NoError(t, err)
	at(t, p, m, "forward_backward-cross_entropy")
	_, err = m.ForwardBackward(ctx, rowsOf(t, "forward-cross_entropy"), grpo.Loss{Fn: grpo.FnCrossEntropy})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, ErrLost)
}
