//go:build cgo

package query

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

func TestLiveIsTheNewestCommittedRevision(t *testing.T) {
	root := t.TempDir()
	old, newer := attempt(1, "a"), attempt(1, "a")
	newer.Revision += 7
	newer.Output = "newer"
	first := write(t, root, []*trajectory.Trajectory{newer, attempt(2, "a")})
	write(t, root, []*trajectory.Trajectory{old})            // a revision that came late
	again := write(t, root, []*trajectory.Trajectory{newer}) // a batch that was sent twice
	require.NotEqual(t, first.Batch, again.Batch)

	// A set whose commit never came: steps without trajectories.
	half := attempt(3, "a")
	for _, f := range write(t, root, []*trajectory.Trajectory{half}).Files {
		if f.Table == dataset.TableTrajectories {
			require.NoError(t, removeFile(f.Path))
		}
	}
	db := open(t, root)
	assert.Equal(t, [][]string{{"1", again.Batch}, {"2", first.Batch}},
		table(t, db, "SELECT ltrim(trajectory_id, '0'), batch FROM live ORDER BY 1"))
	assert.Equal(t, [][]string{{"newer"}, {"It is so."}}, table(t, db, "SELECT output FROM trajectories ORDER BY trajectory_id"))
	assert.Equal(t, [][]string{{"6", "2"}}, table(t, db, "SELECT count(*), count(DISTINCT trajectory_id) FROM steps"))
	assert.Equal(t, [][]string{{"8"}}, table(t, db, "SELECT count(*) FROM messages"))
}

func TestPromptsAreRebuilt(t *testing.T) {
	root := t.TempDir()
	unseen := attempt(2, "a")
	unseen.Steps[2].Model.Input = nil
	write(t, root, []*trajectory.Trajectory{attempt(1, "a"), unseen})
	db := open(t, root)
	assert.Equal(t, [][]string{
		{"0", `["user"]`, `["assistant"]`},
		{"2", `["user","assistant","tool"]`, `["assistant"]`},
	}, table(t, db, `SELECT step_index, list_transform(messages, lambda m: m.role), list_transform(reply, lambda m: m.role)
		FROM prompts WHERE trajectory_id LIKE '%1' ORDER BY step_index`))
	assert.Equal(t, [][]string{{"a result", `lookup`}}, table(t, db, `SELECT messages[3].text, json_extract_string(messages[2].tool_calls, '$[0].name')
		FROM prompts WHERE step_index = 2 AND trajectory_id LIKE '%1'`))
	assert.Equal(t, [][]string{{"NULL"}}, table(t, db, "SELECT messages FROM prompts WHERE step_index = 2 AND trajectory_id LIKE '%2'"))
}

func TestRewardsAreTheNewestUnderTheCurrentRules(t *testing.T) {
	root := t.TempDir()
	one := attempt(1, "a")
	at := start.UnixMicro()
	reward := func(step int, name string, value *float64, hash string, at int64) trajectory.Reward {
		return trajectory.Reward{Step: step, Name: name, Value: value, RuleHash: hash, EvaluatedAt: at, Source: "expr"}
	}
	one.Rewards = []trajectory.Reward{
		reward(-1, "solved", nil, "h1", at),
		reward(-1, "old", ptr(5.0), "gone", at),
		reward(1, "tool", ptr(-1.0), "h2", at),
		reward(1, "tool", ptr(-7.0), "other", at+9), // another version of the rule
	}
	write(t, root, []*trajectory.Trajectory{one})
	row := func(r trajectory.Reward) dataset.RewardRow {
		return dataset.NewRewardRow(one.ID, one.Revision, one.FirstSeenAt, r)
	}
	writeRewards(t, root, row(reward(-1, "solved", ptr(1.0), "h1", at+5)))
	stale := row(reward(-1, "solved", ptr(0.25), "h1", at+99))
	stale.Revision-- // of a revision that does not live
	writeRewards(t, root, stale, row(reward(-1, "solved", ptr(0.5), "h1", at+3)))

	given := open(t, root, rewards.Rule{Name: "solved", Hash: "h1", Level: rewards.LevelTrajectory, Weight: 2, Missing: rewards.MissingMask},
		rewards.Rule{Name: "tool", Hash: "h2", Level: rewards.LevelStep, Weight: 0.5, Missing: rewards.MissingSkip})
	const text = "SELECT name, step_index, value, rule_hash FROM rewards ORDER BY ALL"
	assert.Equal(t, [][]string{{"solved", "NULL", "1", "h1"}, {"tool", "1", "-1", "h2"}}, table(t, given, text))
	assert.Equal(t, [][]string{{"1.5", "NULL"}}, table(t, given, "SELECT value, reason FROM returns"))
	read, err := given.Rewards(context.Background())
	require.NoError(t, err)
	assert.Equal(t, []trajectory.Reward{reward(-1, "solved", ptr(1.0), "h1", at+5), reward(1, "tool", ptr(-1.0), "h2", at)}, read[one.ID])

	guessed := open(t, root)
	assert.Equal(t, [][]string{{"old", "NULL", "5", "gone"}, {"solved", "NULL", "1", "h1"}, {"tool", "1", "-7", "other"}}, table(t, guessed, text))
	assert.Equal(t, [][]string{{"NULL", "no_rules"}}, table(t, guessed, "SELECT value, reason FROM returns"))
}

