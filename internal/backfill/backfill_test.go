package backfill

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

const captures = "../../testdata/captures/"

// many are captures of 897 spans; 5 MiB hold them in several runs and batches,
// and nothing is evicted.
var many = []string{
	captures + "openai-python__otel-genai-agent.jsonl", captures + "openai__openinference-chat.jsonl",
	captures + "openai__openinference-traceAgent-interleaved.jsonl", captures + "vercel-ai-v5__experimental-telemetry.jsonl",
	captures + "vercel-ai-v7__ai-sdk-otel-responses.jsonl",
}

const little = 5 << 20

// tree lists the files of a dataset.
func tree(t testing.TB, root string) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

// once checks that every revision stands in the dataset once.
func once(t *testing.T, root string) {
	t.Helper()
	seen := map[string]bool{}
	for _, r := range rows[dataset.TrajectoryRow](t, root, dataset.TableTrajectories) {
		key := fmt.Sprint(r.TrajectoryID, r.Revision)
		assert.False(t, seen[key], key)
		seen[key] = true
	}
}

func TestTheMemoryDoesNotMatter(t *testing.T) {
	want, wantReport := imported(t, Options{}, many...)
	dir := t.TempDir()
	got, report := imported(t, Options{Dataset: dir, Memory: little}, many...)
	assert.Equal(t, want, got)
	assert.Equal(t, 119, report.Trajectories.Found)
	assert.Equal(t, wantReport.Trajectories, report.Trajectories)
	assert.Equal(t, wantReport.Dialects, report.Dialects)
	assert.Greater(t, report.Batches, 1)
	once(t, dir)
}

// TestAnyOrder: lines of all files in one, in any order, some twice.
func TestAnyOrder(t *testing.T) {
	want, wantReport := imported(t, Options{}, many...)
	var lines [][]byte
	for _, path := range many {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		lines = append(lines, bytes.Split(bytes.TrimSpace(data), []byte("\n"))...)
	}
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, seed))
		shuffled := slices.Clone(lines)
		shuffled = append(shuffled, lines[rng.IntN(len(lines))], lines[rng.IntN(len(lines))])
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		path := filepath.Join(t.TempDir(), "shuffled")
		require.NoError(t, os.WriteFile(path, bytes.Join(shuffled, []byte("\n")), 0o600))
		got, report := imported(t, Options{Memory: little}, path)
		assert.Equal(t, want, got)
		assert.Equal(t, wantReport.Trajectories, report.Trajectories)
		assert.Positive(t, report.Repeated)
	}
}

func TestASecondImportDoesNothing(t *testing.T) {
	dir := t.TempDir()
	want, first := imported(t, Options{Dataset: dir}, many...)
	files := tree(t, dir)

	_, again := imported(t, Options{Dataset: dir}, many...)
	assert.True(t, again.Nothing)
	assert.Equal(t, files, tree(t, dir))

	require.NoError(t, os.RemoveAll(dataset.ImportDir(dir))) // it forgot
	got, again := imported(t, Options{Dataset: dir}, many...)
	assert.False(t, again.Nothing)
	assert.Equal(t, first.Trajectories.Revisions, again.Trajectories.There)
	assert.Zero(t, again.Trajectories.Written)
	assert.Equal(t, first.Dialects, again.Dialects)
	assert.Equal(t, want, got)
	assert.Len(t, tree(t, dir), len(files))

	got, again = imported(t, Options{Dataset: dir, Again: true, Rewards: rules(t)}, many...)
	assert.Equal(t, first.Trajectories.Revisions, again.Trajectories.Written)
	for id, x := range got {
		assert.NotEmpty(t, x.Rewards)
		x.Rewards = nil
		assert.Equal(t, want[id], x)
	}
}

// TestOverlappingImports: a day, then two days of which it is the first.
func TestOverlappingImports(t *testing.T) {
	want, _ := imported(t, Options{}, many...)
	dir := t.TempDir()
	_, first := imported(t, Options{Dataset: dir}, many[:2]...)
	got, report := imported(t, Options{Dataset: dir}, many...)
	assert.Equal(t, want, got)
	assert.Equal(t, first.Trajectories.Revisions, report.Trajectories.There)
	once(t, dir)
}

func rules(t *testing.T) *rewards.Engine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rewards.yaml")
	require.NoError(t, os.WriteFile(path, []byte("rewards:\n  - name: answered\n    level: trajectory\n    expr: 'output != \"\" ? 1 : 0'\n"), 0o600))
	e, err := rewards.Load(path)
	require.NoError(t, err)
	return e
}

func TestADryRunWritesNothing(t *testing.T) {
	_, want := imported(t, Options{}, many...)
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(t.TempDir(), "none")
	report, err := Run(t.Context(), Options{Dataset: dir, Files: many, DryRun: true, Memory: little})
	require.NoError(t, err)
	assert.NoDirExists(t, dir)
	assert.Equal(t, want.Dialects, report.Dialects)
	assert.Equal(t, want.Trajectories, report.Trajectories)
	assert.Empty(t, tree(t, os.TempDir()))
}

