package trajectory

import "math"

func (r *reader) message(m *Message) {
	outer := r.enter()
	for r.more() {
		switch tag := r.tag(); tag {
		case 1<<3 | wireBytes:
			m.Role = r.text()
		case 2<<3 | wireBytes:
			m.Text = r.text()
		case 3<<3 | wireBytes:
			m.Reasoning = r.text()
		case 4<<3 | wireBytes:
			m.ToolCalls = append(m.ToolCalls, r.toolCall())
		case 5<<3 | wireBytes:
			m.ToolCallID = r.text()
		case 6<<3 | wireBytes:
			m.Name = r.text()
		case 7<<3 | wireBytes:
			m.Injected = r.text()
		case 8<<3 | wireBytes:
			m.Parts = r.text()
		default:
			r.skip(tag)
		}
	}
	r.leave(outer)
}

func (r *reader) toolCall() (c ToolCall) {
	outer := r.enter()
	for r.more() {
		switch tag := r.tag(); tag {
		case 1<<3 | wireBytes:
			c.ID = r.text()
		case 2<<3 | wireBytes:
			c.Name = r.text()
		case 3<<3 | wireBytes:
			c.Arguments = r.text()
		default:
			r.skip(tag)
		}
	}
	r.leave(outer)
	return c
}

func (r *reader) step(s *Step) {
	outer := r.enter()
	for r.more() {
		switch tag := r.tag(); tag {
		case 1<<3 | wireVarint:
			s.Index = int(int32(r.varint()))
		case 2<<3 | wireVarint:
			s.Thread = int(int32(r.varint()))
		case 3<<3 | wireVarint:
			parent := int(int32(r.varint()))
			s.Parent = &parent
		case 4<<3 | wireBytes:
			s.Kind = Kind(r.text())
		case 5<<3 | wireBytes:
			s.AgentName = r.text()
		case 6<<3 | wireBytes:
			s.TraceID = r.text()
		case 7<<3 | wireBytes:
			s.SpanID = r.text()
		case 8<<3 | wireVarint:
			s.StartedAt = int64(r.varint())
		case 9<<3 | wireVarint:
			s.EndedAt = int64(r.varint())
		case 10<<3 | wireBytes:
			s.Error = r.text()
		case 11<<3 | wireVarint:
			s.Trainable = r.varint() != 0
		case 12<<3 | wireBytes:
			s.Reasons = append(s.Reasons, Reason(r.text()))
		case 13<<3 | wireBytes:
			s.Attributes = r.text()
		case 14<<3 | wireBytes:
			if s.Model == nil { // a second one is merged, as protobuf has it
				s.Model = &ModelCall{}
			}
			r.model(s.Model)
		case 15<<3 | wireBytes:
			if s.Tool == nil {
				s.Tool = &ToolRun{}
			}
			r.tool(s.Tool)
		default:
			r.skip(tag)
		}
	}
	r.leave(outer)
}

func (r *reader) model(m *ModelCall) {
	outer := r.enter()
	for r.more() {
		switch tag := r.tag(); tag {
		case 1<<3 | wireBytes:
			m.Provider = r.text()
		case 2<<3 | wireBytes:
			m.RequestModel = r.text()
		case 3<<3 | wireBytes:
			m.ResponseModel = r.text()
		case 4<<3 | wireBytes:
			m.Adapter = r.text()
		case 5<<3 | wireBytes:
			m.Bundle = r.text()
		case 6<<3 | wireBytes:
			m.ResponseID = r.text()
		case 7<<3 | wireBytes:
			m.FinishReason = r.text()
		case 8<<3 | wireVarint:
			m.InputTokens = r.optInt()
		case 9<<3 | wireVarint:
			m.OutputTokens = r.optInt()
		case 10<<3 | wireVarint:
			m.CachedTokens = r.optInt()
		default:
			if !r.modelSettings(tag, m) && !r.modelContent(tag, m) {
				r.skip(tag)
			}
		}
	}
	r.leave(outer)
}

func (r *reader) modelSettings(tag uint64, m *ModelCall) bool {
	switch tag {
	case 11<<3 | wireFixed64:
		m.Temperature = r.optDouble()
	case 12<<3 | wireFixed64:
		m.TopP = r.optDouble()
	case 13<<3 | wireVarint:
		m.TopK = r.optInt()
	case 14<<3 | wireVarint:
		m.MaxTokens = r.optInt()
	case 15<<3 | wireVarint:
		m.Seed = r.optInt()
	case 16<<3 | wireVarint:
		constrained := r.varint() != 0
		m.Constrained = &constrained
	case 17<<3 | wireBytes:
		m.LogprobsMode = r.text()
	case 18<<3 | wireBytes:
		m.Tools = r.text()
	default:
		return false
	}
	return true
}

