package sequence

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// chatML is a tokenizer of bytes with a template like Qwen's: thoughts are shown
// of the last message only.
type chatML struct {
	noMask, thinks bool // thinks: the generation prompt opens a thought
	refuse         string
	err            error
	asked          []Chat
}

const (
	start, stop = 256, 257
)

func (c *chatML) Render(_ context.Context, chats []Chat) ([]Rendered, error) {
	c.asked = append(c.asked, chats...)
	out := make([]Rendered, len(chats))
	for i, chat := range chats {
		out[i] = c.one(chat)
	}
	return out, c.err
}

func (c *chatML) one(chat Chat) (out Rendered) {
	if c.refuse != "" {
		return Rendered{Error: c.refuse}
	}
	add := func(wrote bool, ids ...int32) {
		for _, id := range ids {
			out.IDs, out.Assistant = append(out.IDs, id), append(out.Assistant, wrote)
		}
	}
	text := func(s string) (ids []int32) {
		for _, b := range []byte(s) {
			ids = append(ids, int32(b))
		}
		return ids
	}
	if chat.Tools != nil {
		add(false, text(string(chat.Tools))...)
	}
	for i, m := range chat.Messages {
		wrote := m.Role == "assistant"
		add(false, start)
		add(false, text(m.Role+"\n")...)
		if m.Reasoning != "" && i == len(chat.Messages)-1 {
			add(wrote, text("<think>"+m.Reasoning+"</think>")...)
		}
		add(wrote, text(m.Content)...)
		for _, call := range m.ToolCalls {
			add(wrote, text(call.Function.Name+string(call.Function.Arguments))...)
		}
		add(wrote, stop)
		add(false, '\n')
	}
	if chat.Generate {
		add(false, start)
		add(false, text("assistant\n")...)
		if c.thinks {
			add(false, text("<think>")...)
		}
	}
	if c.noMask {
		out.Assistant = nil
	}
	return out
}

func says(role, text string) trajectory.Message { return trajectory.Message{Role: role, Text: text} }

// lookup is a trajectory of two calls with a tool between them, none captured.
func lookup(thought string) *trajectory.Trajectory {
	call := says("assistant", "")
	call.Reasoning = thought
	call.ToolCalls = []trajectory.ToolCall{{ID: "c1", Name: "find", Arguments: `{"q": "x"}`}}
	result := says("tool", "found")
	result.ToolCallID = "c1"
	answer := says("assistant", "done")
	answer.Reasoning = thought
	t := &trajectory.Trajectory{ID: "t", Trainable: true, Messages: []trajectory.Message{says("user", "find x"), call, result, answer}}
	tools := `[{"name": "find", "description": "finds", "input_schema": {"type": "object"}}]`
	for i, m := range []*trajectory.ModelCall{
		{Tools: tools, Input: []int32{0}, Output: []int32{1}},
		{Tools: tools, Input: []int32{0, 1, 2}, Output: []int32{3}},
	} {
		t.Steps = append(t.Steps, trajectory.Step{Index: i, Kind: trajectory.KindModel, Trainable: true, Model: m})
	}
	return t
}

// decoded is what a row's ids say; generated runs stand in brackets.
func decoded(tokens []int32, mask []bool) string {
	var out []byte
	for i, id := range tokens {
		if mask[i] && !mask[i-1] {
			out = append(out, '[')
		}
		switch id {
		case start:
			out = append(out, '<')
		case stop:
			out = append(out, '>')
		default:
			out = append(out, byte(id)) //nolint:gosec // a byte
		}
		if mask[i] && (i+1 == len(mask) || !mask[i+1]) {
			out = append(out, ']')
		}
	}
	return string(out)
}

const shownTools = `[{"type":"function","function":{"name":"find","description":"finds","parameters":{"type":"object"}}}]`

