package sequence

import (
	"cmp"
	"context"
)

// render asks the tokenizer for what was not captured: for each call the prompt
// as it stood before the reply, and, where the reply was not captured either, the
// whole with the reply in it.
func (b *builder) render(ctx context.Context, calls []*call) error {
	var chats []Chat
	var asked []*call
	for _, c := range calls {
		if c.left != "" || c.source == Captured {
			continue
		}
		if b.o.Tokenizer == nil {
			if c.left = LeftNoTokens; c.source == PromptRendered && c.model.PromptBase != nil {
				c.left = LeftNoBase
			}
			continue
		}
		prompt, reason := chatOf(b.t, c.model.Tools, c.model.Input)
		whole, also := chatOf(b.t, c.model.Tools, c.model.Input, c.model.Output)
		if c.left = cmp.Or(reason, also, inject(&prompt, c.step), inject(&whole, c.step)); c.left != "" {
			continue
		}
		prompt.Generate = true
		chats, asked = append(chats, prompt), append(asked, c)
		if c.reply == nil {
			chats = append(chats, whole)
		}
	}
	if len(chats) == 0 {
		return ctx.Err()
	}
	answers, err := b.o.Tokenizer.Render(ctx, chats)
	if err != nil {
		return err
	}
	if len(answers) != len(chats) {
		return errAnswers
	}
	for _, c := range asked {
		n := 1
		if c.reply == nil {
			n = 2
		}
		c.left = b.take(c, answers[:n])
		answers = answers[n:]
	}
	return nil
}

// take turns the tokenizer's answers into a prompt and a reply, or says why they
// are none.
func (b *builder) take(c *call, answers []Rendered) string {
	for _, a := range answers {
		switch {
		case a.Error != "" || len(a.IDs) == 0:
			return LeftTemplate
		case !b.known(a.IDs):
			return SkipVocabulary
		}
	}
	c.prompt = answers[0].IDs
	if len(answers) == 1 {
		return ""
	}
	c.source = Retokenised
	whole := answers[1]
	switch {
	case len(whole.Assistant) != len(whole.IDs):
		return LeftNoMask
	case len(whole.IDs) <= len(c.prompt) || !begins(whole.IDs, c.prompt):
		return LeftNotPrefix
	}
	end := len(whole.IDs)
	for end > len(c.prompt) && !whole.Assistant[end-1] {
		end-- // what the template puts after a turn was not generated
	}
	if end == len(c.prompt) {
		return LeftNoMask
	}
	c.reply, c.wrote = whole.IDs[len(c.prompt):end], whole.Assistant[len(c.prompt):end]
	return ""
}
