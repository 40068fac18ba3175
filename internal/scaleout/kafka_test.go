package scaleout

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tracegrad/tracegrad/internal/cmd/bench/load"
	"github.com/tracegrad/tracegrad/internal/cmd/torture/ledger"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/localcollector"
)

// partitions of each topic: of three Collectors, each has two.
const partitions = 6

// Three Collectors behind Kafka make of runs in all dialects, of log records too,
// what one makes of them, and keep it when one of them is killed meanwhile, and
// the broker.
func TestKafka(t *testing.T) {
	b := kafka(t, partitions)
	requests := plan(t, runs(t, load.Mix, 16))
	var one, three ledger.Ledger
	alone := start(t, 1, "quickstart/durable.yaml", nil)
	replay(t, alone.members[0])
	send(t, alone.members[0], &one, requests, nil)
	alone.settle()
	alone.whole(&one)

	several, to := behind(t, b, 3, "1m"), front(t, b)
	replay(t, to)
	send(t, to, &three, requests, func(done int) {
		switch done {
		case len(requests) / 3:
			several.restart(1)
		case len(requests) * 2 / 3:
			b.kill()
			b.start() // senders wait meanwhile
		}
	})
	several.arrive(&three)
	several.whole(&three)
	got := live(t, several.dataset)
	assert.Len(t, writers(got), 3, "each Collector has a part")
	same(t, live(t, alone.dataset), got)
}

// Of a Collector that does not come back in time, the other takes the partitions
// over. Runs before and after are whole; those that were open then are split, and
// their parts are all there once the first one's store is read again.
func TestKafkaTakeover(t *testing.T) {
	b := kafka(t, partitions)
	all := runs(t, load.Mix, 12)
	before, during, after := plan(t, all[:4]), plan(t, all[4:8]), plan(t, all[8:])
	f, to := behind(t, b, 2, "6s"), front(t, b)
	var whole, cut ledger.Ledger
	send(t, to, &whole, before, nil)
	f.arrive(&whole)
	send(t, to, &cut, during, func(done int) {
		if done == len(during)/2 {
			time.Sleep(2 * time.Second) // what was sent is read
			f.members[0].Kill()
		}
	})
	f.assigned(1, 2*partitions)
	send(t, to, &whole, after, nil)
	f.come(&whole)
	f.run(0)
	f.assigned(0, partitions)
	f.settle()

	trajectories := live(t, f.dataset)
	split := parts(t, f.dataset)
	t.Logf("%d of %d runs were open when their Collector was lost", len(split), len(trajectories))
	assert.NotEmpty(t, split)
	assert.Len(t, trajectories, 192)
	f.whole(&whole)
	for _, d := range slices.Concat(before, after) {
		for _, span := range d.Spans {
			assert.NotContains(t, split, span.Trace)
		}
	}
	found := map[string]bool{}
	for _, step := range table[dataset.StepRow](t, f.dataset, dataset.TableSteps) {
		if step.SpanID != nil {
			found[*step.SpanID] = true
		}
	}
	for _, d := range during {
		for _, span := range d.Spans {
			assert.True(t, found[span.ID] || !span.Step, "span %s of trace %s", span.ID, span.Trace)
		}
	}
}

// A message that nobody can read is counted and passed over; one that Kafka does
// not take is refused, for good.
func TestKafkaOfBadMessages(t *testing.T) {
	b := kafka(t, partitions)
	all := runs(t, load.Semconv, 2)
	f, to := behind(t, b, 1, "6s"), front(t, b)
	var book, foreign ledger.Ledger
	send(t, front(t, b, "--set=exporters::kafka::traces::encoding=otlp_json"), &foreign, plan(t, all[:1]), nil)
	send(t, to, &book, plan(t, all[1:]), nil)
	f.arrive(&book)
	f.whole(&book)
	assert.Len(t, live(t, f.dataset), 16)
	m, err := f.members[0].Metrics(context.Background())
	require.NoError(t, err)
	assert.Positive(t, m["kafka_receiver_unmarshal_failed_spans"])

	big := all[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	big.Attributes().PutStr("input.value", strings.Repeat("x", 20<<20))
	_, err = client(t, to).Export(context.Background(), ptraceotlp.NewExportRequestFromTraces(all[0]))
	assert.NotEqual(t, codes.Unavailable, status.Code(err), err)
	assert.ErrorContains(t, err, "MESSAGE_TOO_LARGE")
}

// behind starts Collectors that read from a broker, and waits until each has its
// partitions of both topics.
func behind(t *testing.T, b *broker, size int, session string) *fleet {
	t.Helper()
	f := start(t, size, "scaleout/kafka-back.yaml", map[string]string{"TRACEGRAD_KAFKA": "[" + b.address + "]", "TRACEGRAD_KAFKA_SESSION": session},
		"--set=receivers::kafka/spans::heartbeat_interval=300ms", "--set=receivers::kafka/logs::heartbeat_interval=300ms") // to hear soon who came and went
	for i := range f.members {
		f.assigned(i, 2*partitions/size)
	}
	return f
}

// assigned waits until a Collector reads so many partitions.
func (f *fleet) assigned(i, want int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	require.NoError(f.t, f.members[i].Until(ctx, func(ctx context.Context) (bool, error) {
		m, err := f.members[i].Metrics(ctx)
		return err == nil && int(m["kafka_receiver_partition_start"]-m["kafka_receiver_partition_close"]) == want, err
	}), "%d partitions", want)
}

// front starts a Collector that writes to a broker.
func front(t *testing.T, b *broker, args ...string) *localcollector.Collector {
	t.Helper()
	binary, err := collector()
	require.NoError(t, err)
	c, err := localcollector.Start(context.Background(), localcollector.Options{
		Binary: binary, Config: filepath.Join(examples, "scaleout/kafka-front.yaml"), Args: args,
		Env: map[string]string{"TRACEGRAD_KAFKA": "[" + b.address + "]"},
		Log: filepath.Join(t.TempDir(), "front.log"),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	return c
}

// arrive waits until what was sent has come through Kafka, and what came has
// been committed.
func (f *fleet) arrive(book *ledger.Ledger) {
	f.t.Helper()
	f.come(book)
	f.settle()
}

// come waits until what was sent has come through Kafka.
func (f *fleet) come(book *ledger.Ledger) {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return len(f.verdict(book).Missing) == 0 }, deadline, 500*time.Millisecond)
}

func (f *fleet) verdict(book *ledger.Ledger) *ledger.Verdict {
	f.t.Helper()
	var rows ledger.Rows
	require.NoError(f.t, rows.Refresh(f.dataset))
	return book.Judge(&rows)
}

// whole holds the dataset against what was acknowledged, whatever else there is.
func (f *fleet) whole(book *ledger.Ledger) {
	f.t.Helper()
	verdict := f.verdict(book)
	verdict.Foreign = nil
	assert.True(f.t, verdict.Clean(), verdict.String())
}
