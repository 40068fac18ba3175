package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Forgot is what was removed of a person.
type Forgot struct {
	Trajectories map[string]bool // their ids
	Rows         int64           // of all tables, and lines of quarantine files
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
	k, ctx, err := keep(ctx, root, u)
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, k.close()) }()
	f := &forgetter{keeper: k, person: p, ids: map[string]bool{}, traces: map[string]bool{}, responses: map[string]bool{}, talks: map[string]int{}, holding: map[string]bool{}}
	if !u.DryRun {
		if err := leaveMark(ctx, k.bucket, p, k.Clock()); err != nil {
			return fail(err)
		}
		if err := k.awaitCommits(ctx); err != nil {
			return fail(err)
		}
	}
	if _, err := k.expire(ctx); err != nil { // what waits for its end holds old copies
		return fail(err)
	}
	err = f.pass(ctx)
	if err == nil {
		err = f.fromQuarantine(ctx)
	}
	if err != nil {
		return fail(cmp.Or(context.Cause(ctx), err))
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
	talks     map[string]int  // conversations of theirs: trajectories of others in them
	holding   map[string]bool // files with rows that must go
}

func (f *forgetter) pass(ctx context.Context) error {
	parts, strange, err := partsOf(ctx, f.bucket)
	if err != nil {
		return err
	}
	for _, o := range strange {
		f.leave(o.Name, errors.New("its name is not <writer>-<batch>.parquet: it was not looked into"))
	}
	if err := f.find(ctx, parts[TableTrajectories]); err != nil || len(f.ids) == 0 {
		return err
	}
	lots := lotsOf(parts)
	if err := f.findRest(ctx, lots); err != nil {
		return err
	}
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

// find gathers the person's trajectories of all revisions, what continues
// them, and the ids by which facts know them. The files are gone through three
// times, for what is known of one row decides on others.
func (f *forgetter) find(ctx context.Context, parts []part) error {
	type row struct {
		TrajectoryID   string   `parquet:"trajectory_id"`
		UserID         *string  `parquet:"user_id,optional"`
		Tenant         *string  `parquet:"tenant,optional"`
		Continues      *string  `parquet:"continues,optional"`
		TraceIDs       []string `parquet:"trace_ids,list"`
		ConversationID *string  `parquet:"conversation_id,optional"`
	}
	f.copies.bring(ctx, parts)
	each := func(visit func(part, *row)) error {
		for _, p := range parts {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := readPart(ctx, &f.copies, p, func(r *row) { visit(p, r) }); err != nil {
				f.leave(p.name, err)
			}
		}
		return f.copies.broken()
	}
	continued := map[string][]string{}
	err := each(func(_ part, r *row) {
		if r.UserID != nil && *r.UserID == f.person.User && (f.person.Tenant == "" || r.Tenant != nil && *r.Tenant == f.person.Tenant) {
			f.ids[strings.Clone(r.TrajectoryID)] = true
		}
		if r.Continues != nil {
			of := strings.Clone(*r.Continues)
			continued[of] = append(continued[of], strings.Clone(r.TrajectoryID))
		}
	})
	if err != nil || len(f.ids) == 0 {
		return errors.Join(err, f.copies.drop())
	}
	f.follow(continued)
	err = each(func(p part, r *row) {
		if !f.ids[r.TrajectoryID] {
			return
		}
		f.holding[p.name] = true
		for _, id := range r.TraceIDs {
			f.traces[strings.Clone(id)] = true
		}
		if r.ConversationID != nil {
			f.talks[strings.Clone(*r.ConversationID)] = 0
		}
	})
	if err == nil && len(f.talks) > 0 {
		err = each(func(_ part, r *row) {
			if r.ConversationID == nil || f.ids[r.TrajectoryID] {
				return
			}
			if n, ok := f.talks[*r.ConversationID]; ok {
				f.talks[strings.Clone(*r.ConversationID)] = n + 1
			}
		})
	}
	return errors.Join(err, f.copies.drop())
}

// follow adds what continues the trajectories, and what continues that.
func (f *forgetter) follow(continued map[string][]string) {
	for todo := slices.Collect(maps.Keys(f.ids)); len(todo) > 0; todo = todo[1:] {
		for _, id := range continued[todo[0]] {
			if !f.ids[id] {
				f.ids[id] = true
				todo = append(todo, id)
			}
		}
	}
}

// findRest looks for the person's answers, for facts may be about those, and
// then for the files of rewards and facts that are about the person.
func (f *forgetter) findRest(ctx context.Context, lots []lot) error {
	type key struct {
		TrajectoryID string `parquet:"trajectory_id"`
	}
	type call struct {
		TrajectoryID string  `parquet:"trajectory_id"`
		ResponseID   *string `parquet:"response_id,optional"`
	}
	of := map[string][]part{}
	for _, l := range lots {
		for _, s := range l.sets {
			for _, p := range s.parts {
				if p.table != TableSteps || f.holds(s) {
					of[p.table] = append(of[p.table], p)
				}
			}
		}
	}
	look := func(table string, read func(part) error) error {
		return f.copies.each(ctx, of[table], func(p part) {
			if err := read(p); err != nil {
				f.leave(p.name, err)
			}
		})
	}
	err := look(TableSteps, func(p part) error {
		return readPart(ctx, &f.copies, p, func(r *call) {
			if r.ResponseID != nil && f.ids[r.TrajectoryID] {
				f.responses[strings.Clone(*r.ResponseID)] = true
			}
		})
	})
	if err != nil {
		return err
	}
	err = look(TableRewards, func(p part) error {
		return readPart(ctx, &f.copies, p, func(r *key) {
			if f.ids[r.TrajectoryID] {
				f.holding[p.name] = true
			}
		})
	})
	if err != nil {
		return err
	}
	return look(TableFacts, func(p part) error {
		return readPart(ctx, &f.copies, p, func(r *FactRow) {
			if f.about(r) {
				f.holding[p.name] = true
			}
		})
	})
}

// holds reports whether a set has rows that must go. Those of steps and
// messages are of the trajectories that are in the same set.
func (f *forgetter) holds(s set) bool {
	return slices.ContainsFunc(s.parts, func(p part) bool { return f.holding[p.name] })
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
		f.leave(source.name, source.err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("write %s of %s again: %w", l.writer, l.day, err)
	}
	f.rows += made.dropped
	there := map[string]int64{}
	for _, p := range s.parts {
		there[p.name] = p.bytes
	}
	_, err = made.note.finish(ctx, f.bucket, there)
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
