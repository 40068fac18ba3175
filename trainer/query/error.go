package query

import (
	"errors"
	"regexp"
)

// ErrNoCgo is what everything fails with in a build without cgo.
var ErrNoCgo = errors.New("open DuckDB: this binary was built with CGO_ENABLED=0: build it with cgo and a C compiler")

// ErrNoDataset says that there is no dataset where one was named.
var ErrNoDataset = errors.New("no dataset")

var (
	errNotReading = &Error{Message: "only queries are run here: SELECT, FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW and EXPLAIN. The dataset is read-only"}
	errSeveral    = &Error{Message: "more than one statement: run them one at a time (PIVOT needs ON column IN (values))"}
	explain       = regexp.MustCompile(`(?is)^(\s|--[^\n]*\n|/\*.*?\*/)*EXPLAIN(\s+ANALYZE)?(\s*\([^)]*\))?\s`)
)

// Error is what DuckDB says about a query, in its own words: several lines
// where it shows the place with a caret.
type Error struct {
	// Message is DuckDB's, without the name of the driver.
	Message string
	// What was asked, such as "where" or "group_by" for expressions of a config;
	// "" for the text of a query.
	What string
	// Line is the line of the expression that the message points at, from 1; 0 =
	// unknown, or the text of a query.
	Line int
}

func (e *Error) Error() string {
	if e.What == "" {
		return e.Message
	}
	return e.What + ": " + e.Message
}
