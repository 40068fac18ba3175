package trajectory

import "slices"

// dropGateway removes the gateway's witness of calls that the agent shows beside
// it, without the id of the response: the ids of the tool calls in it agree, or
// all that was said, and the times overlap. Each call has one.
func (t *tree) dropGateway(calls []int) []int {
	ours := func(i int) bool { return t.spans[i].Gateway }
	if !slices.ContainsFunc(calls, ours) || !slices.ContainsFunc(calls, func(i int) bool { return !ours(i) }) {
		return calls
	}
	met := map[int]bool{}
	out := make([]int, 0, len(calls))
	for _, i := range calls {
		at := -1
		if ours(i) {
			at = slices.IndexFunc(calls, func(j int) bool { return !ours(j) && !met[j] && oneCall(t.spans[j], t.spans[i]) })
		}
		if at < 0 {
			out = append(out, i)
			continue
		}
		j := calls[at]
		met[j] = true
		t.spans[j] = t.joined(j, i)
	}
	return out
}

// joined is a copy of the span at i with what another witness of its call shows.
// Of the agent's and the gateway's, the agent's says which agent it was: the
// gateway knows a name that was configured.
func (t *tree) joined(i, other int) *Span {
	m := merged(t.spans[i], t.spans[other])
	if t.spans[i].Gateway == t.spans[other].Gateway {
		return m
	}
	agent := i
	if t.spans[i].Gateway {
		agent = other
	}
	if name := t.agentOf(agent); name != "" {
		m.Agent = name
	}
	return m
}

// oneCall says whether an agent's span and the gateway's show one call.
func oneCall(agent, gateway *Span) bool {
	a, g := agent.Call, gateway.Call
	switch {
	case a == nil || g == nil || agent.TraceID != gateway.TraceID || agent.Start > gateway.End || gateway.Start > agent.End:
		return false
	case a.ResponseID != "" && g.ResponseID != "":
		return a.ResponseID == g.ResponseID
	}
	_, asks := flatten(a.Reply)
	_, asked := flatten(g.Reply)
	if slices.ContainsFunc(asks, hasID) && slices.ContainsFunc(asked, hasID) {
		return sharedID(asks, asked) == FitSure
	}
	return sameCall(a, g) && sameReply(a.Reply, g.Reply)
}
