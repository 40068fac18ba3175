package genai_test

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

var update = flag.Bool("update", false, "rewrite golden files")

const captures = "../../testdata/captures"

// readCapture returns the requests of a capture.
func readCapture(tb testing.TB, file string) []ptrace.Traces {
	tb.Helper()
	in, err := os.Open(file)
	require.NoError(tb, err)
	defer func() { _ = in.Close() }()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	var out []ptrace.Traces
	for lines.Scan() {
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(lines.Bytes())
		require.NoError(tb, err)
		out = append(out, td)
	}
	require.NoError(tb, lines.Err())
	return out
}

// byTrace decodes requests, one decoder a trace.
func byTrace(requests []ptrace.Traces) (order []trajectory.TraceID, spans map[trajectory.TraceID][]*trajectory.Span) {
	spans = map[trajectory.TraceID][]*trajectory.Span{}
	decoders := map[trajectory.TraceID]*genai.Decoder{}
	seq := uint64(0)
	for _, td := range requests {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					id := trajectory.TraceID(s.TraceID())
					if decoders[id] == nil {
						decoders[id] = genai.NewDecoder(genai.Options{})
						order = append(order, id)
					}
					d := decoders[id].Decode(rs.Resource(), ss.Scope(), s)
					seq++
					d.Seq = seq
					spans[id] = append(spans[id], d)
				}
			}
		}
	}
	return order, spans
}

// TestCaptures assembles every shipped capture trace by trace and compares the
// result with a readable golden file.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(captures, "*__*.jsonl"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run(name, func(t *testing.T) {
			order, spans := byTrace(readCapture(t, file))
			var got strings.Builder
			for _, id := range order {
				render(&got, trajectory.Assemble(spans[id], trajectory.Options{CloseReason: trajectory.CloseComplete}))
			}
			golden := filepath.Join("testdata", "captures", name+".golden")
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
				require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got.String())
		})
	}
}

// render is a trajectory for human eyes: what a reviewer of a golden file
// needs to see.
func render(b *strings.Builder, t *trajectory.Trajectory) {
	fmt.Fprintf(b, "trajectory %s %s agents=%v dialects=%v trainable=%v %v\n", t.TraceIDs[0][:8], t.Status, t.AgentNames, t.Dialects, t.Trainable, t.Reasons)
	fmt.Fprintf(b, "  input   %s\n  output  %s\n", short(t.Input), short(t.Output))
	if t.Error != "" {
		fmt.Fprintf(b, "  error   %s\n", short(t.Error))
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		parent := "-"
		if s.Parent != nil {
			parent = fmt.Sprint(*s.Parent)
		}
		fmt.Fprintf(b, "  %2d %-5s thread=%d parent=%s %s", s.Index, s.Kind, s.Thread, parent, s.AgentName)
		if s.Model != nil {
			fmt.Fprintf(b, " in=%v out=%v finish=%s", s.Model.Input, s.Model.Output, s.Model.FinishReason)
		} else {
			fmt.Fprintf(b, " %s(%s)", s.Tool.Name, short(s.Tool.Arguments))
			if s.Tool.Result != nil {
				fmt.Fprintf(b, " = %s", short(*s.Tool.Result))
			}
		}
		if s.Error != "" {
			fmt.Fprintf(b, " error=%s", short(s.Error))
		}
		if len(s.Reasons) > 0 {
			fmt.Fprintf(b, " %v", s.Reasons)
		}
		b.WriteByte('\n')
	}
	for i, m := range t.Messages {
		fmt.Fprintf(b, "     [%d] %s %s", i, m.Role, short(m.Text))
		if m.Reasoning != "" {
			fmt.Fprintf(b, " reasoning=%s", short(m.Reasoning))
		}
		for _, c := range m.ToolCalls {
			fmt.Fprintf(b, " %s(%s)", c.Name, short(c.Arguments))
		}
		b.WriteByte('\n')
	}
}

func short(s string) string {
	s = strings.ReplaceAll(s, "\n", "\\n")
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

// TestOrderDoesNotMatter is the property that late, shuffled and doubled
// delivery rests on.
func TestOrderDoesNotMatter(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(captures, "*__*.jsonl"))
	require.NoError(t, err)
	for _, file := range files {
		order, spans := byTrace(readCapture(t, file))
		for i, id := range order {
			want := trajectory.Assemble(spans[id], trajectory.Options{})
			random := rand.New(rand.NewPCG(uint64(i), 7))
			mixed := append([]*trajectory.Span{}, spans[id]...)
			mixed = append(mixed, spans[id][random.IntN(len(mixed))]) // one comes twice
			random.Shuffle(len(mixed), func(a, b int) { mixed[a], mixed[b] = mixed[b], mixed[a] })
			require.Equal(t, want, trajectory.Assemble(mixed, trajectory.Options{}), "%s trace %s", file, id)
		}
	}
}

// BenchmarkDecodeAssemble is the cost of one span from pdata to trajectory.
func BenchmarkDecodeAssemble(b *testing.B) {
	requests := readCapture(b, filepath.Join(captures, "openai-python__otel-genai-agent.jsonl"))
	spans := 0
	for _, td := range requests {
		spans += td.SpanCount()
	}
	b.ReportAllocs()
	began := cpu()
	for b.Loop() {
		order, decoded := byTrace(requests)
		for _, id := range order {
			trajectory.Assemble(decoded[id], trajectory.Options{})
		}
	}
	b.ReportMetric(float64(cpu()-began)/float64(b.N)/float64(spans), "cpu-ns/span")
}

// BenchmarkUnmarshal is the other side: what the collector pays to read the
// same spans from protobuf.
func BenchmarkUnmarshal(b *testing.B) {
	requests := readCapture(b, filepath.Join(captures, "openai-python__otel-genai-agent.jsonl"))
	spans := 0
	var raw [][]byte
	for _, td := range requests {
		spans += td.SpanCount()
		buf, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(b, err)
		raw = append(raw, buf)
	}
	b.ReportAllocs()
	began := cpu()
	for b.Loop() {
		for _, buf := range raw {
			_, _ = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(buf)
		}
	}
	b.ReportMetric(float64(cpu()-began)/float64(b.N)/float64(spans), "cpu-ns/span")
}

// cpu is the CPU time of the process so far, in ns: robust against neighbours.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