// The view returns and rewards.(*Engine).Return are one definition in two
// languages; random rewards hold them together.
func TestReturnsAgreeWithTheEngine(t *testing.T) {
	engine := rules(t, `
rewards:
  - {name: solved, expr: 'feedback("x")', weight: 1.0}
  - {name: style, expr: 'feedback("y")', weight: -0.5, missing: skip}
  - {name: guess, expr: 'feedback("z")', weight: 0.25, missing: 0.5}
  - {name: tool, level: step, when: 'kind == "tool"', expr: '1', weight: 0.2}
  - {name: step, level: step, expr: '1', weight: 3, missing: skip}
`)
	root := t.TempDir()
	want := map[string]string{}
	var list []*trajectory.Trajectory
	for n := range 400 {
		r := rand.New(rand.NewPCG(uint64(n), 4))
		one := attempt(n, "a")
		for _, rule := range engine.Rules() {
			steps := []int{-1}
			if rule.Level == rewards.LevelStep {
				steps = []int{0, 1, 2}[:r.IntN(4)]
			}
			if r.IntN(12) == 0 {
				steps = nil
			}
			for _, step := range steps {
				x := trajectory.Reward{Step: step, Name: rule.Name, RuleHash: rule.Hash, EvaluatedAt: 1, Reason: "missing"}
				if r.IntN(6) > 0 {
					x.Value, x.Reason = ptr(float64(r.IntN(9))/4), ""
				} else if r.IntN(2) == 0 {
					x.Reason = ReasonNotChosen
				}
				one.Rewards = append(one.Rewards, x)
			}
		}
		value, masked := engine.Return(one.Rewards)
		for _, rule := range engine.Rules() { // what was taken back is as if it were not there
			if rule.Level == rewards.LevelStep && r.IntN(3) == 0 {
				one.Rewards = append(one.Rewards, trajectory.Reward{Step: 7, Name: rule.Name, RuleHash: rule.Hash, EvaluatedAt: 1, Reason: ReasonNotChosen})
			}
		}
		switch {
		case masked:
			want[one.ID] = "masked"
		case value == nil:
			want[one.ID] = "no_value"
		default:
			want[one.ID] = Text(plainFloat(*value, 64))
		}
		list = append(list, one)
	}
	write(t, root, list)
	db := open(t, root, engine.Rules()...)
	kinds := map[string]int{}
	for _, row := range table(t, db, "SELECT trajectory_id, value, reason FROM returns") {
		got := row[1]
		if got == "NULL" {
			got = row[2]
			kinds[got]++
		}
		if got == "not_scored" {
			continue // no row at all: the engine was never asked
		}
		if value, ok := parse(got); ok {
			expected, _ := parse(want[row[0]])
			require.InDelta(t, expected, value, 1e-9, row[0])
			continue
		}
		require.Equal(t, want[row[0]], got, row[0])
	}
	assert.Positive(t, kinds["masked"])
	assert.Less(t, kinds["masked"], 380)
}

