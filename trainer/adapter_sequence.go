package trainer

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
	"github.com/tracegrad/tracegrad/trainer/grpo"
	"github.com/tracegrad/tracegrad/trainer/sequence"
)

// SequenceHead is the head of sequence.jsonl.
type SequenceHead struct {
	sequence.Tally
	Holdout     sequence.Tally `json:"holdout"`      // of the held-out trajectories that are scored with the candidate
	Models      map[string]int `json:"models"`       // model calls of what was looked at, by the model that served them
	EmptyGroups int            `json:"empty_groups"` // groups of which no attempt has a row
	Longest     int            `json:"longest"`      // row, in tokens
	Tokenizer   string         `json:"tokenizer"`    // SHA-256 of the tokenizer that rendered; "" = nothing says
	LeftOut     map[string]int `json:"trajectories"` // without a row, as reasons for the report
	HoldoutLeft int            `json:"holdout_left"` // held-out trajectories beyond holdout_tokens

	Agreement *sequence.Agreement `json:"agreement,omitempty"` // with the server that generates, on chats rendered again; nil = none is named, or nothing was rendered
}

// Sequenced is a trajectory in rows.
type Sequenced struct {
	*sequence.Rollout
	Split Split `json:"split"`
}

type sequences = artifact[SequenceHead, Sequenced]

// leftOther is a call that another model served.
const leftOther = "other_model"

// anyModel in adapter.models stands for whatever served a call.
const anyModel = "any"

// sequenceStage builds the rows of what is trained on, and of as much of the
// holdout as is scored with the candidate.
func (n *adapterNight) sequenceStage(ctx context.Context, s selected, sc scores, a advantages) (sequences, error) {
	c, about := n.Config.Adapter, n.server.About()
	inputs := []any{c.BaseModel, c.Models, n.longest(), c.Temperature, c.Constrained, c.HoldoutTokens, n.baseID(), n.Config.Algorithm.OffPolicy.Kind, n.Config.Algorithm.Name, about.Vocabulary, about.Tokenizer, n.digestOf("select"), n.digestOf("score")}
	return stage(n.run, "sequence", inputs, func() (sequences, error) {
		b, err := n.sequencer()
		if err != nil {
			return sequences{}, err
		}
		train, holdout := trained(a), held(s, sc)
		for _, part := range []struct {
			ids   []string
			split Split
		}{{train, Train}, {holdout, Holdout}} {
			if err := b.build(ctx, part.ids, part.split); err != nil {
				return sequences{}, err
			}
		}
		if err := b.agreement(); err != nil {
			return sequences{}, err
		}
		b.groups(a)
		if err := b.out.Head.Err(); err != nil {
			return sequences{}, b.nothing(err)
		}
		return b.out, nil
	})
}

// longest is what a row may be long, in tokens: what the config allows and the
// model takes.
func (n *adapterNight) longest() int {
	if takes := n.server.About().Context; takes > 0 {
		return min(n.Config.Adapter.MaxLength, takes)
	}
	return n.Config.Adapter.MaxLength
}

