package gatewayreceiver

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/tracegrad/tracegrad/internal/bundle"
	"github.com/tracegrad/tracegrad/receiver/gatewayreceiver/internal/openai"
)

// outcome is what became of a call: the attribute of the metric, and the
// error.type of the span where the upstream gave none.
type outcome string

const (
	outcomeOK          outcome = "ok"
	outcomeUpstream    outcome = "upstream_error" // an error status, or an error in the stream
	outcomeUnreachable outcome = "unreachable"    // no answer
	outcomeTimeout     outcome = "timeout"        // upstream::timeout passed
	outcomeCut         outcome = "response_cut"   // the answer ended before it was complete
	outcomeCanceled    outcome = "canceled"       // the agent went away
	outcomeRejected    outcome = "rejected"       // the gateway refused the request
)

// call is one chat completion: what was asked, and what was seen of the answer.
// It belongs to the request's goroutine until it is queued.
type call struct {
	trace        traceContext
	start, end   time.Time
	agent        string
	conversation string

	request  []byte // as the agent sent it
	guidance served // the bundle whose text the request has; none = nil
	injected []bundle.Injection
	routing  *routing      // to an adapter; nil = to the model that was asked for
	edits    []openai.Edit // of the answer, on its way to the agent

	asked bool        // for the ids and log-probabilities of its tokens
	plain []byte      // the body that does not ask; nil = nothing was added
	strip openai.Edit // takes what was added to the request out of the answer; nil = nothing was

	status     int // of the upstream; 0 = it did not answer
	firstByte  time.Time
	streamed   bool
	stream     *openai.Stream // a streamed answer, until settle
	body       []byte         // another one, up to the limit
	tooLarge   bool
	unreadable bool  // the answer's encoding is not understood
	ended      bool  // the answer's last byte was read
	failure    error // why there was no answer, or why it broke off
	canceled   bool  // the agent went away, or the gateway had to stop

	answer  *openai.Answer // set by settle or read
	tokens  openai.Tokens  // set by read
	untold  string         // why there are none; "" = there are, or nobody asked
	outcome outcome
	held    int64 // bytes counted while it is queued
}

// bundle is what served the call, for its span: the guidance that was added, else
// the adapter that answered. The nil bundle = neither.
func (c *call) bundle() served {
	switch {
	case c.guidance.bundle != nil:
		return c.guidance
	case c.adapter() != "":
		return c.routing.served
	}
	return served{}
}

// adapter is the name of the adapter that answered; "" = none.
func (c *call) adapter() string {
	if c.routing == nil || c.routing.unknown {
		return ""
	}
	return c.routing.adapter
}

// watch lets the answer's bytes go by. limit is for content; 0 = none is kept.
func (c *call) watch(res *http.Response, limit int, now func() time.Time, streaming func()) {
	c.status = res.StatusCode
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.Header.Get("Content-Encoding") != "":
		c.unreadable = true
	case kind == "text/event-stream":
		c.streamed, c.stream = true, openai.NewStream(limit)
		streaming()
	}
	limit = max(limit, maxBareAnswer)
	if c.asked {
		limit += maxTokenBytes
	}
	res.Body = &watched{ReadCloser: res.Body, call: c, now: now, limit: limit}
}

// maxBareAnswer is what is read of an answer that was not streamed where no
// content is to be kept: enough for its id, usage and error.
const maxBareAnswer = 64 << 10

// maxTokenBytes is what is read more of one where tokens were asked for: their
// JSON is much longer than what they say.
const maxTokenBytes = 24 << 20

// watched is an answer's body. Reading never fails because of what watches.
type watched struct {
	io.ReadCloser
	call  *call
	now   func() time.Time
	limit int
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	c := w.call
	if n > 0 {
		if c.firstByte.IsZero() {
			c.firstByte = w.now()
		}
		switch {
		case c.stream != nil:
			_, _ = c.stream.Write(p[:n]) // never fails
		case c.unreadable || c.tooLarge:
		case len(c.body)+n > w.limit:
			c.tooLarge, c.body = true, nil
		default:
			c.body = append(c.body, p[:n]...)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		c.ended = true
	case err != nil:
		c.failure = err
	}
	return n, err
}

// settle decides what became of the call, once it is over.
func (c *call) settle() {
	whole := c.ended
	if c.stream != nil {
		c.answer, c.stream = c.stream.Answer(), nil
		whole = c.answer.Whole() // after the end mark, nobody waits for what follows
	}
	switch {
	case c.outcome != "": // decided before
	case c.status >= http.StatusBadRequest || (c.answer != nil && c.answer.Failure != nil):
		c.outcome = outcomeUpstream
	case c.status != 0 && whole:
		c.outcome = outcomeOK
	case c.ended: // in order, and yet without its end mark
		c.outcome = outcomeCut
	case errors.Is(c.failure, context.DeadlineExceeded):
		c.outcome = outcomeTimeout
	case c.canceled, c.status != 0 && c.failure == nil: // the agent's side broke, not the upstream's
		c.outcome = outcomeCanceled
	case c.status == 0:
		c.outcome = outcomeUnreachable
	default:
		c.outcome = outcomeCut
	}
}

// read parses an answer that was not streamed, and takes over its tokens. It is
// kept out of settle, which runs while the agent may wait to send its next call.
func (c *call) read(limit int) {
	if c.answer == nil {
		c.readWhole(limit)
	}
	if c.asked && c.status > 0 && c.status < http.StatusBadRequest {
		c.tokens, c.untold = c.answer.Tokens()
	}
}

func (c *call) readWhole(limit int) {
	if len(c.body) == 0 {
		c.answer = &openai.Answer{Truncated: c.tooLarge || c.unreadable}
		return
	}
	c.answer, _ = openai.ParseAnswer(c.body, limit)
	c.body = nil
	if c.answer.Failure != nil && c.outcome == outcomeOK {
		c.outcome = outcomeUpstream
	}
}

// size is what the call holds while it is queued.
func (c *call) size() int64 {
	n := 4096 + len(c.request) + len(c.body)
	for _, in := range c.injected {
		n += len(in.Text)
	}
	if c.answer == nil {
		return int64(n)
	}
	n += 4 * c.answer.TokenCount()
	for _, ch := range c.answer.Choices {
		n += 256 + ch.Content.Len() + ch.Reasoning.Len() + ch.Refusal.Len()
		for _, call := range ch.Calls {
			n += 128 + call.Arguments.Len()
		}
	}
	return int64(n)
}
