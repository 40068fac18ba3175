package trajectory

import "slices"

// modelCalls returns the spans that are model steps, in order, each with what
// its wrappers show merged into it.
//
// Of nested model spans that show the same call the innermost is the step. The
// walk from a span to its wrapper does not look through tools and agents: some
// frameworks hang those below the model span.
func (t *tree) modelCalls() []int {
	t.testify()
	var inner map[int][]int // wrapper → the calls inside it
	for i, s := range t.spans {
		if isModel(s) {
			if p := t.ancestor(i, isModel, notOfTheCall); p >= 0 {
				if inner == nil {
					inner = map[int][]int{}
				}
				inner[p] = append(inner[p], i)
			}
		}
	}
	var out []int
	for i := len(t.spans) - 1; i >= 0; i-- {
		if !isModel(t.spans[i]) {
			continue
		}
		if in := inner[i]; len(in) > 0 && t.unwrap(i, in) {
			continue
		}
		out = append(out, i)
	}
	slices.Reverse(out)
	return t.dropEmpty(t.dropGateway(t.dropTwins(t.withLoops(out))))
}

// withLoops adds the loops of calls that are the only witness of their calls.
func (t *tree) withLoops(calls []int) []int {
	isLoop := func(s *Span) bool { return isAgent(s) && s.Call != nil && len(s.Call.Reply) > 0 }
	if !slices.ContainsFunc(t.spans, isLoop) {
		return calls
	}
	seen := map[int]bool{} // loops whose calls are here
	for _, i := range calls {
		seen[t.ancestor(i, isLoop, nil)] = true
	}
	for i, s := range t.spans {
		if isLoop(s) && !seen[i] {
			calls = append(calls, i)
		}
	}
	slices.Sort(calls)
	return calls
}

// dropTwins removes the second witness of a call: two instrumentations of one
// client give sibling spans with one response id that overlap in time. What a
// call was answered may be fetched later, by other spans.
func (t *tree) dropTwins(calls []int) []int {
	byID := map[twinKey]int{} // call → its latest witness
	if len(calls) <= few {
		byID = nil
	}
	out := calls[:0]
	for _, i := range calls {
		s := t.spans[i]
		if s.Call == nil || s.Call.ResponseID == "" {
			out = append(out, i)
			continue
		}
		key := twinKey{s.TraceID, s.Call.ResponseID}
		first, twin := byID[key]
		if byID == nil {
			first, twin = t.witness(out, key)
		}
		if twin && (s.Call.Fetched || t.spans[first].Start < s.End && s.Start < t.spans[first].End) {
			t.spans[first] = t.joined(first, i)
			continue
		}
		if byID != nil {
			byID[key] = i
		}
		out = append(out, i)
	}
	return out
}

type twinKey struct {
	trace    TraceID
	response string
}

// witness is the latest of some calls that shows the call.
func (t *tree) witness(calls []int, key twinKey) (int, bool) {
	for _, i := range slices.Backward(calls) {
		if s := t.spans[i]; s.Call != nil && s.Call.ResponseID == key.response && s.TraceID == key.trace {
			return i, true
		}
	}
	return 0, false
}

// dropEmpty removes model spans that are no call of their own: a span that
// shows a prompt and nothing of an answer, where the next call of the same
// parent shows the same prompt with the answer (a streamed call that is
// reported when it starts and when it ends), and spans that show nothing at all
// beside calls that do (helpers that an instrumentation wraps too).
func (t *tree) dropEmpty(calls []int) []int {
	some := slices.ContainsFunc(calls, func(i int) bool { return shows(t.spans[i]) })
	var out []int
	for k, i := range calls {
		s := t.spans[i]
		switch {
		case answers(s) || s.Error != "":
		case emptyCall(s.Call) && some && len(s.Missing) == 0: // what was lost is a call all the same
			continue
		default:
			if j := t.sequel(calls[k+1:], i); j >= 0 {
				whole := *merged(t.spans[j], s)
				whole.Start = s.Start
				t.spans[j] = &whole
				continue
			}
		}
		out = append(out, i)
	}
	return out
}

// sequel is the next call of the same parent, when it shows the same prompt.
func (t *tree) sequel(later []int, i int) int {
	for _, j := range later {
		if t.parent[j] == t.parent[i] {
			first, s := t.spans[i], t.spans[j]
			mark := s.Start == s.End
			report := mark || s.Start <= first.End // a mark in time, or the same time: not a second call
			if report && answers(s) && (sameCall(first.Call, s.Call) || mark && sameLoss(first, s)) && s.Start >= first.Start && s.Error == "" {
				return j
			}
			return -1
		}
	}
	return -1
}

// sameLoss says whether two spans may have shown one prompt before it was cut.
func sameLoss(a, b *Span) bool {
	lost := func(s *Span) bool {
		return s.Call != nil && len(s.Call.Prompt) == 0 && slices.Contains(s.Missing, ReasonTruncated)
	}
	return lost(a) && lost(b) && a.Call.RequestModel == b.Call.RequestModel
}

// answers says whether a span shows any trace of an answer.
func answers(s *Span) bool {
	c := s.Call
	return c != nil && (len(c.Reply) > 0 || c.ResponseID != "" || c.FinishReason != "" || c.OutputTokens != nil)
}

func shows(s *Span) bool { return answers(s) || !emptyCall(s.Call) }
