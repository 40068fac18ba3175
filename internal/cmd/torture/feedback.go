package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// verdicts a round; each is sent by itself, as an application does.
const verdictsPerRound = 40

// verdict is a fact about a run, as the feedback receiver takes it.
type verdict struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Value   bool   `json:"value"`
	TraceID string `json:"trace_id"`
}

// judgeRuns posts users' verdicts about runs until each was accepted or given
// up. They come whenever users feel like it: before the run's spans, and after.
func (s *senders) judgeRuns(ctx context.Context, r *rand.Rand, traces []string, within time.Duration) error {
	var wait sync.WaitGroup
	failed := make(chan error, verdictsPerRound)
	for range verdictsPerRound {
		s.verdicts++
		v := verdict{fmt.Sprintf("verdict-%d", s.verdicts), "solved", r.IntN(2) == 0, traces[r.IntN(len(traces))]}
		at, gives, to := time.Duration(r.Int64N(int64(within))), r.Float64() < giveUp, s.fleet[r.IntN(len(s.fleet))]
		s.ledger.PlanFact(v.ID)
		wait.Go(func() {
			err := sleep(ctx, at)
			if err == nil {
				err = s.persist(ctx, gives, func(ctx context.Context) error { return s.post(ctx, to, v) })
			}
			failed <- err
		})
	}
	wait.Wait()
	return first(failed)
}

// post sends a verdict and notes when it is accepted.
func (s *senders) post(ctx context.Context, m *member, v verdict) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.to.Load().feedback, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errNoAnswer, err)
	case res.StatusCode == http.StatusOK:
		s.ledger.AckedFact(v.ID)
		return nil
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("%w: %s: %s", errNoAnswer, res.Status, said)
	}
	return fmt.Errorf("%s refused a verdict: %s: %s", m.name, res.Status, said)
}

// feedbackURL is where a Collector takes verdicts.
func feedbackURL(c *localcollector.Collector) string {
	return c.URL(localcollector.Feedback) + "/v1/feedback"
}