func TestFactsFindTheirTrajectory(t *testing.T) {
	root := t.TempDir()
	list := []*trajectory.Trajectory{attempt(0, "a"), attempt(1, "a"), attempt(2, "a")} // one conversation
	minute := func(n float64) int64 { return start.Add(time.Duration(n * float64(time.Minute))).UnixMicro() }
	facts := []trajectory.Fact{
		{ID: "by trajectory", TrajectoryID: list[0].ID, TraceID: list[1].TraceIDs[0]},
		{ID: "by span", SpanID: list[1].Steps[1].SpanID, TraceID: list[1].TraceIDs[0], ConversationID: "chat0"},
		{ID: "by response", ResponseID: "r2-0"},
		{ID: "by trace, as the span is no step", TraceID: list[2].TraceIDs[0], SpanID: "ffffffffffffffff"},
		{ID: "by conversation, before the third", ConversationID: "chat0", ObservedAt: minute(1.5)},
		{ID: "by conversation, after all", ConversationID: "chat0", ObservedAt: minute(99)},
		{ID: "about nothing we know", TraceID: "ff"},
	}
	for i := range facts {
		facts[i].Name, facts[i].Source = "solved", "feedback"
		if facts[i].ObservedAt == 0 {
			facts[i].ObservedAt = minute(50)
		}
	}
	write(t, root, list, facts...)
	write(t, root, nil, facts...) // delivered twice
	db := open(t, root)
	assert.Equal(t, [][]string{
		{"about nothing we know", "NULL", "NULL"},
		{"by conversation, after all", "2", "conversation"},
		{"by conversation, before the third", "1", "conversation"},
		{"by response", "2", "response"},
		{"by span", "1", "span"},
		{"by trace, as the span is no step", "2", "trace"},
		{"by trajectory", "0", "trajectory"},
	}, table(t, db, "SELECT fact_id, right(trajectory_id, 1), matched_by FROM facts ORDER BY 1"))
	byID, err := db.Facts(context.Background())
	require.NoError(t, err)
	assert.Len(t, byID, 3)
	assert.Equal(t, "by span", byID[list[1].ID][1].ID)
	assert.Equal(t, minute(50), byID[list[1].ID][1].ObservedAt)
}

func TestGroupsView(t *testing.T) {
	root := t.TempDir()
	var list []*trajectory.Trajectory
	for n, task := range []string{"a", "a", "a", "b", "b", "c"} {
		one := attempt(n, task)
		one.Rewards = []trajectory.Reward{{Step: -1, Name: "solved", RuleHash: "h", Value: ptr(float64(n % 2)), EvaluatedAt: 1}}
		one.Trainable = n != 2
		list = append(list, one)
	}
	list[4].Rewards[0].Value = ptr(1.0)
	write(t, root, list)
	db := open(t, root, rewards.Rule{Name: "solved", Hash: "h", Level: rewards.LevelTrajectory, Weight: 1, Missing: rewards.MissingMask})
	assert.Equal(t, [][]string{
		{"acme", "a", "3", "2", "2", "0.5", "true"},
		{"acme", "b", "2", "2", "2", "1", "false"},
		{"acme", "c", "1", "1", "1", "1", "false"},
	}, table(t, db, "SELECT tenant, task_key, trajectories, trainable, scored, mean, informative FROM groups ORDER BY task_key"))
}

func TestTrajectoriesComeBackWhole(t *testing.T) {
	root := t.TempDir()
	want := map[string]*trajectory.Trajectory{}
	for b := range 3 {
		var list []*trajectory.Trajectory
		for n := range 10 {
			one := attempt(10*b+n, strings.Repeat("x", b+1))
			list = append(list, one)
			want[one.ID] = one
		}
		write(t, root, shuffled(uint64(b), list))
	}
	newer := attempt(5, "xx")
	newer.Revision++
	write(t, root, []*trajectory.Trajectory{newer})
	want[newer.ID] = newer
	db := open(t, root)
	read := func(where string) (ids []string) {
		for got, err := range db.Trajectories(context.Background(), where) {
			require.NoError(t, err)
			assert.Equal(t, want[got.ID], got)
			ids = append(ids, got.ID)
		}
		return ids
	}
	all := read("")
	assert.Len(t, all, 30)
	assert.Equal(t, all, read("true -- everything"))
	assert.Len(t, read("task_key = 'xx'"), 11)
	assert.Empty(t, read("list_contains(agent_names, 'nobody')"))
	for got, err := range db.Trajectories(context.Background(), "task_kye = 'xx'") {
		assert.Nil(t, got)
		require.Error(t, err)
		assert.Contains(t, err.Error(), `where: Binder Error: Referenced column "task_kye" not found`)
	}
	for _, err := range db.Trajectories(context.Background(), "") {
		require.NoError(t, err)
		break // must not go on
	}
	slices.Sort(all)
	assert.Len(t, slices.Compact(all), 30)
}

