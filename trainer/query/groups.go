package query

import (
	"context"
	"database/sql/driver"
	"fmt"
)

// Scored is a trajectory with its return.
type Scored struct {
	ID, Tenant, Group string
	Return            float64
}

// Group is the scored trajectories of one task and one tenant, by id.
type Group struct {
	Tenant  string    `json:"tenant,omitempty"`
	Label   string    `json:"group"`
	IDs     []string  `json:"trajectory_ids"`
	Returns []float64 `json:"returns"` // of IDs, one each
}

// Groups gathers trajectories into groups, sorted by tenant and label.
func (db *DB) Groups(ctx context.Context, scored []Scored) ([]Group, error) {
	if err := db.exec(ctx, statement("run/scored")); err != nil {
		return nil, fmt.Errorf("group trajectories: %w", err)
	}
	table := make([][]driver.Value, len(scored))
	for i, s := range scored {
		table[i] = []driver.Value{s.ID, s.Tenant, s.Group, s.Return}
	}
	if err := fill(ctx, db.sql, "scored", table); err != nil {
		return nil, fmt.Errorf("group trajectories: %w", err)
	}
	rows, err := db.sql.QueryContext(ctx, statement("run/groups"))
	if err != nil {
		return nil, fmt.Errorf("group trajectories: %w", explained(err))
	}
	defer rows.Close()
	var out []Group
	for rows.Next() {
		var g Group
		var ids, returns any
		if err := rows.Scan(&g.Tenant, &g.Label, &ids, &returns); err != nil {
			return nil, fmt.Errorf("group trajectories: %w", explained(err))
		}
		for _, id := range ids.([]any) {
			g.IDs = append(g.IDs, id.(string))
		}
		for _, r := range returns.([]any) {
			g.Returns = append(g.Returns, r.(float64))
		}
		out = append(out, g)
	}
	return out, explained(rows.Err())
}
