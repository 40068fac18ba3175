package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tracegrad/tracegrad/trainer/query"
)

// tableFormats print a result.
var tableFormats = map[string]func(io.Writer, *query.Rows) error{
	"table": writeTable,
	"csv":   writeCSV,
	"json":  writeRowsJSON,
	"jsonl": writeRowsJSONL,
}

// maxRows of a table are printed: it is held in memory to measure its columns.
const maxRows = 1000

// writeTable prints at most maxRows rows and says how many more there are. On a
// terminal it cuts what is wider.
func writeTable(w io.Writer, rows *query.Rows) error {
	table, n, err := readTable(rows)
	if err != nil {
		return err
	}
	widths := columnWidths(table)
	notes := ""
	if n > maxRows {
		notes = fmt.Sprintf(", of which %d are shown: see --format", maxRows)
	}
	if room := terminalWidth(w); room > 0 {
		widths = fit(widths, room)
	}
	if left := len(rows.Columns) - len(widths); left > 0 {
		notes += fmt.Sprintf("; %s more: SELECT fewer, or see --format", count(left, "column"))
	}
	rule := make([]string, len(widths))
	for i, width := range widths {
		rule[i] = strings.Repeat("─", width)
	}
	for _, cells := range slices.Insert(table, 1, rule) {
		cells = cells[:len(widths)]
		for i, cell := range cells {
			cell = cut(cell, widths[i])
			gap := widths[i] - utf8.RuneCountInString(cell)
			if numeric(rows.Columns[i].Type) {
				cells[i] = strings.Repeat(" ", gap) + cell
			} else {
				cells[i] = cell + strings.Repeat(" ", gap)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, columnGap), " ")); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "(%s%s)\n", count(n, "row"), notes)
	return err
}

// readTable reads the header and up to maxRows rows, and counts all n.
func readTable(rows *query.Rows) (table [][]string, n int, err error) {
	header := make([]string, len(rows.Columns))
	for i, c := range rows.Columns {
		header[i] = c.Name
	}
	table = [][]string{header}
	for ; rows.Next(); n++ {
		if n >= maxRows {
			continue
		}
		cells := make([]string, len(header))
		for i, v := range rows.Values() {
			cells[i] = query.Text(v)
		}
		table = append(table, cells)
	}
	return table, n, rows.Err()
}

func numeric(kind string) bool {
	for _, prefix := range []string{"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL"} {
		if strings.HasPrefix(kind, prefix) && !strings.HasSuffix(kind, "]") {
			return true
		}
	}
	return false
}

// writeCSV writes NULL as an empty field and lists as JSON.
func writeCSV(w io.Writer, rows *query.Rows) error {
	out := csv.NewWriter(w)
	record := make([]string, len(rows.Columns))
	for i, c := range rows.Columns {
		record[i] = c.Name
	}
	if err := out.Write(record); err != nil {
		return err
	}
	for rows.Next() {
		for i, v := range rows.Values() {
			switch v := v.(type) {
			case nil:
				record[i] = ""
			case string:
				record[i] = v
			default:
				record[i] = query.Text(v)
			}
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// writeRowsJSON writes an array of objects, a row a line, as rows come.
func writeRowsJSON(w io.Writer, rows *query.Rows) error {
	before := "[\n  "
	for rows.Next() {
		object, err := rowJSON(rows)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s%s", before, object); err != nil {
			return err
		}
		before = ",\n  "
	}
	if before == "[\n  " {
		_, err := fmt.Fprintln(w, "[]")
		return err
	}
	_, err := fmt.Fprintln(w, "\n]")
	return err
}

func writeRowsJSONL(w io.Writer, rows *query.Rows) error {
	for rows.Next() {
		object, err := rowJSON(rows)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n", object); err != nil {
			return err
		}
	}
	return nil
}

// rowJSON keeps the columns in the query's order. Of two columns with one name
// both are there: readers take the last.
func rowJSON(rows *query.Rows) (string, error) {
	var b strings.Builder
	for i, v := range rows.Values() {
		name, err := json.Marshal(rows.Columns[i].Name)
		if err != nil {
			return "", err
		}
		value, err := json.Marshal(v)
		if err != nil {
			return "", err
		}
		sep := ", "
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(&b, "%s%s: %s", sep, name, value)
	}
	return b.String() + "}", nil
}
