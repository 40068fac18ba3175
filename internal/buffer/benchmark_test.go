package buffer

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

func benchConfig(open int) Config {
	return Config{
		RootGrace: 5 * time.Second, Idle: time.Hour, MaxAge: time.Hour, LateWindow: time.Minute,
		MaxTrajectoryBytes: 1 << 40, MaxBytes: 1 << 50, MaxOpen: open,
	}
}

func number(n int) (id trajectory.TraceID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n)*0x9E3779B97F4A7C15)
	return id
}

// BenchmarkAdd is the cost of one span of a trajectory that is open among many.
// It must not depend on how many.
func BenchmarkAdd(b *testing.B) {
	for _, open := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(open), func(b *testing.B) {
			buf := New(benchConfig(open))
			now, n := int64(0), 0
			add := func() {
				s := &trajectory.Span{TraceID: number(n % open), ParentID: trajectory.SpanID{1}, Role: trajectory.RoleModelSpan, End: 1}
				binary.BigEndian.PutUint64(s.SpanID[:], uint64(n+2))
				n++
				now += 1000
				require.NoError(b, buf.Add(now, []Item{{Span: s}}))
				buf.Due(now, 100)
			}
			for range 4 * open {
				add()
			}
			b.ReportAllocs()
			for b.Loop() {
				add()
			}
		})
	}
}

// BenchmarkFragment is the cost of a call with a history of 80 messages that
// has to be found among many.
func BenchmarkFragment(b *testing.B) {
	for _, open := range []int{100, 10_000} {
		b.Run(fmt.Sprint(open), func(b *testing.B) {
			buf := New(benchConfig(1 << 30))
			next := 0
			thread := func() {
				next++
				id := fmt.Sprint("call-", next)
				prompt := []*trajectory.Message{{Role: trajectory.RoleUser, Text: "the same question"}}
				for i := range 40 {
					prompt = append(prompt,
						&trajectory.Message{Role: trajectory.RoleAssistant, ToolCalls: []trajectory.ToolCall{{ID: fmt.Sprint(id, i), Name: "f", Arguments: "{}"}}},
						&trajectory.Message{Role: trajectory.RoleTool, ToolCallID: fmt.Sprint(id, i), Text: "the same result"})
				}
				for i := range 2 {
					s := &trajectory.Span{TraceID: number(2*next + i), SpanID: trajectory.SpanID{1}, Role: trajectory.RoleModelSpan, End: 1}
					s.Call = &trajectory.Call{Prompt: prompt[:77+2*i], Reply: prompt[77+2*i : 78+2*i]}
					require.NoError(b, buf.Add(int64(next), []Item{{Span: s}}))
				}
			}
			for range open {
				thread()
			}
			require.Equal(b, open, buf.Open())
			b.ReportAllocs()
			for b.Loop() {
				thread()
			}
		})
	}
}
