package sequence

import (
	"context"
	"fmt"
	"slices"
)

// Checked is a tokenizer of which the first chats are rendered by the server
// that generates as well: where the two differ, what was rendered again is not
// what the policy saw.
type Checked struct {
	Tokenizer
	Server Server
	Most   int // chats to compare
	Agreement
}

// Agreement is what came of comparing two renderings of chats.
type Agreement struct {
	Compared int    `json:"compared"`          // chats
	Differ   int    `json:"differ"`            // of them, those that came to other ids
	First    string `json:"first,omitempty"`   // where the first of these parted
	Missing  string `json:"missing,omitempty"` // why not more were compared; "" = nothing stood in the way
}

// Err is an error if no chat came to the same ids: then it is another tokenizer,
// or another template.
func (a Agreement) Err() error {
	if a.Compared == 0 || a.Differ < a.Compared {
		return nil
	}
	return fmt.Errorf("the server that generates renders every chat to other token ids than the base model's own template does: %s: "+
		"serve the model with its own tokenizer and template, name the folder that is served with adapter.folder, or capture token ids with the gateway", a.First)
}

// Server renders one chat as the server of the model does. ok is false if it
// refuses this chat; an error means that it can be asked no more.
type Server interface {
	RenderOne(ctx context.Context, chat Chat) (ids []int32, ok bool, err error)
}

// Render answers what the tokenizer does. A server that is not there checks
// nothing.
func (c *Checked) Render(ctx context.Context, chats []Chat) ([]Rendered, error) {
	out, err := c.Tokenizer.Render(ctx, chats)
	if err != nil || len(out) != len(chats) {
		return out, err
	}
	for i := 0; i < len(chats) && c.Compared < c.Most && c.Missing == ""; i++ {
		if out[i].Error == "" {
			c.compare(ctx, chats[i], out[i].IDs)
		}
	}
	return out, ctx.Err()
}

func (c *Checked) compare(ctx context.Context, chat Chat, ours []int32) {
	theirs, ok, err := c.Server.RenderOne(ctx, chat)
	switch {
	case err != nil:
		c.Missing = err.Error()
		return
	case !ok:
		return
	}
	if c.Compared++; slices.Equal(ours, theirs) {
		return
	}
	if c.Differ++; c.First == "" {
		c.First = differ(ours, theirs)
	}
}

// differ says where two renderings part.
func differ(ours, theirs []int32) string {
	at := 0
	for at < min(len(ours), len(theirs)) && ours[at] == theirs[at] {
		at++
	}
	id := func(ids []int32) string {
		if at < len(ids) {
			return fmt.Sprint(ids[at])
		}
		return "none"
	}
	return fmt.Sprintf("of a chat of %d tokens, token %d is %s there and %s here", len(ours), at, id(theirs), id(ours))
}