func TestCallsThatWereNotCapturedAreRendered(t *testing.T) {
	r, err := Build(context.Background(), lookup(""), Options{Tokenizer: &chatML{}, Vocabulary: 258})
	require.NoError(t, err)
	require.Empty(t, r.Skipped)
	require.Len(t, r.Rows, 1, "the second prompt begins with the first call")
	assert.Equal(t, shownTools+"<user\nfind x>\n<assistant\n[find{\"q\": \"x\"}>]\n<tool\nfound>\n<assistant\n[done>]", decoded(r.Rows[0].Tokens, r.Rows[0].Mask))
	var tally Tally
	tally.Add(r)
	assert.Equal(t, map[Source]int{Retokenised: 2}, tally.Calls)
	assert.Equal(t, 2, tally.Recompute)
	require.NoError(t, r.Rows[0].Valid(258))
}

func TestThoughtsThatTheTemplateForgetsMakeTwoRows(t *testing.T) {
	r, err := Build(context.Background(), lookup("hm"), Options{Tokenizer: &chatML{}})
	require.NoError(t, err)
	require.Len(t, r.Rows, 2)
	assert.Equal(t, shownTools+"<user\nfind x>\n<assistant\n[<think>hm</think>find{\"q\": \"x\"}>]", decoded(r.Rows[0].Tokens, r.Rows[0].Mask))
	assert.Equal(t, shownTools+"<user\nfind x>\n<assistant\nfind{\"q\": \"x\"}>\n<tool\nfound>\n<assistant\n[<think>hm</think>done>]", decoded(r.Rows[1].Tokens, r.Rows[1].Mask))
}

func TestACapturedReplyIsKeptWhereItsPromptIsRendered(t *testing.T) {
	in := lookup("")
	in.Steps[0].Model.TokenIDs = []int32{'F', stop}
	r, err := Build(context.Background(), in, Options{Tokenizer: &chatML{}})
	require.NoError(t, err)
	require.Len(t, r.Rows, 2, "what was generated is not what the history shows")
	assert.Equal(t, shownTools+"<user\nfind x>\n<assistant\n[F>]", decoded(r.Rows[0].Tokens, r.Rows[0].Mask))
	assert.Equal(t, []Source{PromptRendered, Retokenised}, []Source{r.Spans[0].Source, r.Spans[1].Source})
}

func TestWhatCannotBeRenderedIsLeftOut(t *testing.T) {
	picture := lookup("")
	picture.Messages[0].Parts = `[{"type": "image"}]`
	for _, c := range []struct {
		in        *trajectory.Trajectory
		tokenizer *chatML
		want      string
	}{
		{lookup(""), &chatML{refuse: "roles must alternate"}, LeftTemplate},
		{lookup(""), &chatML{noMask: true}, LeftNoMask},
		{lookup(""), &chatML{thinks: true}, LeftNotPrefix},
		{picture, &chatML{}, LeftContent},
	} {
		r, err := Build(context.Background(), c.in, Options{Tokenizer: c.tokenizer})
		require.NoError(t, err)
		assert.Equal(t, SkipNothing, r.Skipped)
		assert.Equal(t, map[string]int{c.want: 2}, r.LeftOut)
	}
	r, err := Build(context.Background(), lookup(""), Options{Tokenizer: &chatML{}, Vocabulary: 100})
	require.NoError(t, err)
	assert.Equal(t, map[string]int{SkipVocabulary: 2}, r.LeftOut)
}

func TestATokenizerThatFailsIsAnError(t *testing.T) {
	gone := errors.New("connection refused")
	_, err := Build(context.Background(), lookup(""), Options{Tokenizer: &chatML{err: gone}})
	require.ErrorIs(t, err, gone)
	_, err = Build(context.Background(), lookup(""), Options{Tokenizer: half{}})
	require.ErrorIs(t, err, errAnswers)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Build(ctx, trajectoryOf([]recorded{{Prompt: []int32{1}, Reply: []int32{2}}}), Options{})
	require.ErrorIs(t, err, context.Canceled)
}

// half answers only some of the chats.
type half struct{}

func (half) Render(_ context.Context, chats []Chat) ([]Rendered, error) {
	return make([]Rendered, len(chats)/2), nil
}

func TestCapturedCallsAreNotRendered(t *testing.T) {
	tokenizer := &chatML{}
	in := lookup("")
	in.Steps[0].Model.PromptTokenIDs, in.Steps[0].Model.TokenIDs = []int32{1}, []int32{2}
	base := int32(0)
	in.Steps[1].Model.PromptBase, in.Steps[1].Model.TokenIDs = &base, []int32{3}
	_, err := Build(context.Background(), in, Options{Tokenizer: tokenizer})
	require.NoError(t, err)
	assert.Empty(t, tokenizer.asked)
}

