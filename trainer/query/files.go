package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// addFiles creates files.<table>: the rows of its files under the columns of
// v1.<table>, plus what newer writers added.
func (db *DB) addFiles(ctx context.Context, table string) error {
	alike, err := db.checkFiles(ctx, table)
	if err != nil {
		return err
	}
	text := "CREATE VIEW files." + table + " AS FROM v1." + table
	for _, files := range alike {
		text += " UNION ALL BY NAME FROM " + scan(files)
	}
	if err := db.exec(ctx, text); err != nil {
		return fmt.Errorf("read table %s: files disagree about the type of a column: rewrite those that differ from docs/dataset.md: %w", table, err)
	}
	return nil
}

// scan reads files that have the same columns. (With union_by_name, each
// mention of the table would open every file.)
func scan(files []string) string {
	return "read_parquet(" + quoteAll(files) + ", hive_partitioning = false)"
}

// checkFiles reads the footers of all files once and gives the files by their
// columns: those of one list have the same. Only if something is wrong does it
// go looking for the file.
func (db *DB) checkFiles(ctx context.Context, table string) ([][]string, error) {
	if len(db.files[table]) == 0 {
		return nil, nil
	}
	alike, err := db.alike(ctx, table)
	for _, files := range alike {
		err = errors.Join(err, db.checkColumns(ctx, table, files[0]))
	}
	if err == nil {
		return alike, nil
	}
	for _, file := range db.files[table] {
		if err := db.checkColumns(ctx, table, file); err != nil {
			return nil, fmt.Errorf("read %s: %w: move the file out of the dataset, or write it again", file, err)
		}
	}
	return nil, err
}

// alike gives the files of a table by their columns.
func (db *DB) alike(ctx context.Context, table string) (out [][]string, err error) {
	rows, err := db.sql.QueryContext(ctx, statement("run/alike"), db.files[table])
	if err != nil {
		return nil, explained(err)
	}
	defer rows.Close()
	for rows.Next() {
		var list any
		if err := rows.Scan(&list); err != nil {
			return nil, explained(err)
		}
		var files []string
		for _, file := range list.([]any) {
			files = append(files, file.(string))
		}
		out = append(out, files)
	}
	return out, explained(rows.Err())
}

// required are the columns that make rows count and that tell the tables apart;
// a file without them is not of this table.
var required = map[string][]string{
	"trajectories": {"trajectory_id", "revision", "batch", "trace_ids", "span_count"},
	"steps":        {"trajectory_id", "revision", "batch", "step_index", "kind"},
	"messages":     {"trajectory_id", "revision", "batch", "message_index"},
	"rewards":      {"trajectory_id", "revision", "batch", "name", "value", "rule_hash"},
	"facts":        {"fact_id", "batch", "name"},
}

func (db *DB) checkColumns(ctx context.Context, table, file string) error {
	have, err := db.columns(ctx, scan([]string{file}))
	if err != nil {
		return fmt.Errorf("it is not a Parquet file that can be read (%s)", firstLine(err))
	}
	want, err := db.columns(ctx, "v1."+table)
	if err != nil {
		return err
	}
	for _, name := range required[table] {
		if have[name] == "" {
			return fmt.Errorf("it has no column %s, so it is not a file of table %s", name, table)
		}
	}
	for name, kind := range have {
		if want[name] != "" && want[name] != kind {
			return fmt.Errorf("its column %s is %s instead of %s", name, kind, want[name])
		}
	}
	return nil
}

func (db *DB) columns(ctx context.Context, relation string) (map[string]string, error) {
	rows, err := db.sql.QueryContext(ctx, "SELECT column_name, column_type FROM (DESCRIBE FROM "+relation+")")
	if err != nil {
		return nil, explained(err)
	}
	defer rows.Close()
	columns := map[string]string{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return nil, explained(err)
		}
		columns[name] = kind
	}
	return columns, explained(rows.Err())
}

// blame finds the file whose data cannot be read, for errors that do not name
// it. It reads every file whole, which only a broken dataset has to bear.
func (db *DB) blame(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if _, data := duckMessage(err); !data {
		return err
	}
	for table := range required {
		for _, file := range db.files[table] {
			var rows int64
			probe := "SELECT count(hash(t)) FROM " + scan([]string{file}) + " t"
			if bad := db.sql.QueryRowContext(ctx, probe).Scan(&rows); bad != nil {
				return fmt.Errorf("read %s: its data is broken (%s): move the file out of the dataset, or write it again", file, firstLine(explained(bad)))
			}
		}
	}
	return err
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
