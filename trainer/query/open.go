package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/bucket"
	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/rewards"
)

//go:embed sql
var statements embed.FS

// Options of [Open]; the zero value is a sound one.
type Options struct {
	Rules       []rewards.Rule // decide which rewards are current and what they weigh; nil = see view rules
	MemoryLimit string         // such as "4GB"; "" = DuckDB's default, 80 % of the machine
	Threads     int            // 0 = one per core
	TempDir     string         // where queries spill; "" = the system's

	// Keep says which files are read, by table and path under the dataset's
	// directory; nil = all.
	Keep func(table, path string) bool

	// LeaveOut is told of each file that is not Parquet of its table, or cannot
	// be opened; the files of its set are then not read. nil = [Open] fails.
	LeaveOut func(file string, err error)

	// Fetched hears how many bytes of a dataset in a bucket were brought, of those
	// that are not here yet; nil = nobody asks.
	Fetched func(done, total int64)
}

// DB is a dataset opened for queries. It is safe for concurrent use.
type DB struct {
	sql   *sql.DB
	root  string              // absolute
	files map[string][]string // by table, absolute
	spill string
	rows  int          // of trajectories, superseded ones too
	leave func() error // nobody reads root any more
}

// views in the order in which they build on each other. Those of the schema v1 are ours.
var views = []string{"live", "v1.counted", "trajectories", "steps", "messages", "rules", "v1.current", "rewards", "v1.scores", "returns", "facts", "prompts", "groups", "splits"}

// Open opens the dataset at dir, a directory or the URL of a bucket, as it is
// now. What is in a bucket is copied first, see [bucket.Local]. The caller closes it.
//
// It fails with [ErrNoDataset] if dir is no directory or holds no folder v1, and with an error that
// names the file if one is not Parquet or not of its table.
func Open(ctx context.Context, dir string, opt Options) (*DB, error) {
	root, leave, err := bucket.Local(ctx, dir, bucket.ReadOptions{Keep: opt.Keep, Progress: opt.Fetched})
	if err != nil {
		return nil, fmt.Errorf("open dataset %s: %w", dir, err)
	}
	db, err := openIn(ctx, dir, root, opt)
	if err != nil {
		return nil, errors.Join(err, leave())
	}
	db.leave = leave
	return db, nil
}

// openIn opens the dataset in the directory root, which the user calls dir.
func openIn(ctx context.Context, dir, root string, opt Options) (*DB, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open dataset %s: %w", dir, err)
	}
	if info, err := os.Stat(root); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("open dataset %s: %w: there is no such directory", dir, ErrNoDataset)
	}
	version := fmt.Sprintf("v%d", dataset.Version)
	if info, err := os.Stat(filepath.Join(root, version)); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("open dataset %s: %w: there is no folder %s in it", dir, ErrNoDataset, version)
	}
	db := &DB{root: root, files: map[string][]string{}}
	// Trajectories first: a set that is committed meanwhile is then not seen at
	// all, instead of as trajectories without steps.
	for i := len(dataset.Tables) - 1; i >= 0; i-- {
		table := dataset.Tables[i]
		if db.files[table], err = dataset.Files(root, table); err != nil {
			return nil, fmt.Errorf("open dataset %s: %w", dir, err)
		}
		db.files[table] = kept(root, table, db.files[table], opt.Keep)
	}
	if db.sql, err = connect(); err != nil {
		return nil, err
	}
	if err := db.set(ctx, opt); err != nil {
		return nil, errors.Join(fmt.Errorf("open dataset %s: %w", dir, err), db.Close())
	}
	return db, nil
}

func kept(root, table string, files []string, keep func(table, path string) bool) []string {
	if keep == nil {
		return files
	}
	return slices.DeleteFunc(files, func(file string) bool {
		path, err := filepath.Rel(root, file)
		return err == nil && !keep(table, path)
	})
}

// Close frees the database and what it spilled. It may be called twice.
func (db *DB) Close() error {
	err := db.sql.Close()
	if db.spill != "" {
		err = errors.Join(err, os.RemoveAll(db.spill))
	}
	if db.leave != nil {
		err = errors.Join(err, db.leave())
		db.leave = nil
	}
	return err
}

