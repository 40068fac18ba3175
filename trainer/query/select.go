package query

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"regexp"
	"strconv"
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
	Ended    int64  `json:"ended"`              // µs
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
	return s.each(func(text, kind string) error {
		// On a line of its own, and closed on the next: a comment at its end must
		// not swallow the bracket.
		query := "SELECT (\n" + text + "\n)::" + kind + " FROM trajectories LIMIT 0"
		if err := readOnly(ctx, db.sql, query); err != nil {
			return err
		}
		rows, err := db.sql.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer rows.Close()
		if columns, _ := rows.Columns(); len(columns) != 1 {
			return &Error{Message: "must be one expression, without SELECT and ;"}
		}
		return rows.Err()
	})
}

// each calls try for every expression with the type it must have, and says of
// an error which expression it is about.
func (s Selection) each(try func(text, kind string) error) error {
	for _, x := range []struct{ what, text, kind string }{
		{whatWhere, s.Where, "BOOLEAN"},
		{whatGroupBy, s.GroupBy, "VARCHAR"},
		{whatHoldout, s.HoldoutBy, "VARCHAR"},
	} {
		if strings.TrimSpace(x.text) == "" {
			continue
		}
		err := explained(try(x.text, x.kind))
		var e *Error
		switch {
		case errors.As(err, &e):
			e = e.within(x.text)
			e.What = x.what
			return e
		case err != nil:
			return fmt.Errorf("%s: %w", x.what, err)
		}
	}
	return nil
}

var pointer = regexp.MustCompile(`(?m)\n*^LINE (\d+):`)

// within counts the lines of an error from those of an expression that stands
// in the query from its second line on. What is shown of other lines is ours,
// and would only confuse.
func (e *Error) within(text string) *Error {
	found := pointer.FindStringSubmatchIndex(e.Message)
	if found == nil {
		return &Error{Message: e.Message}
	}
	n, _ := strconv.Atoi(e.Message[found[2]:found[3]])
	n--
	before, last := e.Message[:found[0]], strings.Count(text, "\n")+1
	switch {
	case 1 <= n && n <= last:
		number := strconv.Itoa(n)
		number += ":" + strings.Repeat(" ", found[3]-found[2]-len(number)) // the caret stays where it is
		return &Error{Message: e.Message[:found[2]] + number + e.Message[found[3]+1:], Line: n}
	case n > last && strings.Contains(before, "syntax error"):
		return &Error{Message: "Parser Error: syntax error at the end: the expression is not complete", Line: last}
	}
	return &Error{Message: before}
}

// culprit finds the expression that fails on the data, for errors that point
// into a query of ours.
func (db *DB) culprit(ctx context.Context, s Selection, err error) error {
	var e *Error
	if err = explained(db.blame(ctx, err)); !errors.As(err, &e) || ctx.Err() != nil {
		return err
	}
	found := s.each(func(text, kind string) error {
		var n int
		return db.sql.QueryRowContext(ctx, "SELECT count((\n"+text+"\n)::"+kind+") FROM trajectories").Scan(&n)
	})
	return cmp.Or(found, error(e.within("")))
}

// Select lists every live trajectory in order of its id, with what the
// selection makes of it.
func (db *DB) Select(ctx context.Context, s Selection) ([]Candidate, error) {
	out := make([]Candidate, 0, db.rows)
	err := db.choose(ctx, "run/select", s, func(row []driver.Value) {
		out = append(out, Candidate{
			ID: row[0].(string), Revision: row[1].(int64), TaskKey: row[2].(string), Tenant: row[3].(string),
			Group: row[4].(string), Holdout: row[5].(string), Bundle: row[6].(string), Ended: row[7].(int64), LeftOut: row[8].(string),
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Groups gathers what the selection trains on by group, with the returns that
// the dataset holds under the rules in force. What has no return is left out.
func (db *DB) Groups(ctx context.Context, s Selection) ([]Group, error) {
	list := make([]Scored, 0, db.rows)
	err := db.choose(ctx, "run/scored", s, func(row []driver.Value) {
		list = append(list, Scored{ID: row[0].(string), Tenant: row[1].(string), Group: row[2].(string), Return: row[3].(float64)})
	})
	if err != nil {
		return nil, err
	}
	return Groups(list), nil
}

// choose runs a statement over the candidates of a selection.
func (db *DB) choose(ctx context.Context, name string, s Selection, take func(row []driver.Value)) error {
	if err := db.Check(ctx, s); err != nil {
		return err
	}
	s.Where = cmp.Or(strings.TrimSpace(s.Where), "true")
	s.GroupBy = cmp.Or(strings.TrimSpace(s.GroupBy), "task_key")
	s.HoldoutBy = cmp.Or(strings.TrimSpace(s.HoldoutBy), "task_key")
	if s.Until.IsZero() {
		s.Until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	candidates := filled("run/candidates", struct {
		Selection
		AgentList string
	}{s, quoteAll(s.Agents)})
	text := filled(name, struct{ Candidates string }{candidates})
	if err := each(ctx, db.sql, text, map[string]any{"since": s.Since.UTC(), "until": s.Until.UTC()}, take); err != nil {
		return db.culprit(ctx, s, err)
	}
	return nil
}
