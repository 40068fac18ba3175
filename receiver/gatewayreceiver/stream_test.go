package gatewayreceiver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/metadatatest"
)

const helloStream = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`

func chunk(text string) string {
	return fmt.Sprintf("data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", text)
}

// stepped is an upstream that streams what it is told to, when it is told to.
type stepped struct {
	send chan string
	gone chan struct{} // closed when the gateway ends the call
}

func newStepped() *stepped { return &stepped{send: make(chan string), gone: make(chan struct{})} }

func (s *stepped) serve(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a server sees that its client is gone once it has the body
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		select {
		case text, ok := <-s.send:
			if !ok {
				return
			}
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			close(s.gone)
			return
		}
	}
}

func (b *bench) assertStreams(want int64) {
	b.t.Helper()
	metadatatest.AssertEqualReceiverLlmGatewayActiveStreams(b.t.(*testing.T), b.telemetry,
		[]metricdata.DataPoint[int64]{{Value: want}}, metricdatatest.IgnoreTimestamp())
}

// Each event reaches the agent before the upstream sends the next.
func TestStreamIsFlushed(t *testing.T) {
	up := newStepped()
	sink := new(consumertest.TracesSink)
	b := start(t, up.serve, sink, nil)
	done := make(chan struct{})
	var res *http.Response
	go func() {
		defer close(done)
		var err error
		res, err = http.DefaultClient.Do(b.request(context.Background(), helloStream))
		assert.NoError(t, err)
	}()
	up.send <- chunk("0")
	<-done
	r := bufio.NewReader(res.Body)
	for i := range 5 {
		if i > 0 {
			up.send <- chunk(fmt.Sprint(i))
		}
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, chunk(fmt.Sprint(i)), line+"\n")
		_, _ = r.ReadString('\n')
		b.assertStreams(1)
	}
	up.send <- "data: [DONE]\n\n"
	close(up.send)
	_, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	s := b.span(sink)
	b.assertStreams(0)
	b.assertOutcome(outcomeOK)
	assert.JSONEq(t, `[{"role":"assistant","parts":[{"type":"text","content":"01234"}]}]`, attr(s, "gen_ai.output.messages").(string))
	assert.Equal(t, ptrace.StatusCodeUnset, s.Status().Code())
}

func TestAgentGoesAway(t *testing.T) {
	up := newStepped()
	sink := new(consumertest.TracesSink)
	b := start(t, up.serve, sink, nil)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { up.send <- chunk("The ") }()
	res, err := http.DefaultClient.Do(b.request(ctx, helloStream))
	require.NoError(t, err)
	_, err = res.Body.Read(make([]byte, 10))
	require.NoError(t, err)
	cancel()
	<-up.gone // the upstream's call is ended, or this waits for ever
	_ = res.Body.Close()

	s := b.span(sink)
	b.assertOutcome(outcomeCanceled)
	assert.Equal(t, "canceled", attr(s, "error.type"))
	assert.Equal(t, ptrace.StatusCodeError, s.Status().Code())
	assert.JSONEq(t, `[{"role":"assistant","parts":[{"type":"text","content":"The "}]}]`, attr(s, "gen_ai.output.messages").(string))
	b.assertStreams(0)
}

// An agent that hangs up after the end mark has had its answer.
func TestAgentGoesAwayAfterTheEnd(t *testing.T) {
	up := newStepped()
	sink := new(consumertest.TracesSink)
	b := start(t, up.serve, sink, nil)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { up.send <- chunk("Hi") + "data: [DONE]\n\n" }()
	res, err := http.DefaultClient.Do(b.request(ctx, helloStream))
	require.NoError(t, err)
	r := bufio.NewReader(res.Body)
	for line := ""; !strings.Contains(line, "[DONE]"); {
		line, err = r.ReadString('\n')
		require.NoError(t, err)
	}
	cancel()
	<-up.gone
	_ = res.Body.Close()
	assert.Nil(t, attr(b.span(sink), "error.type"))
	b.assertOutcome(outcomeOK)
}

// An aborted stream, as it was on the wire: the agent sees that it broke off.
func TestUpstreamBreaksOff(t *testing.T) {
	wire, err := os.ReadFile("testdata/vllm/abort_mid_stream.chunked")
	require.NoError(t, err)
	sink := new(consumertest.TracesSink)
	b := start(t, func(w http.ResponseWriter, _ *http.Request) { hijack(t, w, wire) }, sink, nil)
	res, err := http.DefaultClient.Do(b.request(context.Background(), helloStream))
	require.NoError(t, err)
	_, err = io.ReadAll(res.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_ = res.Body.Close()

	s := b.span(sink)
	b.assertOutcome(outcomeCut)
	assert.Equal(t, "response_cut", attr(s, "error.type"))
	assert.Equal(t, "the answer ended before it was complete", s.Status().Message())
	assert.Equal(t, "chatcmpl-aborted-1", attr(s, "gen_ai.response.id"))
	assert.JSONEq(t, `[{"role":"assistant","parts":[{"type":"text","content":"city 3 skipip"}]}]`, attr(s, "gen_ai.output.messages").(string))
}

// A stream that ends without end mark and finish reason is cut, however clean
// the connection's end was.
func TestUpstreamEndsEarly(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"stream": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, chunk("The"))
		},
		"empty stream": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/event-stream") },
		"plain": func(w http.ResponseWriter, _ *http.Request) {
			hijack(t, w, []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"id\":"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			sink := new(consumertest.TracesSink)
			b := start(t, serve, sink, nil)
			res, err := http.DefaultClient.Do(b.request(context.Background(), helloStream))
			if err == nil { // a short answer may break off before its head is sent
				_, _ = io.ReadAll(res.Body)
				_ = res.Body.Close()
			}
			assert.Equal(t, "response_cut", attr(b.span(sink), "error.type"))
			b.assertOutcome(outcomeCut)
		})
	}
}

func TestErrorInTheStream(t *testing.T) {
	sink := new(consumertest.TracesSink)
	b := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, chunk("The")+"data: {\"error\":{\"message\":\"engine died\",\"type\":\"InternalServerError\",\"code\":500}}\n\ndata: [DONE]\n\n")
	}, sink, nil)
	b.post(helloStream)
	s := b.span(sink)
	b.assertOutcome(outcomeUpstream)
	assert.Equal(t, "InternalServerError", attr(s, "error.type"))
	assert.Equal(t, "engine died", s.Status().Message())
	assert.JSONEq(t, `[{"role":"assistant","parts":[{"type":"text","content":"The"}]}]`, attr(s, "gen_ai.output.messages").(string))
}

// hijack writes bytes to the connection and breaks it.
func hijack(t *testing.T, w http.ResponseWriter, wire []byte) {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if !assert.NoError(t, err) {
		return
	}
	_, err = conn.Write(wire)
	assert.NoError(t, err)
	assert.NoError(t, conn.(*net.TCPConn).CloseWrite())
	_, _ = io.Copy(io.Discard, conn) // until the gateway has closed its side
	_ = conn.Close()
}