// Root is the directory that the files are in: the dataset's own, or that of
// the copy of a bucket.
func (db *DB) Root() string { return db.root }

// Files are the files of a table that the views read.
func (db *DB) Files(table string) []string { return db.files[table] }

func (db *DB) set(ctx context.Context, opt Options) error {
	if err := db.lockDown(ctx, opt); err != nil {
		return err
	}
	for _, schema := range []string{"v1", "files"} {
		if err := db.exec(ctx, "CREATE SCHEMA "+schema); err != nil {
			return err
		}
	}
	for _, table := range append([]string{"rules"}, dataset.Tables...) {
		if err := db.exec(ctx, statement("tables/"+table)); err != nil {
			return err
		}
	}
	if opt.LeaveOut != nil {
		if err := db.leaveOut(ctx, opt.LeaveOut); err != nil {
			return err
		}
	}
	for _, table := range dataset.Tables {
		if err := db.addFiles(ctx, table); err != nil {
			return err
		}
	}
	if err := db.setRules(ctx, opt.Rules); err != nil {
		return err
	}
	seen, err := db.witnesses(ctx)
	if err != nil {
		return err
	}
	seen.Steps = slices.ContainsFunc(opt.Rules, func(r rewards.Rule) bool { return r.Level == rewards.LevelStep })
	for _, view := range views {
		if err := db.exec(ctx, filled("views/"+view, seen)); err != nil {
			return fmt.Errorf("create view %s: %w", view, err)
		}
	}
	return nil
}

// witnesses says who saw what stands in the dataset.
type witnesses struct {
	Gateway bool // there are trajectories of our gateway
	Writers bool // there are several writers
	Newest  bool // a trajectory stands in several rows
	Steps   bool // a rule in force is about steps
}

func (db *DB) witnesses(ctx context.Context) (seen witnesses, err error) {
	if err = db.exec(ctx, statement("tables/newest")); err == nil {
		err = db.sql.QueryRowContext(ctx, statement("run/witnesses")).Scan(&seen.Gateway, &seen.Writers, &seen.Newest, &db.rows)
	}
	return seen, explained(db.blame(ctx, err))
}

// lockDown leaves the dataset's directory, and a directory of ours to spill
// to, as the only files that can be reached.
func (db *DB) lockDown(ctx context.Context, opt Options) (err error) {
	if db.spill, err = os.MkdirTemp(opt.TempDir, "tracegrad-query-"); err != nil {
		return fmt.Errorf("make directory for spilling: %w", err)
	}
	settings := []string{
		"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false",
		"SET TimeZone = 'UTC'",
		"SET temp_directory = " + quote(db.spill),
		"SET allowed_directories = [" + quote(db.root) + "]",
		"SET enable_external_access = false",
		"SET parquet_metadata_cache = true", // committed files never change
	}
	if opt.MemoryLimit != "" {
		settings = append(settings, "SET memory_limit = "+quote(opt.MemoryLimit))
	}
	if opt.Threads > 0 {
		settings = append(settings, fmt.Sprintf("SET threads = %d", opt.Threads))
	}
	for _, s := range append(settings, "SET lock_configuration = true") {
		if err := db.exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// A rule is a bit of 64 in v1.scores.
const _ = uint(64 - rewards.MaxRules)

func (db *DB) setRules(ctx context.Context, rules []rewards.Rule) error {
	rows := make([][]driver.Value, len(rules))
	for i, r := range rules {
		rows[i] = []driver.Value{int32(i), r.Name, r.Hash, string(r.Level), r.Weight, string(r.Missing)}
	}
	if len(rows) == 0 {
		return nil
	}
	return fill(ctx, db.sql, "rules", rows)
}

func (db *DB) exec(ctx context.Context, text string) error {
	_, err := db.sql.ExecContext(ctx, text)
	return explained(err)
}

// statement is the text of an embedded .sql file. A missing one is a mistake
// of ours.
func statement(name string) string {
	text, err := statements.ReadFile("sql/" + name + ".sql")
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return string(text)
}

// quote makes a string literal.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func quoteAll(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// explained makes an error of the driver one of ours.
func explained(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if message, _ := duckMessage(err); message != "" {
		return &Error{Message: strings.TrimSpace(message)}
	}
	return err
}
