package engine

import (
	"context"
	"fmt"
	"strings"
)

// ahead is how many requests of a batch may wait on the server at once: while
// one is computed the next is read.
const ahead = 2

// sent says how far a batch came.
type sent struct {
	landed   bool // a request with rows may have reached the server
	requests int
	metrics  map[string]float64
}

// ticket is a request with rows that waits for its result.
type ticket struct {
	queued
	data []datum
	rows []Row
}

// passes sends rows in requests of at most Options.Tokens tokens and calls read
// for each row's outputs, in order. The first error ends it.
func (m *Model) passes(ctx context.Context, p pass, rows []Row, encode func(*Row) datum, read func(*Row, *datum, *outputs) error) (sent, error) {
	var s sent
	var waiting []ticket
	for len(rows) > 0 || len(waiting) > 0 {
		if len(rows) > 0 && len(waiting) < ahead {
			n := fit(rows, m.c.options.Tokens)
			t := ticket{rows: rows[:n]}
			for i := range t.rows {
				t.data = append(t.data, encode(&t.rows[i]))
			}
			rows = rows[n:]
			var err error
			if t.queued, err = m.queue(ctx, p, t.data); err != nil {
				return s, err
			}
			s.landed, s.requests = true, s.requests+1
			waiting = append(waiting, t)
			continue
		}
		metrics, err := m.collect(ctx, waiting[0], read)
		if err != nil {
			return s, err
		}
		s.metrics, waiting = metrics, waiting[1:]
	}
	return s, nil
}

// fit is how many rows make the next request: at least one.
func fit(rows []Row, budget int) int {
	total := 0
	for n := range rows {
		if total += len(rows[n].Tokens); total > budget && n > 0 {
			return n
		}
	}
	return len(rows)
}

func (m *Model) queue(ctx context.Context, p pass, data []datum) (queued, error) {
	m.sequence++
	p.sequence, p.data = m.sequence, data
	caps := m.c.Capabilities()
	var request call
	if caps.Wire == Protobuf {
		request = call{method: "POST", path: "forward_backward", body: p.protobuf(), kind: protobuf, accept: "application/json", limit: small, within: submitFor}
	} else {
		request = jsonCall(p.json())
	}
	request.again = p.forward || caps.Idempotent
	return m.c.submit(ctx, request)
}

// collect waits for one request's result and reads it.
func (m *Model) collect(ctx context.Context, t ticket, read func(*Row, *datum, *outputs) error) (map[string]float64, error) {
	limit := int64(small)
	for i := range t.rows {
		limit += 256 * int64(len(t.rows[i].Tokens)) // four lists of numbers in JSON
	}
	got, err := m.c.result(ctx, "forward_backward", t.ID, limit)
	if err != nil {
		return nil, err
	}
	var said passed
	if strings.HasPrefix(got.kind, protobuf) {
		said, err = parsePassProtobuf(got.body, len(t.rows))
	} else {
		said, err = parsePassJSON(got.body)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the result: %w", err)
	case len(said.rows) != len(t.rows):
		return nil, fmt.Errorf("the server answered %d rows where %d were sent", len(said.rows), len(t.rows))
	}
	for i := range t.rows {
		if err := read(&t.rows[i], &t.data[i], &said.rows[i]); err != nil {
			return nil, fmt.Errorf("row %d: %w", i, err)
		}
	}
	return said.metrics, nil
}
