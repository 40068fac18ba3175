package query

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Column is a column of a result.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // in DuckDB's words
}

// Rows is a result, read row by row. It must be closed.
type Rows struct {
	Columns []Column

	ctx    context.Context
	db     *DB
	rows   *sql.Rows
	values []any
	into   []any
	err    error
}

// Query runs one query and gives its rows. Anything else than a single
// statement that reads is refused before it runs. Errors about the SQL are
// [*Error]; args are values for ? or $name.
func (db *DB) Query(ctx context.Context, text string, args ...any) (*Rows, error) {
	if err := readOnly(ctx, db.sql, text); err != nil {
		return nil, explained(err)
	}
	rows, err := db.sql.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, explained(db.blame(ctx, err))
	}
	r := &Rows{ctx: ctx, db: db, rows: rows}
	kinds, err := rows.ColumnTypes()
	if err != nil {
		_ = rows.Close()
		return nil, explained(err)
	}
	r.values, r.into = make([]any, len(kinds)), make([]any, len(kinds))
	for i, k := range kinds {
		r.Columns = append(r.Columns, Column{Name: k.Name(), Type: k.DatabaseTypeName()})
		r.into[i] = &r.values[i]
	}
	return r, nil
}

// Next moves to the next row; false at the end or on an error, see [Rows.Err].
func (r *Rows) Next() bool {
	if r.err != nil || !r.rows.Next() {
		return false
	}
	r.err = r.rows.Scan(r.into...)
	return r.err == nil
}

// Values are the row's values as JSON knows them: nil, bool, string,
// json.Number, []any or map[string]any. Times are RFC 3339 in UTC; NaN and the
// infinities are strings. The caller owns the slice.
func (r *Rows) Values() []any {
	out := make([]any, len(r.values))
	for i, v := range r.values {
		out[i] = plain(v, r.Columns[i].Type)
	}
	return out
}

// Err is the error that ended the rows, if one did.
func (r *Rows) Err() error {
	if r.err == nil {
		r.err = r.rows.Err()
	}
	return explained(r.db.blame(r.ctx, r.err))
}

// Close frees the result. It may be called twice.
func (r *Rows) Close() error { return r.rows.Close() }

// Text is a value of [Rows.Values] on one line: NULL, texts with their line
// breaks shown, and JSON for lists and structs.
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return lines.Replace(v)
	case json.Number:
		return v.String()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

var lines = strings.NewReplacer("\n", "⏎", "\r", "", "\t", " ")

func plainFloat(v float64, bits int) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, bits)
	}
	return json.Number(strconv.FormatFloat(v, 'g', -1, bits))
}

func plainTime(t time.Time, column string) string {
	switch column {
	case "DATE":
		return t.Format(time.DateOnly)
	case "TIME":
		return t.Format("15:04:05.999999")
	}
	return t.UTC().Format(time.RFC3339Nano)
}
