//go:build !cgo

package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

func connect() (*sql.DB, error) { return nil, ErrNoCgo }

func readOnly(context.Context, *sql.DB, string) error { return ErrNoCgo }

func fill(context.Context, *sql.DB, string, [][]driver.Value) error { return ErrNoCgo }

func each(context.Context, *sql.DB, string, map[string]any, func([]driver.Value)) error {
	return ErrNoCgo
}

func duckMessage(error) (message string, data bool) { return "", false }

func plain(v any, _ string) any { return v }
