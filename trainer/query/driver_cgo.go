//go:build cgo

package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"
)

// connect opens a fresh database in memory.
func connect() (*sql.DB, error) { return sql.Open("duckdb", "") }

// readOnly fails unless text is one statement that only reads. It is checked
// on the parsed statement, before anything is run.
func readOnly(ctx context.Context, db *sql.DB, text string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) error {
		kind, err := kindOf(c.(*duckdb.Conn), text)
		if err != nil {
			return err
		}
		if kind == duckdb.STATEMENT_TYPE_EXPLAIN { // EXPLAIN ANALYZE runs what it explains
			if kind, err = kindOf(c.(*duckdb.Conn), explain.ReplaceAllString(text, "")); err != nil {
				return err
			}
		}
		if kind != duckdb.STATEMENT_TYPE_SELECT {
			return errNotReading
		}
		return nil
	})
}

func kindOf(conn *duckdb.Conn, text string) (duckdb.StmtType, error) {
	stmt, err := conn.Prepare(text)
	if err != nil {
		if strings.Contains(err.Error(), "multi-statement") {
			return 0, errSeveral
		}
		return 0, err
	}
	defer stmt.Close()
	kind, err := stmt.(*duckdb.Stmt).StatementType()
	return kind, err
}

// each runs a query and gives its rows as the driver makes them, which for many
// rows costs a third of database/sql. The slice is only good for the call.
func each(ctx context.Context, db *sql.DB, text string, args map[string]any, take func(row []driver.Value)) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) error {
		var named []driver.NamedValue
		for name, value := range args {
			named = append(named, driver.NamedValue{Name: name, Ordinal: len(named) + 1, Value: value})
		}
		rows, err := c.(*duckdb.Conn).QueryContext(ctx, text, named)
		if err != nil {
			return err
		}
		defer rows.Close()
		row := make([]driver.Value, len(rows.Columns()))
		for n := 0; ; n++ {
			if n%4096 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := rows.Next(row); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			take(row)
		}
	})
}

// fill appends rows to a table of the schema v1.
func fill(ctx context.Context, db *sql.DB, table string, rows [][]driver.Value) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) error {
		a, err := duckdb.NewAppenderFromConn(c.(driver.Conn), "v1", table)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := a.AppendRow(row...); err != nil {
				return errors.Join(err, a.Close())
			}
		}
		return a.Close()
	})
}

// duckMessage is DuckDB's own message, with the line and the caret; "" if the
// error is not DuckDB's. data: files may be to blame rather than the SQL.
func duckMessage(err error) (message string, data bool) {
	var e *duckdb.Error
	if !errors.As(err, &e) {
		return "", false
	}
	switch e.Type {
	case duckdb.ErrorTypeIO, duckdb.ErrorTypeInvalidInput, duckdb.ErrorTypeSerialization, duckdb.ErrorTypeInvalid, duckdb.ErrorTypeUnknownType:
		data = !strings.Contains(e.Msg, "\nLINE ")
	}
	return e.Msg, data
}

// plain turns a value of the driver into one of: nil, bool, string,
// json.Number, float64, []any, map[string]any.
func plain(v any, column string) any {
	switch v := v.(type) {
	case nil, bool, string:
		return v
	case int8, int16, int32, int64, uint8, uint16, uint32, uint64:
		return json.Number(fmt.Sprint(v))
	case *big.Int:
		return json.Number(v.String())
	case float32:
		return plainFloat(float64(v), 32)
	case float64:
		return plainFloat(v, 64)
	case duckdb.Decimal:
		return json.Number(v.String())
	case time.Time:
		return plainTime(v, column)
	case duckdb.Interval:
		return fmt.Sprintf("%d months %d days %s", v.Months, v.Days, time.Duration(v.Micros)*time.Microsecond)
	case duckdb.UUID:
		return (&v).String()
	case []byte:
		if len(v) == 16 && column == "UUID" {
			id := duckdb.UUID(v)
			return id.String()
		}
		return hex.EncodeToString(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i], "")
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, x := range v {
			out[key] = plain(x, "")
		}
		return out
	case duckdb.OrderedMap:
		out := make(map[string]any, v.Len())
		keys, values := v.Keys(), v.Values()
		for i := range keys {
			out[fmt.Sprint(plain(keys[i], ""))] = plain(values[i], "")
		}
		return out
	case duckdb.Union:
		return plain(v.Value, "")
	}
	return fmt.Sprint(v)
}