func TestTwoWitnessesOfOneCall(t *testing.T) {
	root := t.TempDir()
	seen, alone := attempt(1, "a"), attempt(2, "b")
	gateway := func(n int, response string) *trajectory.Trajectory {
		g := attempt(n, "a")
		g.Source, g.Steps = trajectory.SourceGateway, g.Steps[:1]
		g.Steps[0].Model.ResponseID = response
		return g
	}
	twin, own, unknown := gateway(3, "r1-2"), gateway(4, "r4-0"), gateway(5, "")
	stale := attempt(6, "c") // its live revision no longer shows the call
	stale.Steps[0].Model.ResponseID = "r4-0"
	newer := attempt(6, "c")
	newer.Revision++
	other := gateway(7, "r1-0")
	other.Trainable, other.Reasons = false, []trajectory.Reason{trajectory.ReasonFailed, trajectory.ReasonDuplicate}
	write(t, root, []*trajectory.Trajectory{seen, alone, twin, own, unknown, stale, other})
	write(t, root, []*trajectory.Trajectory{newer})
	db := open(t, root)
	assert.Equal(t, [][]string{
		{"1", "true", "[]"}, {"2", "true", "[]"}, {"3", "false", `["possible_duplicate"]`}, {"4", "true", "[]"}, {"5", "true", "[]"},
		{"6", "true", "[]"}, {"7", "false", `["call_failed","possible_duplicate"]`},
	}, table(t, db, "SELECT right(trajectory_id, 1), trainable, reasons FROM trajectories ORDER BY 1"))
	chosen, err := db.Select(context.Background(), Selection{})
	require.NoError(t, err)
	assert.Equal(t, "not_trainable: possible_duplicate", chosen[2].LeftOut)
	for got, err := range db.Trajectories(context.Background(), "source = 'gateway' AND NOT trainable") {
		require.NoError(t, err)
		assert.False(t, got.Trainable)
		assert.Contains(t, got.Reasons, trajectory.ReasonDuplicate)
	}
}

func TestTwoWritersOfOneTrajectory(t *testing.T) {
	root := t.TempDir()
	writeAs := func(name string, list ...*trajectory.Trajectory) {
		w, err := dataset.NewWriter(root, name, dataset.Options{})
		require.NoError(t, err)
		_, err = w.Write(context.Background(), list, nil)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	one, rest, whole, again, nameless := attempt(1, "a"), attempt(1, "a"), attempt(2, "a"), attempt(2, "a"), attempt(3, "a")
	rest.Writer, rest.Revision = "other", rest.Revision+1
	again.Revision++
	nameless.Writer = ""
	both := attempt(2, "a") // out of files that the collector wrote
	both.Source, both.Writer = trajectory.SourceImport, "import"
	writeAs("import", both)
	writeAs("test", one, whole, nameless)
	writeAs("other", rest)
	writeAs("test", again)
	db := open(t, root)
	assert.Equal(t, [][]string{{"1", "false", `["split_across_collectors"]`}, {"2", "true", "[]"}, {"3", "true", "[]"}},
		table(t, db, "SELECT right(trajectory_id, 1), trainable, reasons FROM trajectories ORDER BY 1"))
	chosen, err := db.Select(context.Background(), Selection{})
	require.NoError(t, err)
	assert.Equal(t, "not_trainable: split_across_collectors", chosen[0].LeftOut)
	assert.Empty(t, chosen[1].LeftOut)
}
