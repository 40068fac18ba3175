package query

import (
	"context"
	"database/sql"
	"time"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/rewards"
)

// Facts gives the facts about live trajectories, by trajectory id, in order of
// their ids.
func (db *DB) Facts(ctx context.Context) (map[string][]trajectory.Fact, error) {
	rows, err := db.sql.QueryContext(ctx, statement("run/facts"))
	if err != nil {
		return nil, explained(db.blame(ctx, err))
	}
	defer rows.Close()
	out := map[string][]trajectory.Fact{}
	for rows.Next() {
		var f trajectory.Fact
		var value sql.NullFloat64
		var at sql.NullTime
		if err := rows.Scan(&f.ID, &f.Name, &value, &f.Label, &f.Explanation, &f.Source, &at,
			&f.TrajectoryID, &f.TraceID, &f.SpanID, &f.ResponseID, &f.ConversationID); err != nil {
			return nil, explained(err)
		}
		if value.Valid {
			f.Value = &value.Float64
		}
		if at.Valid {
			f.ObservedAt = at.Time.UnixMicro()
		}
		out[f.TrajectoryID] = append(out[f.TrajectoryID], f)
	}
	return out, explained(db.blame(ctx, rows.Err()))
}

// ReasonNotChosen is the reason of a null reward that takes back the value of a
// step which its rule does not choose any more, or says that the rule is not about
// the trajectory. It adds nothing and masks nothing.
const ReasonNotChosen = rewards.ReasonNotChosen

// Rewards gives the current rewards of live trajectories, by trajectory id, in
// the order of the rules and steps.
func (db *DB) Rewards(ctx context.Context) (map[string][]trajectory.Reward, error) {
	rows, err := db.sql.QueryContext(ctx, statement("run/rewards"))
	if err != nil {
		return nil, explained(db.blame(ctx, err))
	}
	defer rows.Close()
	out := map[string][]trajectory.Reward{}
	for rows.Next() {
		var id string
		var r trajectory.Reward
		var value sql.NullFloat64
		var at sql.Null[time.Time]
		if err := rows.Scan(&id, &r.Step, &r.Name, &value, &r.Reason, &r.Explanation, &r.Source, &r.RuleHash, &r.Provisional, &at); err != nil {
			return nil, explained(err)
		}
		if value.Valid {
			r.Value = &value.Float64
		}
		if at.Valid {
			r.EvaluatedAt = at.V.UnixMicro()
		}
		out[id] = append(out[id], r)
	}
	return out, explained(db.blame(ctx, rows.Err()))
}
