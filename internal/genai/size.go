package genai

import "github.com/tracegrad/tracegrad/internal/trajectory"

const (
	spanBytes = 256 // a span with its ids and names, which are short
	callBytes = 256

	// Texts of so many bytes are names and ids: most are shared by many spans,
	// and what they take is in spanBytes. Longer ones are counted.
	nameBytes = 64
)

// held is how many bytes a span keeps from being freed, said new texts of
// messages among them: whatever attribute a text came in, it counts.
func held(s *trajectory.Span, said int) int {
	n := spanBytes + said + len(s.In) + len(s.Out) + len(s.Error)
	// A conversation's id is also a key, under which its parts are found.
	for _, text := range [...]string{
		s.Name, s.Service, s.Conversation, s.Conversation, s.User, s.Tenant, s.Rollout, s.Rollout, s.Previous, s.TaskKey, s.Agent,
		s.Injected, s.Turn, s.AgentID, s.Request, s.Starts, s.Reports,
	} {
		n += unlessShort(text)
	}
	for _, v := range s.Attributes {
		n += len(v)
	}
	for i := range s.Facts {
		f := &s.Facts[i]
		n += 128 + unlessShort(f.ID) + unlessShort(f.Name) + unlessShort(f.Label) + len(f.Explanation) + unlessShort(f.ResponseID) + unlessShort(f.ConversationID)
	}
	if c := s.Call; c != nil {
		n += callBytes + 8*len(c.Prompt) + 8*len(c.Reply) + 4*(len(c.PromptTokenIDs)+len(c.TokenIDs)+len(c.Logprobs))
		for _, text := range [...]string{c.Provider, c.RequestModel, c.ResponseModel, c.Adapter, c.Bundle, c.ResponseID, c.FinishReason} {
			n += unlessShort(text)
		}
	}
	if t := s.Tool; t != nil {
		n += unlessShort(t.Name) + unlessShort(t.CallID) + len(t.Arguments)
		if t.Result != nil {
			n += len(*t.Result)
		}
	}
	return n
}

// unlessShort is the length of a text that is no short name.
func unlessShort(text string) int {
	if len(text) <= nameBytes {
		return 0
	}
	return len(text)
}
