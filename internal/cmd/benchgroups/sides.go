package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/query"
)

// memory is what a night may use: the bar is 4 GB in all.
const memory = "2GB"

func open(ctx context.Context, dir string) (*query.DB, error) {
	engine, err := rewards.Parse("rewards.yaml", []byte(rules))
	if err != nil {
		return nil, err
	}
	return query.Open(ctx, dir, query.Options{Rules: engine.Rules(), MemoryLimit: memory})
}

// opened opens the dataset and asks nothing.
func opened(ctx context.Context, dir string) (string, error) {
	db, err := open(ctx, dir)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d files of trajectories", len(db.Files(dataset.TableTrajectories))), db.Close()
}

// rescored computes every reward anew, as a night does: facts, trajectories
// whole, the rules.
func rescored(ctx context.Context, dir string) (string, error) {
	engine, err := rewards.Parse("rewards.yaml", []byte(rules))
	if err != nil {
		return "", err
	}
	db, err := open(ctx, dir)
	if err != nil {
		return "", err
	}
	defer db.Close()
	facts, err := db.Facts(ctx)
	if err != nil {
		return "", err
	}
	some := 0
	for t, err := range db.Trajectories(ctx, "") {
		if err != nil {
			return "", err
		}
		if value, _ := engine.Return(engine.Score(t, facts[t.ID], t.Revision)); value != nil {
			some++
		}
	}
	return fmt.Sprintf("%d returns", some), nil
}

// groups makes of every trajectory with a return a member of its group, with an
// advantage.
func groups(ctx context.Context, dir string) (string, error) {
	db, err := open(ctx, dir)
	if err != nil {
		return "", err
	}
	defer db.Close()
	list, err := db.Groups(ctx, query.Selection{})
	if err != nil {
		return "", err
	}
	values := make([][]float64, len(list))
	for i := range list {
		values[i] = list[i].Returns
	}
	advantages, dropped := grpo.Batch(values, grpo.Options{})
	some := 0
	for _, a := range advantages {
		some += len(a)
	}
	return fmt.Sprintf("%d groups, %d advantages, dropped %+v", len(list), some, dropped), nil
}

// columns are what groups reads, by table.
var columns = map[string][]string{
	dataset.TableTrajectories: {"trajectory_id", "revision", "batch", "task_key", "tenant", "bundle", "started_at", "ended_at", "exported_at", "trainable", "reasons"},
	dataset.TableRewards:      {"trajectory_id", "revision", "batch", "step_index", "name", "value", "reason", "rule_hash", "evaluated_at"},
}

// hash reads the same columns of the same files once.
func hash(ctx context.Context, dir string) (string, error) {
	db, err := open(ctx, dir)
	if err != nil {
		return "", err
	}
	defer db.Close()
	var says []string
	for _, table := range []string{dataset.TableTrajectories, dataset.TableRewards} {
		text := fmt.Sprintf("SELECT count(*), bit_xor(hash(%s)) FROM %s", strings.Join(columns[table], ", "), files(db, table))
		row, err := first(ctx, db, text)
		if err != nil {
			return "", err
		}
		says = append(says, fmt.Sprintf("%s %v", table, row[0]))
	}
	return strings.Join(says, ", "), nil
}

func files(db *query.DB, table string) string {
	var list []string
	for _, f := range db.Files(table) {
		list = append(list, "'"+strings.ReplaceAll(f, "'", "''")+"'")
	}
	return "read_parquet([" + strings.Join(list, ", ") + "])"
}

// byTask is a question that an analyst asks.
func byTask(ctx context.Context, dir string) (string, error) {
	db, err := open(ctx, dir)
	if err != nil {
		return "", err
	}
	defer db.Close()
	row, err := first(ctx, db, `SELECT count(*), max(mean) FROM (
		SELECT task_key, count(*) AS n, avg(value) AS mean FROM trajectories JOIN returns USING (trajectory_id, revision) GROUP BY task_key)`)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%v tasks", row[0]), nil
}

func first(ctx context.Context, db *query.DB, text string) ([]any, error) {
	rows, err := db.Query(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, fmt.Errorf("no answer to %s: %w", text, rows.Err())
	}
	return rows.Values(), nil
}