// trained are the ids of groups with advantages, in their order.
func trained(a advantages) (ids []string) {
	for _, g := range a.Rows {
		for i, id := range g.IDs {
			if g.Advantages != nil && (g.Kind != grpo.KindBest || g.Advantages[i] != 0) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// held are the ids of the holdout that have a return.
func held(s selected, sc scores) (ids []string) {
	returns := returnsByID(sc)
	for _, row := range s.Rows {
		if r := returns[row.ID]; row.Split == Holdout && r != nil && r.Return != nil {
			ids = append(ids, row.ID)
		}
	}
	return ids
}

type sequencer struct {
	*adapterNight
	o       sequence.Options
	checked *sequence.Checked // nil = nobody to compare with
	out     sequences
}

func (n *adapterNight) sequencer() (*sequencer, error) {
	c, about := n.Config.Adapter, n.server.About()
	tokenizer, checked, err := n.tokenizer()
	b := &sequencer{adapterNight: n, checked: checked, out: sequences{Head: SequenceHead{Models: map[string]int{}, LeftOut: map[string]int{}, Tokenizer: about.Tokenizer}}}
	b.o = sequence.Options{
		Vocabulary: about.Vocabulary, MaxLength: n.longest(), Temperature: c.Temperature,
		Constrained: c.Constrained, Use: n.use, Foreign: n.foreign, Tokenizer: tokenizer,
	}
	return b, err
}

// agreement notes what the server that generates makes of chats; where it makes
// other ids of all, nothing is trained.
func (b *sequencer) agreement() error {
	if b.checked == nil || (b.checked.Compared == 0 && b.checked.Missing == "") {
		return nil
	}
	b.out.Head.Agreement = &b.checked.Agreement
	return b.checked.Err()
}

// build turns trajectories into rows, in the order of their ids: what the
// dataset's files are called must not change the result.
func (b *sequencer) build(ctx context.Context, ids []string, split Split) error {
	tally, done := &b.out.Head.Tally, 0
	if split == Holdout {
		tally = &b.out.Head.Holdout
	}
	var built []Sequenced
	for t, err := range b.db.Chosen(ctx, ids) {
		if err != nil {
			return err
		}
		done++
		if split == Holdout && tally.Tokens >= b.Config.Adapter.HoldoutTokens {
			b.out.Head.HoldoutLeft = len(ids) - done + 1
			break
		}
		r, err := sequence.Build(ctx, t, b.o)
		if err != nil {
			return err
		}
		tally.Add(r)
		b.note(t, r, split)
		if len(r.Rows) > 0 {
			built = append(built, Sequenced{r, split})
		}
		if done%20 == 0 {
			b.progress(Event{Stage: "sequence", State: Working, Done: done, Total: len(ids)})
		}
	}
	slices.SortFunc(built, func(x, y Sequenced) int { return strings.Compare(x.ID, y.ID) })
	b.out.Rows = append(b.out.Rows, built...)
	return nil
}

func (b *sequencer) note(t *trajectory.Trajectory, r *sequence.Rollout, split Split) {
	for i := range t.Steps {
		if m := t.Steps[i].Model; m != nil {
			b.out.Head.Models[servedBy(m)]++
		}
	}
	if r.Skipped != "" && split == Train {
		b.out.Head.LeftOut["no_row: "+r.Skipped]++
	}
	for i := range r.Rows {
		b.out.Head.Longest = max(b.out.Head.Longest, len(r.Rows[i].Tokens))
	}
}

// groups counts the groups of which nothing is left.
func (b *sequencer) groups(a advantages) {
	has := map[string]bool{}
	for _, r := range b.out.Rows {
		has[r.ID] = true
	}
	for _, g := range a.Rows {
		if g.Advantages != nil && !slices.ContainsFunc(g.IDs, func(id string) bool { return has[id] }) {
			b.out.Head.EmptyGroups++
		}
	}
}

// nothing is ErrNothingToTrain with what became of the calls, and, where other
// models served them, which.
func (b *sequencer) nothing(cause error) error {
	hint := ""
	if b.out.Head.Tally.LeftOut[leftOther] > 0 {
		var served []string
		for _, m := range counted(b.out.Head.Models) {
			served = append(served, fmt.Sprintf("%s (%d)", m.Reason, m.Count))
		}
		hint = fmt.Sprintf("; the calls were served by %s: if adapter.base_model stands behind one of these names, list it in adapter.models", strings.Join(served[:min(len(served), 5)], ", "))
	}
	if b.out.Head.Tally.LeftOut[sequence.LeftNoTokens] > 0 && b.o.Tokenizer == nil {
		hint += "; this engine renders no text: capture token ids with the gateway, or train on the worker"
	}
	return fmt.Errorf("%w: %w%s", ErrNothingToTrain, cause, hint)
}
