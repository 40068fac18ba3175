package sequence

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// twin renders a chat to the lengths of its messages, with ends added.
type twin struct {
	end     int32
	odd     string // a chat that begins so gets one token more
	refuses string // a chat that begins so
	broken  error
	asked   int
}

func (w *twin) ids(c Chat) (out []int32) {
	for _, m := range c.Messages {
		out = append(out, int32(len(m.Content)))
	}
	if out = append(out, w.end); c.Messages[0].Content == w.odd {
		out = append(out, 9)
	}
	return out
}

func (w *twin) Render(_ context.Context, chats []Chat) (out []Rendered, _ error) {
	for _, c := range chats {
		if c.Messages[0].Content == w.refuses {
			out = append(out, Rendered{Error: "no"})
			continue
		}
		out = append(out, Rendered{IDs: w.ids(c)})
	}
	return out, nil
}

func (w *twin) RenderOne(_ context.Context, c Chat) ([]int32, bool, error) {
	w.asked++
	return w.ids(c), c.Messages[0].Content != w.refuses, w.broken
}

func TestChecked(t *testing.T) {
	var chats []Chat
	for _, text := range []string{"a", "bb", "ccc", "dddd"} {
		chats = append(chats, Chat{Messages: []Message{{Content: text}}})
	}
	for _, c := range []struct {
		name          string
		local, server twin
		asked         int
		want          Agreement
		says          string
	}{
		{name: "the same", asked: 3, want: Agreement{Compared: 3}},
		{name: "refused here", local: twin{refuses: "a"}, asked: 3, want: Agreement{Compared: 3}},
		{name: "refused there", server: twin{refuses: "bb"}, asked: 4, want: Agreement{Compared: 3}},
		{name: "gone", server: twin{broken: errors.New("connection refused")}, asked: 1, want: Agreement{Missing: "connection refused"}},
		{name: "one differs", server: twin{odd: "bb"}, asked: 3, want: Agreement{Compared: 3, Differ: 1, First: "of a chat of 2 tokens, token 2 is 9 there and none here"}},
		{name: "another end", server: twin{end: 7}, asked: 3, want: Agreement{Compared: 3, Differ: 3, First: "of a chat of 2 tokens, token 1 is 7 there and 0 here"}, says: "token 1 is 7 there and 0 here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &Checked{Tokenizer: &c.local, Server: &c.server, Most: 3}
			want, err := c.local.Render(t.Context(), chats)
			require.NoError(t, err)
			for range 2 {
				got, err := x.Render(t.Context(), chats)
				require.NoError(t, err)
				assert.Equal(t, want, got)
				assert.Equal(t, c.asked, c.server.asked, "no more are asked than are compared")
			}
			assert.Equal(t, c.want, x.Agreement)
			if c.says == "" {
				assert.NoError(t, x.Err())
			} else {
				assert.ErrorContains(t, x.Err(), c.says)
			}
		})
	}
}
