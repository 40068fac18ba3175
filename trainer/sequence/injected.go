package sequence

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// injection is what a bundle added to a prompt, as the gateway noted it.
type injection struct {
	Message   int    `json:"message"` // index in the messages as the model received them
	Placement string `json:"placement"`
	Text      string `json:"text"`
}

// inject adds to a chat what the model saw of a bundle beyond the agent's
// messages: a prompt that is rendered again must be the one that was answered.
// It says why the chat cannot be made whole, or "".
func inject(chat *Chat, s *trajectory.Step) string {
	if !strings.Contains(s.Attributes, trajectory.AttrInjected) {
		return ""
	}
	var own map[string]json.RawMessage
	var list []injection
	if json.Unmarshal([]byte(s.Attributes), &own) != nil {
		return LeftInjected
	}
	raw, there := own[trajectory.AttrInjected]
	if !there {
		return ""
	}
	if json.Unmarshal(raw, &list) != nil {
		return LeftInjected
	}
	for _, in := range list {
		inside := 0 <= in.Message && in.Message < len(chat.Messages)
		switch {
		case in.Text == "":
			return LeftInjected
		case in.Placement == "insert" && 0 <= in.Message && in.Message <= len(chat.Messages):
			chat.Messages = slices.Insert(chat.Messages, in.Message, Message{Role: trajectory.RoleSystem, Content: in.Text})
		case in.Placement == "append" && inside && strings.HasSuffix(chat.Messages[in.Message].Content, in.Text): // the gateway's own span shows it
		case in.Placement == "append" && inside:
			chat.Messages[in.Message].Content += in.Text
		default: // how a template joins parts is not known
			return LeftInjected
		}
	}
	return ""
}
