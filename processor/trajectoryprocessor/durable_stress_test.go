package trajectoryprocessor

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestManySendersAndManyCrashes: in real time, with requests of several traces.
func TestManySendersAndManyCrashes(t *testing.T) {
	cfg := func() *Config {
		c := defaults()
		c.RootGrace, c.Idle, c.FlushInterval, c.LateWindow = 30*time.Millisecond, 200*time.Millisecond, 20*time.Millisecond, 20*time.Second
		return c
	}
	d := emptyDisk()
	var out []ptrace.Traces
	acked := map[uint32]int{}
	var mu sync.Mutex
	serial := uint32(0)
	for range 12 {
		l := beginWith(t, d, cfg(), nil)
		var wg sync.WaitGroup
		for range 6 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for !l.sink.disk.isDead() {
					mu.Lock()
					id := serial
					serial += 2
					mu.Unlock()
					reqs := []ptrace.Traces{}
					for k := range byte(4) {
						td := wide(request(chat(1, 2+k, 1)), id)
						wide(request(chat(1, 2+k, 1)), id+1).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
						reqs = append(reqs, td)
					}
					td := wide(request(agent(1, 1, 0)), id)
					wide(request(agent(1, 1, 0)), id+1).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
					reqs = append(reqs, td)
					rand.Shuffle(len(reqs), func(i, j int) { reqs[i], reqs[j] = reqs[j], reqs[i] })
					n := 0
					for _, r := range reqs {
						if l.traces.ConsumeTraces(t.Context(), r) == nil {
							n++
						}
						if rand.IntN(3) == 0 {
							time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
						}
					}
					mu.Lock()
					acked[id], acked[id+1] = n, n
					mu.Unlock()
				}
			}()
		}
		time.Sleep(700 * time.Millisecond)
		if rand.IntN(2) == 0 {
			d.kill()
			wg.Wait()
		} else {
			go func() { time.Sleep(5 * time.Millisecond); d.kill() }()
		}
		l.cut()
		wg.Wait()
		out = append(out, l.sink.AllTraces()...)
		d = d.after(-1, true)
	}
	l := beginWith(t, d, cfg(), nil)
	time.Sleep(2 * time.Second)
	l.end(t)
	out = append(out, l.sink.AllTraces()...)
	newest := map[string]*trajectory.Trajectory{}
	total := 0
	for _, tr := range trajectories(t, out) {
		total++
		if have := newest[tr.ID]; have == nil || have.Revision <= tr.Revision {
			newest[tr.ID] = tr
		}
	}
	spans := map[string]int{}
	for _, tr := range newest {
		for _, id := range tr.TraceIDs {
			spans[id] += tr.SpanCount
		}
	}
	less, more := 0, 0
	for id, n := range acked {
		var raw [16]byte
		binary.BigEndian.PutUint32(raw[:], id+1)
		binary.BigEndian.PutUint32(raw[12:], id+1)
		got := spans[trajectory.TraceID(raw).String()]
		if got < n {
			less++
		}
		if got > 5 {
			more++
		}
	}
	assert.Zero(t, less)
	assert.Zero(t, more)
}

func (l life) cut() {
	_ = l.logs.Shutdown(context.Background())
	ctx, c := shortly()
	defer c()
	_ = l.traces.Shutdown(ctx)
}
