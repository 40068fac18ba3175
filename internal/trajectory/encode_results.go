package trajectory

import "fmt"

// What a tool returned is most often shown to the model word for word. Encodings
// keep such a text once: in the message.

// longResult is the length from which a reference is worth the search.
const longResult = 32

// resultsIndex finds messages by the tool call that they answer.
type resultsIndex struct {
	messages []Message
	byCall   map[string]int // once there are many; the last with an id counts
}

// message is the index of the message that says what a tool returned, -1 for
// none.
func (x *resultsIndex) message(r *ToolRun) int {
	if r.CallID == "" || r.Result == nil || len(*r.Result) < longResult {
		return -1
	}
	if len(x.messages) <= few {
		for i := range x.messages {
			if x.says(i, r) {
				return i
			}
		}
		return -1
	}
	if x.byCall == nil {
		x.byCall = map[string]int{}
		for i := range x.messages {
			if id := x.messages[i].ToolCallID; id != "" {
				x.byCall[id] = i
			}
		}
	}
	if i, ok := x.byCall[r.CallID]; ok && x.says(i, r) {
		return i
	}
	return -1
}

func (x *resultsIndex) says(i int, r *ToolRun) bool {
	return x.messages[i].ToolCallID == r.CallID && x.messages[i].Text == *r.Result
}

type resultRef struct {
	run     *ToolRun
	message int32
}

func resolveResults(messages []Message, refs []resultRef) error {
	for _, ref := range refs {
		if ref.message < 0 || int(ref.message) >= len(messages) {
			return fmt.Errorf("a tool run refers to message %d of %d", ref.message, len(messages))
		}
		ref.run.Result = &messages[ref.message].Text
	}
	return nil
}