// TestStoppedImportsGoOn stops imports at many places; the last one ends.
func TestStoppedImportsGoOn(t *testing.T) {
	want, wantReport := imported(t, Options{Memory: little}, many...)
	dir := t.TempDir()
	resumed := 0
	for _, stop := range []struct {
		stage string
		share float64
	}{{StageRead, 0.01}, {StageRead, 0.4}, {StageRead, 0.7}, {StageAssemble, 0.3}, {StageAssemble, 0.9}} {
		ctx, cancel := context.WithCancel(t.Context())
		report, err := Run(ctx, Options{Dataset: dir, Files: many, Memory: little, OnProgress: func(p Progress) {
			if p.Stage == stop.stage && float64(p.Done) >= stop.share*float64(p.Total) {
				cancel()
			}
		}})
		require.ErrorIs(t, err, context.Canceled)
		if report.Resumed {
			resumed++
		}
		cancel()
	}
	assert.GreaterOrEqual(t, resumed, 3)
	got, report := imported(t, Options{Dataset: dir, Memory: little}, many...)
	assert.Equal(t, want, got)
	once(t, dir)
	assert.Equal(t, wantReport.Spans, report.Spans)
	assert.Equal(t, wantReport.Dialects, report.Dialects)
	assert.Equal(t, wantReport.Trajectories.Revisions, report.Trajectories.Written+report.Trajectories.There)
	left := tree(t, dataset.ImportDir(dir))
	require.Len(t, left, 1)
	assert.Equal(t, stateFile, filepath.Base(left[0]))
}

func TestAFileThatChangedIsReadAnew(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "growing.jsonl")
	data, err := os.ReadFile(many[0])
	require.NoError(t, err)
	half := bytes.LastIndexByte(data[:len(data)/2], '\n') + 1
	require.NoError(t, os.WriteFile(path, data[:half], 0o600))
	_, first := imported(t, Options{Dataset: dir}, path)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	got, report := imported(t, Options{Dataset: dir}, path)
	assert.False(t, report.Nothing)
	want, _ := imported(t, Options{}, path)
	assert.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	for id := range want {
		want[id].Revision, got[id].Revision = 0, 0
	}
	assert.Equal(t, want, got)
	assert.Less(t, first.Trajectories.Found, report.Trajectories.Found)
	assert.Len(t, tree(t, dataset.ImportDir(dir)), 1, "what nobody can go on with is removed")
}

func TestDaysAreThoseOfTheTelemetry(t *testing.T) {
	dir := t.TempDir()
	imported(t, Options{Dataset: dir}, many...)
	paths, err := dataset.Files(dir, dataset.TableTrajectories)
	require.NoError(t, err)
	for _, path := range paths {
		assert.Contains(t, []string{"date=2026-11-22", "date=2026-11-23"}, filepath.Base(filepath.Dir(path)))
	}
	for _, x := range live(t, dir) {
		assert.Equal(t, trajectory.SourceImport, x.Source)
		assert.Contains(t, []trajectory.CloseReason{trajectory.CloseComplete, trajectory.CloseIdle}, x.CloseReason)
		assert.WithinDuration(t, time.UnixMicro(x.StartedAt), time.UnixMicro(x.FirstSeenAt), 15*time.Second)
	}
}

// TestLateSpans: a call that ended an hour after the rest makes one trajectory
// of all, in a second revision.
func TestLateSpans(t *testing.T) {
	td := ptrace.NewTraces()
	add := agent(td)
	add(1, 0, 0, time.Minute, "invoke_agent")
	add(2, 1, 0, time.Second, "chat")
	add(3, 1, time.Hour, time.Hour+time.Second, "chat")
	dir := t.TempDir()
	got, report := imported(t, Options{Dataset: dir}, file(t, td))
	require.Len(t, got, 1)
	for _, x := range got {
		assert.Equal(t, 2, x.ModelCalls)
	}
	assert.Equal(t, 2, report.Trajectories.Revisions)
	assert.Equal(t, 1, report.Trajectories.Found)
	assert.Equal(t, Count{Trajectories: 1, ModelCalls: 2}, report.Dialects["semconv"])
}

// TestTimesThatAreNot: no time, and one of the far future.
func TestTimesThatAreNot(t *testing.T) {
	td := ptrace.NewTraces()
	add := agent(td)
	add(1, 0, 0, time.Minute, "invoke_agent")
	add(2, 1, 0, time.Second, "chat")
	s := add(3, 1, 0, 0, "chat")
	s.SetStartTimestamp(0)
	s.SetEndTimestamp(0)
	s = add(4, 1, 0, 0, "chat")
	s.SetEndTimestamp(1 << 63)
	got, report := imported(t, Options{}, file(t, td))
	require.Len(t, got, 1)
	for _, x := range got {
		assert.Equal(t, 4, x.SpanCount)
	}
	assert.Equal(t, "2023-11-14T22:13:20Z", report.First)
}

