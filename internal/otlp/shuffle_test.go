package otlp

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// bodies are the encoded requests of src, in order.
func bodies(t *testing.T, src Source) []string {
	t.Helper()
	var out []string
	for req, err := range src {
		require.NoError(t, err)
		body, err := req.marshal()
		require.NoError(t, err)
		out = append(out, string(body))
	}
	return out
}

// spans counts each span of src with everything it carries, resource and
// scope included.
func spans(t *testing.T, src Source) map[string]int {
	t.Helper()
	out := map[string]int{}
	for req, err := range src {
		require.NoError(t, err)
		for _, one := range req.split(req.Items(), func(i int) int { return i }) {
			body, err := one.marshal()
			require.NoError(t, err)
			out[string(body)]++
		}
	}
	return out
}

func TestShuffleLosesNothing(t *testing.T) {
	src := Files(capture)
	want, got := spans(t, src), spans(t, Shuffle(src, 7))
	require.NotEmpty(t, want)
	twice := 0
	for span, n := range got {
		require.Contains(t, want, span)
		if n > want[span] {
			twice++
		}
	}
	assert.Len(t, got, len(want))
	assert.Positive(t, twice, "some are duplicated")
	assert.Less(t, twice, len(want)/2)
}

func TestShuffleIsDeterministic(t *testing.T) {
	src := Files(capture)
	want := bodies(t, Shuffle(src, 1))
	assert.Equal(t, want, bodies(t, Shuffle(src, 1)))
	assert.NotEqual(t, want, bodies(t, Shuffle(src, 2)))
	assert.Greater(t, len(want), len(bodies(t, src)), "some are split or duplicated")
}

func TestShufflePassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	src := func(yield func(Request, error) bool) {
		_ = yield(logs(3), nil) && yield(Request{}, broken) && yield(logs(2), nil)
	}
	records := 0
	var errs []error
	for req, err := range Shuffle(src, 3) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		records += req.Items()
	}
	assert.Equal(t, []error{broken}, errs)
	assert.GreaterOrEqual(t, records, 5)
}

// logs is a request of n records at 1 s, 2 s, …
func logs(n int) Request {
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for i := range n {
		l := records.AppendEmpty()
		l.SetTimestamp(seconds(i + 1))
		l.Body().SetInt(int64(i))
	}
	return Request{File: "logs", Line: 1, Signal: Logs, Logs: ld}
}

// trace is a request of one span that lasts from start to end, in seconds.
func trace(start, end int) Request {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetStartTimestamp(seconds(start))
	s.SetEndTimestamp(seconds(end))
	return Request{File: "spans", Line: 1, Traces: td}
}