func TestToolsAndArgumentsInTheFormThatTemplatesExpect(t *testing.T) {
	for text, want := range map[string]string{
		"":    "",
		"[]":  "",
		"{}":  "",
		"nix": "",
		`[{"type":"function","function":{"name":"a"}}]`:                                                                  `[{"type":"function","function":{"name":"a","description":null,"parameters":null}}]`,
		`[{"function":{"strict":true,"parameters":{"z":1,"a":2},"x":1,"description":"d","name":"a"},"type":"function"}]`: `[{"type":"function","function":{"name":"a","description":"d","parameters":{"z":1,"a":2},"strict":true}}]`,
		`[{"name":"a","type":"function","parameters":{"x":1}}]`:                                                          `[{"type":"function","function":{"name":"a","description":null,"parameters":{"x":1}}}]`,
		`[{"name":"a","input_schema":{"x":1}}]`:                                                                          `[{"type":"function","function":{"name":"a","description":null,"parameters":{"x":1}}}]`,
		`[{"type":"web_search"}]`:                                                                                        `[{"type":"web_search"}]`,
	} {
		assert.Equal(t, want, string(toolsOf(text)), text)
	}
	for text, want := range map[string]string{`{"a": 1}`: `{"a": 1}`, ``: `""`, `null`: `"null"`, `[1]`: `"[1]"`, `a"b`: `"a\"b"`} {
		assert.Equal(t, want, string(argumentsOf(text)))
		assert.True(t, json.Valid(argumentsOf(text)))
	}
}

// FuzzBuild: whatever was recorded, rows are whole or there are none.
func FuzzBuild(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 250, 4, 5}, 8)
	f.Add([]byte{1, 1, 1, 2, 2, 2, 3, 3, 3, 9}, 0)
	f.Fuzz(func(t *testing.T, data []byte, longest int) {
		var calls []recorded
		next := func(n int) (out []byte) {
			n = min(n, len(data))
			out, data = data[:n], data[n:]
			return out
		}
		ids := func(b []byte) (out []int32) {
			for _, x := range b {
				out = append(out, int32(x)%16-1)
			}
			return out
		}
		for len(data) > 2 {
			head := next(3)
			c := recorded{Prompt: ids(next(int(head[0]) % 5)), Reply: ids(next(int(head[1]) % 4))}
			if head[2]%3 > 0 {
				base := int32(head[2])/3%8 - 1
				c.Base = &base
			}
			if head[2]%5 == 0 {
				c.Logprobs = make([]float32, int(head[0])%4)
			}
			calls = append(calls, c)
		}
		r, err := Build(context.Background(), trajectoryOf(calls), Options{Vocabulary: 14, MaxLength: longest % 64})
		if err != nil {
			t.Fatal(err)
		}
		if (r.Skipped == "") != (len(r.Rows) > 0) {
			t.Fatalf("%d rows, skipped %q", len(r.Rows), r.Skipped)
		}
		for i := range r.Rows {
			if err := r.Rows[i].Valid(14); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.IsSortedFunc(r.Spans, func(a, b Span) int { return a.Step - b.Step }) {
			t.Fatal("spans are not in the order of generation")
		}
	})
}

func TestAPromptThatBeginsWithWhatIsNotKnownIsRendered(t *testing.T) {
	in, base := lookup(""), int32(0)
	in.Steps[1].Model.PromptBase, in.Steps[1].Model.PromptTokenIDs, in.Steps[1].Model.TokenIDs = &base, []int32{1}, []int32{'D', stop}
	r, err := Build(context.Background(), in, Options{Tokenizer: &chatML{}})
	require.NoError(t, err)
	require.Len(t, r.Rows, 1)
	assert.Equal(t, shownTools+"<user\nfind x>\n<assistant\n[find{\"q\": \"x\"}>]\n<tool\nfound>\n<assistant\n[D>]", decoded(r.Rows[0].Tokens, r.Rows[0].Mask))
	assert.Equal(t, []Source{Retokenised, PromptRendered}, []Source{r.Spans[0].Source, r.Spans[1].Source})
}
