package doctor

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/tracegrad/tracegrad/internal/otlp"
)

// Wait says when a doctor that listens has heard enough.
type Wait struct {
	Most  time.Duration // since it began; 0 = no limit
	Quiet time.Duration // since something came, once an agent was heard; 0 = no limit
	Whole time.Duration // the same, if each run that was heard has its root; 0 = Quiet
}

// Listen takes OTLP on l until an agent was heard and it is quiet, or ctx ends.
// progress is called about five times a second; what came after [ErrEnough] is
// forgotten.
func Listen(ctx context.Context, l net.Listener, wait Wait, progress func(*Exam)) (*Seen, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &hearing{exam: NewExam(), last: time.Now()}
	h.reader = NewReader(h.exam)
	done := make(chan error, 1)
	go func() { done <- otlp.Receive(ctx, l, h.take) }()
	begin := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return h.exam.Seen(), err
		case now := <-tick.C:
			if h.over(now, begin, wait, progress) {
				cancel()
			}
		}
	}
}

// hearing is an exam of what comes over the network.
type hearing struct {
	mu     sync.Mutex
	exam   *Exam
	reader *Reader
	last   time.Time
}

func (h *hearing) take(req otlp.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.reader.Take(req) // enough is enough
	h.last = time.Now()
}

// over says whether enough was heard.
func (h *hearing) over(now, begin time.Time, wait Wait, progress func(*Exam)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	progress(h.exam)
	if wait.Most > 0 && now.Sub(begin) >= wait.Most {
		return true
	}
	if spans, _, records := h.exam.Sofar(); spans+records == 0 {
		return false
	}
	quiet := wait.Quiet
	if wait.Whole > 0 && h.exam.whole() {
		quiet = wait.Whole
	}
	return quiet > 0 && now.Sub(h.last) >= quiet
}
