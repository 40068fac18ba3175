// Package query asks a dataset in SQL, with DuckDB in memory.
//
// [Open] lists the dataset's files once, so that all queries see the same
// state, and creates the views that docs/dataset.md describes: live,
// trajectories, steps, messages, rewards, returns, facts, prompts, groups and
// rules. A table without files gives an empty view of the right types. Columns
// that older files lack are NULL, columns that are new are there.
//
// The database is locked down: no extension is loaded or installed, no file
// outside the dataset can be read, and settings cannot be changed. [DB.Query]
// runs single queries and nothing else; nothing here writes to the dataset.
//
// Every statement is a file of its own in sql/. This is the only package that
// uses cgo; without it [Open] fails with [ErrNoCgo].
package query
