package trajectory

import "strings"

// hands says whether a tool call hands over to another agent. Frameworks show
// such a run with arguments of their own.
func hands(name string) bool {
	_, ok := handover(plainName(name))
	return ok
}

// handover is the agent that a tool name hands over to.
func handover(name string) (string, bool) {
	for _, prefix := range []string{"transfer_to_", "handoff_to_", "handover_to_", "delegate_to_", "handoff_"} {
		if to, ok := strings.CutPrefix(name, prefix); ok && to != "" {
			return to, true
		}
	}
	return "", false
}

// handedOver is the run that handed over to the agent whose thread begins with
// n, where the agents stand side by side: the last before it that names the
// agent, in its own name or in its arguments. nil for none.
func (b *builder) handedOver(n *node) *node {
	agent := plainName(b.tree.agentOf(n.at))
	if agent == "" {
		return nil
	}
	var last *node
	for _, t := range b.tools {
		to, ok := handover(plainName(t.tool.Name))
		if !ok || t.index > n.index || last != nil && t.index < last.index || t.span != nil && t.span.Error != "" {
			continue
		}
		if to == agent || t.arguments().names(agent) {
			last = t
		}
	}
	return last
}

// names says whether a member of an object is the name of an agent.
func (p *parsedJSON) names(agent string) bool {
	p.read()
	o, _ := p.value.(map[string]any)
	for _, v := range o {
		if s, ok := v.(string); ok && plainName(s) == agent {
			return true
		}
	}
	return false
}
