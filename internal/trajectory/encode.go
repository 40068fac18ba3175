package trajectory

// Version is the major version of the encoding. [Decode] reads versions up
// to this one.
const Version = 1

// Encode gives the bytes of t in the format of docs/trajectory.proto.
//
// Broken UTF-8 in texts becomes U+FFFD; everything else survives [Decode] as
// it was, except that empty lists come back nil.
func Encode(t *Trajectory) []byte { return AppendEncode(nil, t) }

// AppendEncode adds the encoding of t to dst. It keeps no reference to t.
func AppendEncode(dst []byte, t *Trajectory) []byte {
	b := putInt(dst, 1, Version)
	b = putHead(b, t)
	for i := range t.Messages {
		inner, at := begin(b, 14)
		b = end(putMessage(inner, &t.Messages[i]), at)
	}
	var tools toolsIndex
	results := resultsIndex{messages: t.Messages}
	for i := range t.Steps {
		inner, at := begin(b, 15)
		b = end(putStep(inner, &t.Steps[i], tools.earlier(t.Steps, i), &results), at)
	}
	b = putSummary(b, t)
	for i := range t.Rewards {
		inner, at := begin(b, 36)
		b = end(putReward(inner, &t.Rewards[i]), at)
	}
	for i := range t.Facts {
		inner, at := begin(b, 37)
		b = end(putFact(inner, &t.Facts[i]), at)
	}
	return b
}

// AppendEncodeAt is AppendEncode that also says where the revision is, as
// [AppendRevision] writes it.
func AppendEncodeAt(dst []byte, t *Trajectory) (encoded []byte, revisionAt int) {
	revisionAt = len(putString(putInt(dst, 1, Version), 2, t.ID))
	return AppendEncode(dst, t), revisionAt
}

// AppendRevision appends a revision as an encoded trajectory has it.
func AppendRevision(dst []byte, revision int64) []byte { return putInt(dst, 3, revision) }

func putHead(b []byte, t *Trajectory) []byte {
	b = putString(b, 2, t.ID)
	b = putInt(b, 3, t.Revision)
	b = putString(b, 4, t.Writer)
	b = putString(b, 5, t.TaskKey)
	b = putString(b, 6, t.TaskKeySource)
	b = putStrings(b, 7, t.TraceIDs)
	b = putString(b, 8, t.ConversationID)
	b = putString(b, 9, t.UserID)
	b = putString(b, 10, t.Tenant)
	b = putString(b, 11, t.ServiceName)
	b = putStrings(b, 12, t.AgentNames)
	return putStrings(b, 13, t.Dialects)
}

func putSummary(b []byte, t *Trajectory) []byte {
	b = putString(b, 16, t.Source)
	b = putString(b, 17, t.Input)
	b = putString(b, 18, t.Output)
	b = putString(b, 19, t.Status)
	b = putString(b, 20, t.Error)
	b = putString(b, 21, t.CloseReason)
	b = putString(b, 22, t.Continues)
	b = putInt(b, 23, t.StartedAt)
	b = putInt(b, 24, t.EndedAt)
	b = putInt(b, 25, t.FirstSeenAt)
	b = putInt(b, 26, t.SpanCount)
	b = putInt(b, 27, t.ModelCalls)
	b = putInt(b, 28, t.ToolCalls)
	b = putOptInt(b, 29, t.InputTokens)
	b = putOptInt(b, 30, t.OutputTokens)
	b = putString(b, 31, t.Bundle)
	b = putString(b, 32, t.Tokens)
	b = putBool(b, 33, t.Trainable)
	b = putStrings(b, 34, t.Reasons)
	return putString(b, 35, t.Attributes)
}

func putMessage(b []byte, m *Message) []byte {
	b = putString(b, 1, m.Role)
	b = putString(b, 2, m.Text)
	b = putString(b, 3, m.Reasoning)
	for i := range m.ToolCalls {
		c := &m.ToolCalls[i]
		inner, at := begin(b, 4)
		inner = putString(inner, 1, c.ID)
		inner = putString(inner, 2, c.Name)
		b = end(putString(inner, 3, c.Arguments), at)
	}
	b = putString(b, 5, m.ToolCallID)
	b = putString(b, 6, m.Name)
	b = putString(b, 7, m.Injected)
	return putString(b, 8, m.Parts)
}

