package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// MaxRequestBytes is the largest protobuf body that is sent. A larger request
// is split: the Collector refuses HTTP bodies above 20 MiB by default.
const MaxRequestBytes = 16 << 20

// Options say where and how to replay. Only Endpoint is required.
type Options struct {
	Endpoint string            // base URL, such as http://127.0.0.1:4318; /v1/traces and /v1/logs are appended
	Headers  map[string]string // sent with every request, such as Authorization

	KeepTimes   bool    // default: one shift for all of the source, so that it ends now
	Concurrency int     // requests in flight; up to 1 = one after the other, in order
	Rate        float64 // requests per second at most; 0 = as fast as they are answered
	Attempts    int     // per request, with growing pauses; 0 = 10

	OnProgress func(Progress) // after each request, never concurrently
	OnError    func(error)    // each line, file or request that was skipped, never concurrently

	Client *http.Client                               // nil = a client with a timeout of a minute
	Now    func() time.Time                           // nil = time.Now
	Sleep  func(context.Context, time.Duration) error // nil = wait, or return early with the context's error
	Jitter func() float64                             // in [0, 1); nil = random
}

// Progress is how far a replay is.
type Progress struct {
	Request  Request  // what was answered last
	Done     int      // requests of the source that were sent or given up
	Contents Contents // all of the source
}

// Report is what a replay did.
type Report struct {
	Files      int   `json:"files"`
	Requests   int   `json:"requests"` // accepted by the endpoint
	Spans      int   `json:"spans"`
	LogRecords int   `json:"log_records"`
	Bytes      int64 `json:"bytes"`      // protobuf, before gzip
	SentBytes  int64 `json:"sent_bytes"` // gzip, repeats included
	Retries    int   `json:"retries"`

	RejectedSpans      int64  `json:"rejected_spans"` // by partial_success
	RejectedLogRecords int64  `json:"rejected_log_records"`
	RejectedReason     string `json:"rejected_reason,omitempty"` // the first one given

	Refused int `json:"refused"` // requests that the endpoint would not take
	Invalid int `json:"invalid"` // lines or files that could not be read

	ShiftSeconds float64 `json:"shift_seconds"` // added to every time
	Seconds      float64 `json:"seconds"`
}

// Complete reports whether everything in the source was accepted.
func (r Report) Complete() bool {
	return r.Refused == 0 && r.Invalid == 0 && r.RejectedSpans == 0 && r.RejectedLogRecords == 0
}

// Replay sends every request of src to an OTLP/HTTP endpoint. It reads src
// twice: first to find where it ends in time, then to send.
//
// A line that cannot be read and a request that the endpoint refuses are
// counted, handed to OnError and skipped. The error is set when going on makes
// no sense: the context ended, or the endpoint is not there or not OTLP/HTTP.
// The report is valid in every case.
func Replay(ctx context.Context, src Source, opt Options) (Report, error) {
	post, err := newPoster(opt)
	if err != nil {
		return Report{}, err
	}
	r := &replay{opt: opt, post: post, contents: Scan(src)}
	r.report.Files = len(r.contents.Files)
	start := post.now()
	if !opt.KeepTimes {
		r.shift = shiftTo(start, r.contents.Last)
		r.report.ShiftSeconds = r.shift.Seconds()
	}
	err = r.run(ctx, src, start)
	r.report.Seconds = post.now().Sub(start).Seconds()
	return r.report, err
}

type replay struct {
	opt      Options
	post     *poster
	contents Contents
	shift    time.Duration

	mu     sync.Mutex
	report Report
	done   int
}

func (r *replay) run(parent context.Context, src Source, start time.Time) error {
	group, ctx := errgroup.WithContext(parent)
	group.SetLimit(max(r.opt.Concurrency, 1))
	sent := 0
	for req, err := range src {
		if err != nil {
			r.skip(err, &r.report.Invalid)
			continue
		}
		if r.pace(ctx, start, sent) != nil {
			break
		}
		sent++
		group.Go(func() error { return r.send(ctx, req) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(parent)
}

// pace waits until the n-th request is due.
func (r *replay) pace(ctx context.Context, start time.Time, n int) error {
	if ctx.Err() == nil && r.opt.Rate > 0 {
		due := start.Add(time.Duration(float64(n) / r.opt.Rate * float64(time.Second)))
		if wait := due.Sub(r.post.now()); wait > 0 {
			return r.post.sleep(ctx, wait)
		}
	}
	return ctx.Err()
}

func (r *replay) send(ctx context.Context, req Request) error {
	req.shift(r.shift)
	if err := r.sendParts(ctx, req); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if r.opt.OnProgress != nil {
		r.opt.OnProgress(Progress{Request: req, Done: r.done, Contents: r.contents})
	}
	return nil
}

// sendParts sends req whole, or in halves while it is too large.
func (r *replay) sendParts(ctx context.Context, req Request) error {
	body, err := req.marshal()
	if err != nil {
		return fmt.Errorf("%s:%d: encode request: %w", req.File, req.Line, err)
	}
	if len(body) > MaxRequestBytes && req.Items() > 1 {
		for _, half := range req.halve() {
			if err := r.sendParts(ctx, half); err != nil {
				return err
			}
		}
		return nil
	}
	res, err := r.post.send(ctx, req.Signal, body)
	r.count(req, int64(len(body)), res, err == nil)
	if refused := (*refusedError)(nil); errors.As(err, &refused) && !refused.final() {
		r.skip(fmt.Errorf("%s:%d: %w", req.File, req.Line, err), &r.report.Refused)
		return nil
	}
	return err
}

func (r *replay) count(req Request, bytes int64, res result, accepted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Retries += res.retries
	r.report.SentBytes += res.sentBytes
	if !accepted {
		return
	}
	r.report.Requests++
	r.report.Bytes += bytes
	if req.Signal == Logs {
		r.report.LogRecords += req.Items()
		r.report.RejectedLogRecords += res.rejected
	} else {
		r.report.Spans += req.Items()
		r.report.RejectedSpans += res.rejected
	}
	if r.report.RejectedReason == "" && res.rejected > 0 {
		r.report.RejectedReason = res.reason
	}
}

func (r *replay) skip(err error, counter *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*counter++
	if r.opt.OnError != nil {
		r.opt.OnError(err)
	}
}
