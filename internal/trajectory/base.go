package trajectory

import "slices"

// maxBases bounds how many calls before a call are looked at.
const maxBases = 8

// base stores of a prompt's ids only what is new, where it begins with the
// prompt and the reply of an earlier call of its thread: the nearest one. Calls
// that are sent again, and branches, begin with one further up.
func (m *ModelCall) base(n *node) {
	for p, looked := n.pred, 0; p != nil && looked < maxBases; p, looked = p.pred, looked+1 {
		prompt, reply := p.call.PromptTokenIDs, p.call.TokenIDs
		whole := len(prompt) + len(reply)
		if len(prompt) == 0 || len(reply) == 0 || len(m.PromptTokenIDs) < whole || p.index >= n.index {
			continue
		}
		if slices.Equal(m.PromptTokenIDs[:len(prompt)], prompt) && slices.Equal(m.PromptTokenIDs[len(prompt):whole], reply) {
			m.PromptBase = new(int32(p.index)) //nolint:gosec // steps are fewer
			m.PromptTokenIDs = m.PromptTokenIDs[whole:]
			return
		}
	}
}