// putStep refers to the earlier step that shows the same tools; -1 = none does.
func putStep(b []byte, s *Step, tools int, results *resultsIndex) []byte {
	b = putInt(b, 1, s.Index)
	b = putInt(b, 2, s.Thread)
	b = putOptInt(b, 3, s.Parent)
	b = putString(b, 4, s.Kind)
	b = putString(b, 5, s.AgentName)
	b = putString(b, 6, s.TraceID)
	b = putString(b, 7, s.SpanID)
	b = putInt(b, 8, s.StartedAt)
	b = putInt(b, 9, s.EndedAt)
	b = putString(b, 10, s.Error)
	b = putBool(b, 11, s.Trainable)
	b = putStrings(b, 12, s.Reasons)
	b = putString(b, 13, s.Attributes)
	if s.Model != nil {
		inner, at := begin(b, 14)
		inner = putModel(inner, s.Model)
		if tools >= 0 {
			inner = putOptInt(inner, 25, &tools)
		} else {
			inner = putString(inner, 18, s.Model.Tools)
		}
		b = end(inner, at)
	}
	if s.Tool != nil {
		inner, at := begin(b, 15)
		b = end(putTool(inner, s.Tool, results.message(s.Tool)), at)
	}
	return b
}

func putModel(b []byte, m *ModelCall) []byte {
	b = putString(b, 1, m.Provider)
	b = putString(b, 2, m.RequestModel)
	b = putString(b, 3, m.ResponseModel)
	b = putString(b, 4, m.Adapter)
	b = putString(b, 5, m.Bundle)
	b = putString(b, 6, m.ResponseID)
	b = putString(b, 7, m.FinishReason)
	b = putOptInt(b, 8, m.InputTokens)
	b = putOptInt(b, 9, m.OutputTokens)
	b = putOptInt(b, 10, m.CachedTokens)
	b = putOptDouble(b, 11, m.Temperature)
	b = putOptDouble(b, 12, m.TopP)
	b = putOptInt(b, 13, m.TopK)
	b = putOptInt(b, 14, m.MaxTokens)
	b = putOptInt(b, 15, m.Seed)
	b = putOptBool(b, 16, m.Constrained)
	b = putString(b, 17, m.LogprobsMode)
	b = putInts(b, 19, m.Input)
	b = putInts(b, 20, m.Output)
	b = putOptInt(b, 21, m.PromptBase)
	b = putInts(b, 22, m.PromptTokenIDs)
	b = putInts(b, 23, m.TokenIDs)
	return putFloats(b, 24, m.Logprobs)
}

// putTool refers to the message that shows the result; -1 = none does.
func putTool(b []byte, t *ToolRun, result int) []byte {
	b = putString(b, 1, t.Name)
	b = putString(b, 2, t.CallID)
	b = putString(b, 3, t.Arguments)
	switch {
	case result >= 0:
		b = putOptInt(b, 5, &result)
	case t.Result != nil:
		b = putText(b, 4, *t.Result)
	}
	return b
}

func putReward(b []byte, r *Reward) []byte {
	if r.Step >= 0 {
		b = putOptInt(b, 1, &r.Step)
	}
	b = putString(b, 2, r.Name)
	b = putOptDouble(b, 3, r.Value)
	b = putString(b, 4, r.Reason)
	b = putString(b, 5, r.Explanation)
	b = putString(b, 6, r.Source)
	b = putString(b, 7, r.RuleHash)
	b = putBool(b, 8, r.Provisional)
	return putInt(b, 9, r.EvaluatedAt)
}

func putFact(b []byte, f *Fact) []byte {
	b = putString(b, 1, f.ID)
	b = putString(b, 2, f.Name)
	b = putOptDouble(b, 3, f.Value)
	b = putString(b, 4, f.Label)
	b = putString(b, 5, f.Explanation)
	b = putString(b, 6, f.Source)
	b = putInt(b, 7, f.ObservedAt)
	b = putString(b, 8, f.TrajectoryID)
	b = putString(b, 9, f.TraceID)
	b = putString(b, 10, f.SpanID)
	b = putString(b, 11, f.ResponseID)
	return putString(b, 12, f.ConversationID)
}
