package query

import (
	"context"
	"database/sql"
	"strings"

	"github.com/tracegrad/tracegrad/internal/doctor"
)

// Seen counts what the dataset shows of each service, as [doctor.Exam] does for
// spans. A dataset holds no instrumentation scopes and no roots: what depends on
// them stays open.
func (db *DB) Seen(ctx context.Context) (*doctor.Seen, error) {
	b := seenBuilder{byName: map[string]*doctor.Service{}}
	for _, read := range []struct {
		statement string
		row       func(*sql.Rows) error
	}{{"run/doctor_services", b.service}, {"run/doctor_steps", b.steps}, {"run/doctor_names", b.name}, {"run/doctor_splits", b.split}} {
		if err := db.each(ctx, read.statement, read.row); err != nil {
			return nil, err
		}
	}
	seen := doctor.NewSeen(b.all)
	seen.Splits = b.splits
	return seen, nil
}

func (db *DB) each(ctx context.Context, name string, row func(*sql.Rows) error) error {
	rows, err := db.sql.QueryContext(ctx, statement(name))
	if err != nil {
		return explained(db.blame(ctx, err))
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return explained(err)
		}
	}
	return explained(db.blame(ctx, rows.Err()))
}

type seenBuilder struct {
	all    []*doctor.Service
	byName map[string]*doctor.Service
	splits []doctor.Split
}

func (b *seenBuilder) service(rows *sql.Rows) error {
	s := doctor.NewService("")
	var session, user, agents, verdict int
	err := rows.Scan(&s.Name, &s.Runs, &s.Idle, &s.Spans, &s.Traces, &s.Trainable, &s.Failures.Runs, &session, &user, &agents, &verdict,
		&s.Joined.BySession, &s.Joined.ByHistory, &s.Sessions, &s.Tasks, &s.Repeated, &s.NamedTasks)
	if err != nil {
		return err
	}
	if s.Runs == 0 {
		s.Runs, s.Idle = s.Idle, 0 // an agent whose calls are not seen
	}
	for t, have := range map[doctor.Thing]int{doctor.Sessions: session, doctor.Users: user, doctor.AgentNames: agents, doctor.Verdicts: verdict} {
		s.Shows.Set(t, have, s.Runs)
	}
	b.all = append(b.all, s)
	b.byName[s.Name] = s
	return nil
}

func (b *seenBuilder) steps(rows *sql.Rows) error {
	var service, dialects string
	var calls, failedCalls, prompts, system, offered, definitions, replies, ids, counts, tokens int
	var tools, failedTools, arguments, callIDs, spans, results int
	em := &doctor.Emitter{Shows: doctor.Shows{}}
	err := rows.Scan(&service, &dialects, &calls, &failedCalls, &prompts, &system, &offered, &definitions, &replies, &ids, &counts, &tokens,
		&tools, &failedTools, &arguments, &callIDs, &spans, &results, &em.Redacted, &em.Truncated, &em.Dropped)
	if err != nil {
		return err
	}
	if dialects != "" {
		em.Dialects = strings.Split(dialects, ",")
	}
	em.Spans, em.Models, em.Tools, em.Failed = calls+spans, calls, spans, failedCalls
	answered, done := calls-failedCalls, tools-failedTools
	for _, c := range []struct {
		thing    doctor.Thing
		have, of int
	}{
		{doctor.Prompt, prompts, calls}, {doctor.SystemPrompt, system, calls}, {doctor.ToolDefinitions, definitions, offered},
		{doctor.Reply, replies, answered}, {doctor.ResponseIDs, ids, answered}, {doctor.TokenCounts, counts, answered}, {doctor.TokenIDs, tokens, answered},
		{doctor.ToolArguments, arguments, tools}, {doctor.ToolCallIDs, callIDs, tools}, {doctor.ToolSpans, spans, tools}, {doctor.ToolResults, results, done},
	} {
		em.Shows.Set(c.thing, c.have, c.of)
	}
	s := b.byName[service]
	s.Emitters = append(s.Emitters, em)
	s.ModelCalls += calls
	s.ToolRuns += tools
	s.Failures.Calls += failedCalls
	s.Failures.Tools += failedTools
	return nil
}

func (b *seenBuilder) name(rows *sql.Rows) error {
	var what, service, name, source string
	var n, failed int
	if err := rows.Scan(&what, &service, &name, &n, &failed, &source); err != nil {
		return err
	}
	s := b.byName[service]
	switch what {
	case "reason":
		s.Reasons[name] += n
	case "model":
		s.Models[name] += n
	case "tool":
		s.Tools[name] = &doctor.ToolCount{Runs: n, Failed: failed}
	case "fact":
		s.Facts[name] = &doctor.FactCount{Source: source, Runs: n}
	}
	return nil
}

func (b *seenBuilder) split(rows *sql.Rows) error {
	var s doctor.Split
	if err := rows.Scan(&s.Kind, &s.Count, &s.Example, &s.Writers); err != nil {
		return err
	}
	b.splits = append(b.splits, s)
	return nil
}