// agent returns what adds spans to one trace.
func agent(td ptrace.Traces) func(id, parent byte, start, end time.Duration, op string) ptrace.Span {
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	begin := time.Unix(1_700_000_000, 0)
	return func(id, parent byte, start, end time.Duration, op string) ptrace.Span {
		s := spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetSpanID(pcommon.SpanID{id})
		s.SetParentSpanID(pcommon.SpanID{parent})
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(begin.Add(start)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(begin.Add(end)))
		s.SetName(op)
		s.Attributes().PutStr("gen_ai.operation.name", op)
		return s
	}
}

func file(t *testing.T, td ptrace.Traces) string {
	t.Helper()
	data, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "spans.json")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// TestFinishedTrajectories are what leaves a trajectory processor, in a file.
func TestFinishedTrajectories(t *testing.T) {
	made, _ := imported(t, Options{}, many[0])
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, x := range made {
		x.Source, x.Writer = trajectory.SourceSpans, "collector-1"
		s := spans.AppendEmpty()
		s.SetStartTimestamp(pcommon.Timestamp(x.StartedAt * 1000))
		s.Attributes().PutEmptyBytes(trajectory.AttrTrajectory).FromRaw(trajectory.Encode(x))
		x.Source = trajectory.SourceImport
	}
	spans.AppendEmpty().Attributes().PutEmptyBytes(trajectory.AttrTrajectory).FromRaw([]byte{8, 9})
	dir := t.TempDir()
	got, report := imported(t, Options{Dataset: dir}, file(t, td))
	assert.Equal(t, made, got)
	assert.Equal(t, 1, report.Trajectories.Invalid)
	assert.False(t, report.Complete())
}

func TestFactsAreImportedOnce(t *testing.T) {
	ld := plog.NewLogs()
	list := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, name := range []string{"solved", "solved", "polite", ""} {
		r := list.AppendEmpty()
		r.SetEventName("gen_ai.evaluation.result")
		r.SetTimestamp(pcommon.NewTimestampFromTime(time.Unix(1_700_000_000, 0)))
		r.SetTraceID(pcommon.TraceID{1})
		r.Attributes().PutStr("gen_ai.evaluation.name", name)
		r.Attributes().PutDouble("gen_ai.evaluation.score.value", 1)
	}
	data, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
	require.NoError(t, err)
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		_, report := imported(t, Options{Dataset: dir}, path)
		assert.Equal(t, map[string]int{"fact_no_name": 1}, report.Reasons)
	}
	facts := rows[dataset.FactRow](t, dir, dataset.TableFacts)
	require.Len(t, facts, 2)
	assert.Equal(t, "01000000000000000000000000000000", *facts[0].TraceID)
}

func TestWhatCannotBeReadIsCounted(t *testing.T) {
	good, err := os.ReadFile(imports + "chat.jsonl")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "mixed.jsonl")
	require.NoError(t, os.WriteFile(path, []byte("{\"a\":\n{\"b\":1}\n"+string(good)+"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"01\"}]}]}]}\n"+
		`{"TraceId":"zz","SpanId":"","SpanAttributes":{},"Duration":1}`+"\n"), 0o600))
	var said []string
	got, report := imported(t, Options{OnError: func(err error) { said = append(said, err.Error()) }}, path)
	assert.Len(t, got, 1)
	assert.Equal(t, map[string]int{"invalid_json": 1, "unknown_record": 1, "invalid_otlp": 1, "invalid_row": 1}, report.Reasons)
	assert.Equal(t, 4, report.Skipped)
	require.Len(t, said, 4)
	for i, line := range []int{1, 2, 4, 5} {
		assert.True(t, strings.HasPrefix(said[i], fmt.Sprintf("%s:%d: ", path, line)), said[i])
	}
}

// TestMemoryThatIsTooSmall: trajectories are closed early, nothing fails, and
// no span is in two of them.
func TestMemoryThatIsTooSmall(t *testing.T) {
	got, report := imported(t, Options{Memory: 256 << 10}, many...)
	assert.NotEmpty(t, got)
	seen := map[string]string{}
	for _, x := range got {
		for _, s := range x.Steps {
			if s.SpanID != "" {
				assert.Empty(t, seen[s.TraceID+s.SpanID])
				seen[s.TraceID+s.SpanID] = x.ID
			}
		}
	}
	assert.Equal(t, 897, report.Spans)
}

func TestTheNameOfTheWriterIsHeld(t *testing.T) {
	dir := t.TempDir()
	w, err := dataset.NewWriter(dir, DefaultWriter, dataset.Options{})
	require.NoError(t, err)
	_, err = Run(t.Context(), Options{Dataset: dir, Files: many})
	require.ErrorContains(t, err, `writer "import" is in use`)
	require.NoError(t, w.Close())
}

// TestWhatWasSeenLiveStaysInForce: revisions of an import are lower.
func TestWhatWasSeenLiveStaysInForce(t *testing.T) {
	got, _ := imported(t, Options{}, many...)
	for _, x := range got {
		assert.Less(t, x.Revision, x.EndedAt)
	}
}
