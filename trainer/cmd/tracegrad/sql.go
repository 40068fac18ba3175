package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tracegrad/tracegrad/rewards"
	"github.com/tracegrad/tracegrad/trainer/query"
)

type sqlFlags struct {
	dataset string
	rewards string
	file    string
	format  string
	asJSON  bool
	list    bool
}

func newSQL() *cobra.Command {
	var f sqlFlags
	cmd := &cobra.Command{
		Use:   "sql [QUERY]",
		Short: "Query a dataset",
		Long: `Sql runs one query over a dataset with DuckDB and prints the rows.

It sees the views that docs/dataset.md describes (--list names them with their
columns): only committed sets, only the newest revision of each trajectory, and
of each reward the newest value. The query comes from the argument, from a file,
or from standard input if there is neither. Nothing is written, and no other
file can be read. Of a dataset in a bucket a copy is kept: in the folder
$TRACEGRAD_CACHE, or else in the user's cache directory.

With --rewards the views rewards and returns follow that file's rules and
weights; without it, the rules that were evaluated last.`,
		Example: `  tracegrad sql --dataset dataset 'SELECT status, count(*) FROM trajectories GROUP BY ALL'
  tracegrad sql --dataset dataset --format csv --file errors.sql > errors.csv
  tracegrad sql --dataset dataset --list`,
		Args: cobra.MaximumNArgs(1),
		RunE: f.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataset, "dataset", "dataset", "`directory` of the dataset, as in the parquet exporter's configuration; s3://, gs:// and az:// too")
	flags.StringVar(&f.rewards, "rewards", "", "`file` of reward rules")
	flags.StringVar(&f.file, "file", "", "read the query from this `file`")
	flags.StringVar(&f.format, "format", "table", "print as `table`, csv, json or jsonl")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON, the same as --format json")
	flags.BoolVar(&f.list, "list", false, "list the views and their columns")
	return cmd
}

func (f *sqlFlags) run(cmd *cobra.Command, args []string) error {
	if f.asJSON {
		f.format = "json"
	}
	write, ok := tableFormats[f.format]
	if !ok {
		return usageError{fmt.Errorf("--format %s: want table, csv, json or jsonl", f.format)}
	}
	text, err := f.query(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	return f.ask(cmd.Context(), cmd.ErrOrStderr(), text, func(rows *query.Rows) error {
		return write(cmd.OutOrStdout(), rows)
	})
}

// query is the text to run.
func (f *sqlFlags) query(in io.Reader, args []string) (string, error) {
	sources := len(args)
	for _, set := range []bool{f.file != "", f.list} {
		if set {
			sources++
		}
	}
	if sources > 1 {
		return "", usageError{errors.New("give the query once: as an argument, with --file or on standard input; --list needs none")}
	}
	switch {
	case f.list:
		return listViews, nil
	case len(args) == 1:
		return args[0], nil
	case f.file != "":
		text, err := os.ReadFile(f.file)
		if err != nil {
			return "", fmt.Errorf("read query: %w", err)
		}
		return string(text), nil
	case isTerminal(in):
		return "", usageError{errors.New("no query")}
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return "", fmt.Errorf("read query: %w", err)
	}
	if strings.TrimSpace(string(text)) == "" {
		return "", usageError{errors.New("no query")}
	}
	return string(text), nil
}

// leftOut warns of a file of the dataset that cannot be read; the rest goes on.
func leftOut(errOut io.Writer, command string) func(file string, err error) {
	return func(file string, err error) {
		fmt.Fprintf(errOut, "tracegrad %s: left out, with the rest of its file set: %s: %v: move it out of the dataset, or write it again\n", command, file, err)
	}
}

func (f *sqlFlags) ask(ctx context.Context, errOut io.Writer, text string, show func(*query.Rows) error) (err error) {
	opt := query.Options{Fetched: fetched(errOut), LeaveOut: leftOut(errOut, "sql")}
	if f.rewards != "" {
		engine, err := rewards.Load(f.rewards)
		if err != nil {
			return err
		}
		opt.Rules = engine.Rules()
	}
	db, err := query.Open(ctx, f.dataset, opt)
	if err != nil {
		return namingDataset(err, "name the one that the Collector writes with --dataset DIRECTORY")
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.Query(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := show(rows); err != nil {
		return err
	}
	return rows.Err()
}

// namingDataset adds to an error about where the dataset is how to say it,
// unless it says so already.
func namingDataset(err error, hint string) error {
	if errors.Is(err, query.ErrNoDataset) && !strings.Contains(err.Error(), "--dataset") {
		return fmt.Errorf("%w: %s", err, hint)
	}
	return err
}

const listViews = `
SELECT table_name AS view, column_name AS column, data_type AS type
FROM duckdb_columns()
JOIN duckdb_views() ON view_oid = table_oid
WHERE duckdb_columns.schema_name = 'main' AND NOT duckdb_columns.internal
ORDER BY table_oid, column_index`
