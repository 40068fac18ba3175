package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Forgot is what was removed of a person.
type Forgot struct {
	Trajectories map[string]bool // their ids
	Rows         int64           // of all tables
	Files        int             // that were written again, or removed
	Left         []Left          // files that could not be looked into
}

// Forget removes all trajectories of a person, with their steps, messages,
// rewards and facts, at once: files that hold some are written again without
// them, and removed. So that nothing comes back from a collector's store or
// queue, or from files that are imported again, a mark is left first, a hash with the time:
// writers of the dataset drop (and count) what began before it.
//
// A reader that has begun may find a file gone and must begin again. Out.Left is
// not empty if files could not be looked into: they may still hold rows.
func Forget(ctx context.Context, root string, p Person, u Upkeep) (out Forgot, err error) {
	fail := func(err error) (Forgot, error) { return out, fmt.Errorf("forget a user in %s: %w", root, err) }
	if p.User == "" {
		return fail(errors.New("no user is named"))
	}
	u.Grace = 0
	k, err := keep(root, u)
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, k.close()) }()
	f := &forgetter{keeper: k, person: p, ids: map[string]bool{}, traces: map[string]bool{}, responses: map[string]bool{}, talks: map[string]int{}}
	if !u.DryRun {
		if err := leaveMark(root, p, k.Clock(), k.FileMode, k.DirMode); err != nil {
			return fail(err)
		}
	}
	if _, err := k.expire(); err != nil { // what waits for its end holds old copies
		return fail(err)
	}
	// Twice: what a writer committed while the first look went on was checked
	// against the marks before ours was there.
	for range 2 {
		if err := f.pass(ctx); err != nil {
			return fail(err)
		}
		if u.DryRun {
			break
		}
	}
	return Forgot{Trajectories: f.ids, Rows: f.rows, Files: f.files, Left: k.out.Left}, nil
}

type forgetter struct {
	*keeper
	person Person
	rows   int64
	files  int

	ids       map[string]bool // trajectories
	traces    map[string]bool
	responses map[string]bool
	talks     map[string]int // conversations: trajectories of others in them
}

func (f *forgetter) pass(ctx context.Context) error {
	parts, err := partsOf(f.root)
	if err != nil {
		return err
	}
	if err := f.strangers(); err != nil {
		return err
	}
	f.find(parts[TableTrajectories])
	if len(f.ids) == 0 {
		return nil
	}
	f.findCalls(parts[TableSteps])
	lots := lotsOf(parts)
	// Trajectories last: by them the rest is found again if this is stopped.
	slices.SortStableFunc(lots, func(a, b lot) int { return rank(a) - rank(b) })
	for _, l := range lots {
		for _, s := range l.sets {
			if err := ctx.Err(); err != nil {
				return err
			}
			if f.holds(s) {
				if err := f.rewrite(ctx, l, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func rank(l lot) int { return slices.Index(Tables, l.family[len(l.family)-1]) }

// strangers names the files that are not written as ours are.
func (f *forgetter) strangers() error {
	for _, table := range Tables {
		files, err := Files(f.root, table)
		if err != nil {
			return err
		}
		for _, path := range files {
			if _, ok := partOf(table, path); !ok {
				f.leave(path, errors.New("its name is not <writer>-<batch>.parquet: it was not looked into"))
			}
		}
	}
	return nil
}

// find gathers the person's trajectories of all revisions, what continues
// them, and the ids by which facts know them.
func (f *forgetter) find(parts []part) {
	type row struct {
		TrajectoryID   string   `parquet:"trajectory_id"`
		UserID         *string  `parquet:"user_id,optional"`
		Tenant         *string  `parquet:"tenant,optional"`
		Continues      *string  `parquet:"continues,optional"`
		TraceIDs       []string `parquet:"trace_ids,list"`
		ConversationID *string  `parquet:"conversation_id,optional"`
	}
	each := func(visit func(*row)) {
		for _, p := range parts {
			if err := ReadFile(p.path, visit); err != nil {
				f.leave(p.path, err)
			}
		}
	}
	each(func(r *row) {
		if r.UserID != nil && *r.UserID == f.person.User && (f.person.Tenant == "" || r.Tenant != nil && *r.Tenant == f.person.Tenant) {
			f.ids[strings.Clone(r.TrajectoryID)] = true
		}
	})
	if len(f.ids) == 0 {
		return
	}
	clear(f.talks)
	each(func(r *row) {
		if r.Continues != nil && f.ids[*r.Continues] {
			f.ids[strings.Clone(r.TrajectoryID)] = true
		}
		if f.ids[r.TrajectoryID] {
			for _, id := range r.TraceIDs {
				f.traces[strings.Clone(id)] = true
			}
		}
	})
	each(func(r *row) {
		if r.ConversationID != nil {
			others := 0
			if !f.ids[r.TrajectoryID] {
				others = 1
			}
			f.talks[strings.Clone(*r.ConversationID)] += others
		}
	})
}

func (f *forgetter) findCalls(parts []part) {
	type row struct {
		TrajectoryID string  `parquet:"trajectory_id"`
		ResponseID   *string `parquet:"response_id,optional"`
	}
	for _, p := range parts {
		err := ReadFile(p.path, func(r *row) {
			if r.ResponseID != nil && f.ids[r.TrajectoryID] {
				f.responses[strings.Clone(*r.ResponseID)] = true
			}
		})
		if err != nil {
			f.leave(p.path, err)
		}
	}
}

// about reports whether a fact is about the person: it names a trajectory,
// trace or answer of theirs, or a conversation that nobody else is in.
func (f *forgetter) about(r *FactRow) bool {
	in := func(set map[string]bool, id *string) bool { return id != nil && set[*id] }
	if in(f.ids, r.TrajectoryID) || in(f.traces, r.TraceID) || in(f.responses, r.ResponseID) {
		return true
	}
	if r.TrajectoryID != nil || r.TraceID != nil || r.ResponseID != nil || r.ConversationID == nil {
		return false
	}
	others, known := f.talks[*r.ConversationID]
	return known && others == 0
}

// holds reports whether a set has rows that must go.
func (f *forgetter) holds(s set) (yes bool) {
	type key struct {
		TrajectoryID string `parquet:"trajectory_id"`
	}
	for _, p := range s.parts {
		var err error
		if p.table == TableFacts {
			err = ReadFile(p.path, func(r *FactRow) { yes = yes || f.about(r) })
		} else {
			err = ReadFile(p.path, func(r *key) { yes = yes || f.ids[r.TrajectoryID] })
		}
		if err != nil {
			f.leave(p.path, err)
		}
	}
	return yes
}

func (f *forgetter) rewrite(ctx context.Context, l lot, s set) error {
	f.files += len(s.parts)
	if f.DryRun {
		return nil
	}
	made, err := f.m.merge(ctx, l, []set{s}, sieve{
		row:    func(id string, _ int64, _ string) bool { return !f.ids[id] },
		reward: func(r *RewardRow) bool { return !f.ids[r.TrajectoryID] },
		fact:   func(r *FactRow) bool { return !f.about(r) },
	})
	var source *sourceError
	if errors.As(err, &source) && ctx.Err() == nil {
		f.leave(source.path, source.err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("write %s of %s again: %w", l.writer, l.day, err)
	}
	f.rows += made.dropped
	_, err = made.note.finish(f.root)
	return err
}

// IDs are the trajectories, sorted.
func (f *Forgot) IDs() []string {
	var ids []string
	for id := range f.Trajectories {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
