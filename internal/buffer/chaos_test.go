package buffer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestChaos throws nonsense at a small buffer: few ids, so that spans are their
// own parents, traces change what they are and everything hits a bound. The
// books must balance, no bound may be exceeded for long, revisions must rise,
// and what was taken must come out.
func TestChaos(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 2))
		cfg := Config{
			RootGrace: 5 * time.Second, Idle: 20 * time.Second, MaxAge: time.Minute, LateWindow: time.Duration(r.IntN(3)) * 30 * time.Second,
			MaxTrajectoryBytes: 6000, MaxBytes: 30000, MaxOpen: 1 + r.IntN(12), ByKey: r.IntN(4) == 0,
		}
		b := New(cfg)
		c := chaos{t: t, revisions: map[string]int64{}, out: map[spanKey]bool{}}
		var taken []*trajectory.Span
		now := int64(time.Hour)
		for range 400 {
			items := make([]Item, 1+r.IntN(4))
			for i := range items {
				items[i] = randomItem(r, now)
			}
			if r.IntN(8) == 0 {
				s := items[0].Span
				b.Pass(s.TraceID, s.SpanID, s.ParentID, s.Remote, s.Start, s.End)
			}
			if b.Add(now, items) == nil {
				for _, it := range items {
					if it.Span.Seq > 0 && it.Span.Record == trajectory.RecordNone {
						taken = append(taken, it.Span)
					}
				}
			}
			checkBooks(t, b)
			require.LessOrEqual(t, b.Open(), cfg.MaxOpen)
			require.GreaterOrEqual(t, b.Bytes(), int64(0))
			require.LessOrEqual(t, b.Bytes(), cfg.MaxBytes+20*(slotCost+traceCost+recentWays*spanCost), "beyond the cap by bookkeeping only")
			now += r.Int64N(int64(10 * time.Second))
			c.see(b.Due(now, 1+r.IntN(5)))
			checkBooks(t, b)
		}
		c.see(b.Flush(now))
		require.Zero(t, b.Open())
		require.Zero(t, b.Bytes())
		require.Empty(t, b.traces)
		require.Empty(t, b.story)
		require.Empty(t, b.units)
		require.Empty(t, b.waiting)
		require.Empty(t, b.sessions)
		require.Empty(t, b.clock.units)
		lost := 0
		for _, s := range taken {
			if !c.out[spanKey{s.TraceID, s.SpanID}] {
				lost++
			}
		}
		tally := b.Take()
		require.LessOrEqual(t, lost, int(tally.AfterTruncation+tally.NoAttempt), "spans were taken and never came out")
	}
}

type spanKey struct {
	trace trajectory.TraceID
	span  trajectory.SpanID
}

type chaos struct {
	t         *testing.T
	revisions map[string]int64
	out       map[spanKey]bool
}

func (c *chaos) see(list []Closed) {
	for _, x := range list {
		// What is left of a run that was forgotten has revisions of its own, in ms.
		key := fmt.Sprint(x.ID, x.Revision < int64(time.Hour/time.Microsecond)/2)
		if last, ok := c.revisions[key]; ok && x.CloseReason != trajectory.CloseLate {
			require.Greater(c.t, x.Revision, last, x.ID)
		}
		c.revisions[key] = x.Revision
		require.NotEmpty(c.t, x.Spans)
		require.NotEmpty(c.t, x.CloseReason)
		require.Positive(c.t, x.FirstSeenAt)
		seen := map[spanKey]bool{}
		for _, s := range x.Spans {
			k := spanKey{s.TraceID, s.SpanID}
			require.False(c.t, seen[k], "span twice")
			seen[k], c.out[k] = true, true
		}
		require.NotPanics(c.t, func() { trajectory.Assemble(x.Spans, x.Options) })
	}
}

func randomItem(r *rand.Rand, now int64) Item {
	s := &trajectory.Span{Role: trajectory.Role(r.IntN(4)), Start: now - r.Int64N(int64(time.Minute)), GenAI: true, Size: r.IntN(320) - 20}
	s.End = s.Start + r.Int64N(int64(time.Minute))
	if r.IntN(10) == 0 {
		s.End = 0
	}
	if r.IntN(40) == 0 {
		s.Size = 9000
	}
	copy(s.TraceID[:], fmt.Sprint("t", r.IntN(40)))
	copy(s.SpanID[:], fmt.Sprint("s", 1+r.IntN(30)))
	if r.IntN(2) == 0 {
		copy(s.ParentID[:], fmt.Sprint("s", 1+r.IntN(30)))
		s.Remote = r.IntN(5) == 0
	}
	if r.IntN(4) == 0 {
		s.Link = &trajectory.Link{Message: r.IntN(2) == 0}
		copy(s.Link.TraceID[:], fmt.Sprint("t", r.IntN(40)))
		copy(s.Link.SpanID[:], fmt.Sprint("s", 1+r.IntN(30)))
	}
	if r.IntN(6) == 0 {
		s.Rollout = fmt.Sprint("r", r.IntN(3))
	}
	if r.IntN(3) == 0 {
		s.Conversation = fmt.Sprint("c", r.IntN(5))
	}
	id := func() string { return []string{"", "x", "y", "z"}[r.IntN(4)] }
	switch s.Role {
	case trajectory.RoleModelSpan:
		s.Call = &trajectory.Call{}
		s.Call.ResponseID, s.Previous = id(), id()
		for range r.IntN(6) {
			m := &trajectory.Message{Role: []string{"user", "assistant", "tool", "system"}[r.IntN(4)], Text: id()}
			if m.Role == "assistant" {
				m.ToolCalls = []trajectory.ToolCall{{ID: id(), Name: "f"}}
			}
			s.Call.Prompt = append(s.Call.Prompt, m)
		}
		s.Call.Reply = []*trajectory.Message{{Role: "assistant", Text: id(), ToolCalls: []trajectory.ToolCall{{ID: id(), Name: "f"}}}}
	case trajectory.RoleToolSpan:
		s.Tool = &trajectory.ToolRun{CallID: id()}
	}
	s.Hosts, s.Piece = r.IntN(4) == 0, r.IntN(8) == 0
	if r.IntN(6) == 0 {
		s.Reports = id()
	}
	if r.IntN(5) == 0 {
		s.Service, s.User, s.Turn = fmt.Sprint("v", r.IntN(2)), []string{"", "u", "w"}[r.IntN(3)], id()
		s.Record = trajectory.RecordEvent + trajectory.Record(r.IntN(3))
		copy(s.SpanID[:], fmt.Sprint("r", 1+r.IntN(30))) // of what it says: no span's
		if r.IntN(2) == 0 {
			s.TraceID = trajectory.TraceID{}
		}
	}
	it := Item{Span: s}
	if r.IntN(2) == 0 {
		it.Key = fmt.Sprint("k", r.IntN(4))
	}
	if r.IntN(3) == 0 {
		it.Raw, it.Size = "raw", 50
	}
	return it
}
