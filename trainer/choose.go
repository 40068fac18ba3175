package trainer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/trainer/query"
)

// Split says what a trajectory is for.
type Split string

// The splits.
const (
	Train   Split = "train"
	Holdout Split = "holdout" // the gate's; never learned from
)

// Chosen is a trajectory of the run. Those that are left out are only counted.
type Chosen struct {
	ID       string `json:"trajectory_id"`
	Revision int64  `json:"revision"`
	Tenant   string `json:"tenant,omitempty"`
	Group    string `json:"group"`
	Split    Split  `json:"split"`
}

// SelectHead is the head of select.jsonl.
type SelectHead struct {
	Dataset     string         `json:"dataset"` // hash of the files read
	SQL         string         `json:"sql"`     // hash of the selection
	Since       *time.Time     `json:"since,omitempty"`
	Until       *time.Time     `json:"until,omitempty"`
	Live        int            `json:"live"`          // trajectories in the dataset
	Train       int            `json:"train"`         //
	Holdout     int            `json:"holdout"`       //
	HoldoutKeys int            `json:"holdout_keys"`  // distinct values of holdout_by among all chosen
	HeldOutKeys int            `json:"held_out_keys"` // those of them that are held out
	LeftOut     map[string]int `json:"left_out"`      // by reason
}

type selected = artifact[SelectHead, Chosen]

// selectStage chooses trajectories. used counts the nights that trained on each.
func (n *night) selectStage(ctx context.Context, used map[string]int) (selected, error) {
	c := n.Config
	s := query.Selection{Where: c.Where, GroupBy: sqlOf(c.GroupBy), HoldoutBy: sqlOf(c.Gate.HoldoutBy), Agents: c.Agents}
	head := SelectHead{LeftOut: map[string]int{}}
	if c.Window > 0 {
		s.Since = n.Now.Add(-time.Duration(c.Window))
		head.Since = &s.Since
	}
	if c.MinAge > 0 {
		s.Until = n.Now.Add(-time.Duration(c.MinAge))
		head.Until = &s.Until
	}
	var err error
	if head.Dataset, err = fingerprint(n.db, dataset.TableTrajectories, dataset.TableSteps, dataset.TableMessages); err != nil {
		return selected{}, err
	}
	head.SQL = digest(fmt.Appendf(nil, "%q", s))
	inputs := []any{head.Dataset, s, c.Gate.Holdout}
	if c.Policy.Kind == KindAdapter {
		inputs = append(inputs, c.GroupBy, c.Gate.HoldoutBy, c.MaxUses, used)
	}
	if c.Most > 0 {
		inputs = append(inputs, c.Most)
	}
	return stage(n.run, "select", inputs, func() (selected, error) {
		candidates, err := n.db.Select(ctx, s)
		if err != nil {
			return selected{}, c.located(err)
		}
		byPrompt(candidates, c)
		out := choose(head, newest(worn(candidates, used, c), c), c.Gate.Holdout)
		if len(out.Rows) == 0 {
			return out, nothing(len(candidates), out.Head.LeftOut)
		}
		return out, nil
	})
}

// groupByPrompt is the value of group_by and gate.holdout_by that stands for the
// input with ids, numbers, dates and bracketed tags masked, whatever the task key.
const groupByPrompt = "prompt"

func sqlOf(expression string) string {
	if expression == groupByPrompt {
		return "input"
	}
	return expression
}

func byPrompt(candidates []query.Candidate, c Config) {
	for i := range candidates {
		if x := &candidates[i]; x.LeftOut == "" {
			if c.GroupBy == groupByPrompt {
				x.Group = trajectory.TaskKeyOf(x.Group)
			}
			if c.Gate.HoldoutBy == groupByPrompt {
				x.Holdout = trajectory.TaskKeyOf(x.Holdout)
			}
		}
	}
}

// worn leaves out what enough nights trained on already, but for the holdout,
// which none trains on.
func worn(candidates []query.Candidate, used map[string]int, c Config) []query.Candidate {
	for i := range candidates {
		x := &candidates[i]
		if n := used[x.ID]; c.MaxUses > 0 && n >= c.MaxUses && x.LeftOut == "" && !heldOut(x.Holdout, c.Gate.Holdout) {
			x.LeftOut = "used"
		}
	}
	return candidates
}

// newest leaves out what is older than as many as one night may train on. The
// holdout is no part of them.
func newest(candidates []query.Candidate, c Config) []query.Candidate {
	if c.Most <= 0 {
		return candidates
	}
	var free []*query.Candidate
	for i := range candidates {
		if x := &candidates[i]; x.LeftOut == "" && !heldOut(x.Holdout, c.Gate.Holdout) {
			free = append(free, x)
		}
	}
	slices.SortFunc(free, func(a, b *query.Candidate) int {
		return cmp.Or(cmp.Compare(b.Ended, a.Ended), strings.Compare(a.ID, b.ID))
	})
	for _, x := range free[min(c.Most, len(free)):] {
		x.LeftOut = "max_trajectories"
	}
	return candidates
}

func choose(head SelectHead, candidates []query.Candidate, share float64) selected {
	out := selected{Head: head}
	out.Head.Live = len(candidates)
	keys := map[string]bool{} // whether held out
	for _, c := range candidates {
		if c.LeftOut != "" {
			out.Head.LeftOut[c.LeftOut]++
			continue
		}
		row := Chosen{ID: c.ID, Revision: c.Revision, Tenant: c.Tenant, Group: c.Group, Split: Train}
		held, known := keys[c.Holdout]
		if !known {
			held = heldOut(c.Holdout, share)
			keys[c.Holdout] = held
			if held {
				out.Head.HeldOutKeys++
			}
		}
		if held {
			row.Split = Holdout
			out.Head.Holdout++
		} else {
			out.Head.Train++
		}
		out.Rows = append(out.Rows, row)
	}
	out.Head.HoldoutKeys = len(keys)
	return out
}

// heldOut decides by the key alone, so that a task is in the holdout tonight if
// and only if it was last night. It is part of docs/training.md: changing it
// would train on what earlier nights held out.
func heldOut(key string, share float64) bool {
	sum := sha256.Sum256([]byte("tracegrad holdout v1\x00" + key))
	return float64(binary.BigEndian.Uint64(sum[:8]))/(1<<64) < share
}

// fingerprint hashes names and sizes of files: committed files never change.
func fingerprint(db *query.DB, tables ...string) (string, error) {
	h := sha256.New()
	for _, table := range tables {
		for _, file := range db.Files(table) {
			info, err := os.Stat(file)
			if err != nil {
				return "", err
			}
			name, err := filepath.Rel(db.Root(), file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%q %d\n", filepath.ToSlash(name), info.Size())
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
