package query

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Selection says what to train on. Expressions are SQL over the view
// trajectories.
type Selection struct {
	Where     string    // "" = all
	GroupBy   string    // "" = task_key
	HoldoutBy string    // "" = task_key
	Agents    []string  // agents or services of which one took part; nil = all
	Since     time.Time // trajectories that ended before it are left out; zero = none
	Until     time.Time // and those that ended after it; zero = none
}

// Candidate is a live trajectory and what the selection makes of it.
type Candidate struct {
	ID       string `json:"trajectory_id"`
	Revision int64  `json:"revision"`
	TaskKey  string `json:"task_key,omitempty"`
	Tenant   string `json:"tenant,omitempty"`
	Group    string `json:"group"`              // what group_by gives
	Holdout  string `json:"holdout_key"`        // what holdout_by gives
	Bundle   string `json:"bundle,omitempty"`   // that served it
	LeftOut  string `json:"left_out,omitempty"` // why it is not trained on; "" = it is
}

// Expressions give the key's words in errors.
const (
	whatWhere   = "where"
	whatGroupBy = "group_by"
	whatHoldout = "gate.holdout_by"
)

// Check reports the first expression that DuckDB cannot make sense of, as an
// [*Error] whose What is its key.
func (db *DB) Check(ctx context.Context, s Selection) error {
	for _, x := range []struct{ what, text, kind string }{
		{whatWhere, s.Where, "BOOLEAN"},
		{whatGroupBy, s.GroupBy, "VARCHAR"},
		{whatHoldout, s.HoldoutBy, "VARCHAR"},
	} {
		if err := db.checkExpression(ctx, x.text, x.kind); err != nil {
			var e *Error
			if errors.As(err, &e) {
				e.What = x.what
				return e
			}
			return fmt.Errorf("%s: %w", x.what, err)
		}
	}
	return nil
}

func (db *DB) checkExpression(ctx context.Context, text, kind string) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	// On a line of its own, and closed on the next: a comment at its end must
	// not swallow the bracket.
	query := "SELECT (\n" + text + "\n)::" + kind + " FROM trajectories LIMIT 0"
	if err := readOnly(ctx, db.sql, query); err != nil {
		return relined(explained(err))
	}
	rows, err := db.sql.QueryContext(ctx, query)
	if err != nil {
		return relined(explained(err))
	}
	defer rows.Close()
	if columns, _ := rows.Columns(); len(columns) != 1 {
		return &Error{Message: "must be one expression, without SELECT and ;"}
	}
	return nil
}

// relined counts the lines of an error from the expression's first.
func relined(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	message := line.ReplaceAllStringFunc(e.Message, func(found string) string {
		var n int
		_, _ = fmt.Sscanf(found, "LINE %d:", &n)
		fixed := fmt.Sprintf("LINE %d:", max(n-1, 1))
		return fixed + strings.Repeat(" ", len(found)-len(fixed)) // the caret stays where it is
	})
	return &Error{Message: message}
}

// Select lists every live trajectory in order of its id, with what the
// selection makes of it.
func (db *DB) Select(ctx context.Context, s Selection) ([]Candidate, error) {
	if err := db.Check(ctx, s); err != nil {
		return nil, err
	}
	s.Where = cmp.Or(strings.TrimSpace(s.Where), "true")
	s.GroupBy = cmp.Or(strings.TrimSpace(s.GroupBy), "task_key")
	s.HoldoutBy = cmp.Or(strings.TrimSpace(s.HoldoutBy), "task_key")
	text := filled("run/select", struct {
		Selection
		AgentList string
	}{s, quoteAll(s.Agents)})
	if s.Until.IsZero() {
		s.Until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	rows, err := db.sql.QueryContext(ctx, text, sql.Named("since", s.Since.UTC()), sql.Named("until", s.Until.UTC()))
	if err != nil {
		return nil, explained(db.blame(ctx, err))
	}
	defer rows.Close()
	var out []Candidate
	for rows.Next() {
		var c Candidate
		if err := rows.Scan(&c.ID, &c.Revision, &c.TaskKey, &c.Tenant, &c.Group, &c.Holdout, &c.Bundle, &c.LeftOut); err != nil {
			return nil, explained(err)
		}
		out = append(out, c)
	}
	return out, explained(db.blame(ctx, rows.Err()))
}
