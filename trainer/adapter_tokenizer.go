package trainer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/tracegrad/tracegrad/internal/vllm"
	"github.com/tracegrad/tracegrad/trainer/sequence"
)

// chatsCompared are rendered by the server that generates, too.
const chatsCompared = 16

// renderWithin bounds how long the server may take for one chat.
const renderWithin = 10 * time.Second

// tokenizer renders what was not captured; where gate.server names the server
// that generates, it is asked for some of it as well.
func (n *adapterNight) tokenizer() (sequence.Tokenizer, *sequence.Checked, error) {
	own, gate := n.server.Tokenizer(), n.Config.Gate
	if own == nil || gate.Server == "" {
		return own, nil, nil
	}
	server, err := vllm.New(gate.Server, os.Getenv(ServerKeyVariable), &http.Client{Timeout: renderWithin})
	if err != nil {
		return nil, nil, err
	}
	checked := &sequence.Checked{Tokenizer: own, Server: &served{server, cmp.Or(gate.Model, n.Config.Adapter.BaseModel)}, Most: chatsCompared}
	return checked, checked, nil
}

// served renders chats as the server that generates does.
type served struct {
	server *vllm.Server
	model  string
}

func (s *served) RenderOne(ctx context.Context, chat sequence.Chat) (ids []int32, ok bool, err error) {
	ids, err = s.server.Tokenize(ctx, vllm.Chat{Model: s.model, Messages: asSent(chat.Messages), Tools: chat.Tools, Generate: chat.Generate})
	if refused, is := errors.AsType[*vllm.Refusal](err); is && refused.Status == http.StatusBadRequest {
		return nil, false, nil
	}
	return ids, err == nil, err
}

// asSent are messages as clients send them: arguments are text, which the server
// takes apart for the template as we did.
func asSent(messages []sequence.Message) []sequence.Message {
	out := make([]sequence.Message, len(messages))
	for i, m := range messages {
		calls := m.ToolCalls
		m.ToolCalls = nil
		for _, c := range calls {
			if len(c.Function.Arguments) > 0 && c.Function.Arguments[0] == '{' {
				c.Function.Arguments, _ = json.Marshal(string(c.Function.Arguments)) // a text always can be
			}
			m.ToolCalls = append(m.ToolCalls, c)
		}
		out[i] = m
	}
	return out
}