// modelContent also takes lists that are not packed, as protobuf asks.
func (r *reader) modelContent(tag uint64, m *ModelCall) bool {
	switch tag {
	case 19<<3 | wireBytes:
		m.Input = r.ints(m.Input)
	case 19<<3 | wireVarint:
		m.Input = append(m.Input, int32(r.varint()))
	case 20<<3 | wireBytes:
		m.Output = r.ints(m.Output)
	case 20<<3 | wireVarint:
		m.Output = append(m.Output, int32(r.varint()))
	case 21<<3 | wireVarint:
		m.PromptBase = r.optInt32()
	case 22<<3 | wireBytes:
		m.PromptTokenIDs = r.ints(m.PromptTokenIDs)
	case 22<<3 | wireVarint:
		m.PromptTokenIDs = append(m.PromptTokenIDs, int32(r.varint()))
	case 23<<3 | wireBytes:
		m.TokenIDs = r.ints(m.TokenIDs)
	case 23<<3 | wireVarint:
		m.TokenIDs = append(m.TokenIDs, int32(r.varint()))
	case 24<<3 | wireBytes:
		m.Logprobs = r.floats(m.Logprobs)
	case 24<<3 | wireFixed32:
		m.Logprobs = append(m.Logprobs, r.float())
	case 25<<3 | wireVarint:
		r.tools = append(r.tools, toolsRef{m, int32(r.varint())})
	default:
		return false
	}
	return true
}

func (r *reader) tool(t *ToolRun) {
	outer := r.enter()
	for r.more() {
		switch tag := r.tag(); tag {
		case 1<<3 | wireBytes:
			t.Name = r.text()
		case 2<<3 | wireBytes:
			t.CallID = r.text()
		case 3<<3 | wireBytes:
			t.Arguments = r.text()
		case 4<<3 | wireBytes:
			t.Result = place(&r.results, r.text())
		case 5<<3 | wireVarint:
			r.shown = append(r.shown, resultRef{t, int32(min(r.varint(), math.MaxInt32))})
		default:
			r.skip(tag)
		}
	}
	r.leave(outer)
}

func (r *reader) reward(w *Reward) {
	outer := r.enter()
	for r.more() {
		switch tag := r.tag(); tag {
		case 1<<3 | wireVarint:
			w.Step = int(int32(r.varint()))
		case 2<<3 | wireBytes:
			w.Name = r.text()
		case 3<<3 | wireFixed64:
			w.Value = r.optDouble()
		case 4<<3 | wireBytes:
			w.Reason = r.text()
		case 5<<3 | wireBytes:
			w.Explanation = r.text()
		case 6<<3 | wireBytes:
			w.Source = r.text()
		case 7<<3 | wireBytes:
			w.RuleHash = r.text()
		case 8<<3 | wireVarint:
			w.Provisional = r.varint() != 0
		case 9<<3 | wireVarint:
			w.EvaluatedAt = int64(r.varint())
		default:
			r.skip(tag)
		}
	}
	r.leave(outer)
}

func (r *reader) fact(f *Fact) {
	outer := r.enter()
	for r.more() {
		switch tag := r.tag(); tag {
		case 1<<3 | wireBytes:
			f.ID = r.text()
		case 2<<3 | wireBytes:
			f.Name = r.text()
		case 3<<3 | wireFixed64:
			f.Value = r.optDouble()
		case 4<<3 | wireBytes:
			f.Label = r.text()
		case 5<<3 | wireBytes:
			f.Explanation = r.text()
		case 6<<3 | wireBytes:
			f.Source = r.text()
		case 7<<3 | wireVarint:
			f.ObservedAt = int64(r.varint())
		case 8<<3 | wireBytes:
			f.TrajectoryID = r.text()
		case 9<<3 | wireBytes:
			f.TraceID = r.text()
		case 10<<3 | wireBytes:
			f.SpanID = r.text()
		case 11<<3 | wireBytes:
			f.ResponseID = r.text()
		case 12<<3 | wireBytes:
			f.ConversationID = r.text()
		default:
			r.skip(tag)
		}
	}
	r.leave(outer)
}
