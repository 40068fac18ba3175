package dataset

import (
	"strings"
	"unicode/utf8"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// Set holds the rows of one or more trajectories, table by table.
type Set struct {
	Trajectories []TrajectoryRow
	Steps        []StepRow
	Messages     []MessageRow
	Rewards      []RewardRow
	Facts        []FactRow
}

// Rows flattens t. batch is the ULID of the file set that the rows go into,
// exportedAt its time in µs. The rows share texts and lists with t.
//
// Parquet's readers refuse text that is not UTF-8, so broken bytes become
// U+FFFD. A fact of t without an id gets [FactID], and one that names no
// trajectory names t.
func Rows(batch string, exportedAt int64, t *trajectory.Trajectory) Set {
	var s Set
	s.Append(batch, exportedAt, t)
	return s
}

// Append adds the rows of t, see [Rows].
func (s *Set) Append(batch string, exportedAt int64, t *trajectory.Trajectory) {
	s.Trajectories = append(s.Trajectories, trajectoryRow(batch, exportedAt, t))
	tools := trajectory.ToolsSteps(t.Steps)
	for i := range t.Steps {
		s.Steps = append(s.Steps, stepRow(batch, t, i, tools[i]))
	}
	for i := range t.Messages {
		s.Messages = append(s.Messages, messageRow(batch, t, i))
	}
	for _, r := range t.Rewards {
		row := NewRewardRow(t.ID, t.Revision, t.FirstSeenAt, r)
		row.Batch = batch
		s.Rewards = append(s.Rewards, row)
	}
	for _, f := range t.Facts {
		if f.TrajectoryID == "" {
			f.TrajectoryID = t.ID
		}
		s.Facts = append(s.Facts, factRow(batch, f))
	}
}

// reset forgets the rows and the texts they hold, and keeps the room unless
// it was made for a giant.
func (s *Set) reset() {
	s.Trajectories = emptied(s.Trajectories)
	s.Steps = emptied(s.Steps)
	s.Messages = emptied(s.Messages)
	s.Rewards = emptied(s.Rewards)
	s.Facts = emptied(s.Facts)
}

func emptied[T any](rows []T) []T {
	if cap(rows) > 4*rowsInFlight {
		return nil
	}
	clear(rows)
	return rows[:0]
}

func trajectoryRow(batch string, exportedAt int64, t *trajectory.Trajectory) TrajectoryRow {
	return TrajectoryRow{
		TrajectoryID: clean(t.ID), Revision: t.Revision, Batch: batch, Writer: text(&t.Writer),
		TaskKey: text(&t.TaskKey), TaskKeySource: text(&t.TaskKeySource),
		TraceIDs: cleanAll(t.TraceIDs), ConversationID: text(&t.ConversationID), UserID: text(&t.UserID),
		Tenant: text(&t.Tenant), ServiceName: text(&t.ServiceName),
		AgentNames: cleanAll(t.AgentNames), Dialects: cleanAll(t.Dialects), Source: text((*string)(&t.Source)),
		Input: text(&t.Input), Output: text(&t.Output), Status: text((*string)(&t.Status)), Error: text(&t.Error),
		CloseReason: text((*string)(&t.CloseReason)), Continues: text(&t.Continues),
		StartedAt: moment(&t.StartedAt), EndedAt: moment(&t.EndedAt), FirstSeenAt: moment(&t.FirstSeenAt), ExportedAt: moment(&exportedAt),
		SpanCount: int32(t.SpanCount), ModelCalls: int32(t.ModelCalls), ToolCalls: int32(t.ToolCalls),
		InputTokens: t.InputTokens, OutputTokens: t.OutputTokens,
		Bundle: text(&t.Bundle), Tokens: text((*string)(&t.Tokens)),
		Trainable: t.Trainable, Reasons: texts(t.Reasons), Attributes: text(&t.Attributes),
	}
}

func stepRow(batch string, t *trajectory.Trajectory, i int, tools int32) StepRow {
	s := &t.Steps[i]
	row := StepRow{
		TrajectoryID: clean(t.ID), Revision: t.Revision, Batch: batch,
		StepIndex: int32(s.Index), Thread: int32(s.Thread), Kind: string(s.Kind), AgentName: text(&s.AgentName),
		TraceID: text(&s.TraceID), SpanID: text(&s.SpanID), StartedAt: moment(&s.StartedAt), EndedAt: moment(&s.EndedAt),
		Error: text(&s.Error), Trainable: s.Trainable, Reasons: texts(s.Reasons), Attributes: text(&s.Attributes),
	}
	if s.Parent != nil {
		row.ParentStep = new(int32(*s.Parent))
	}
	if s.Model != nil {
		row.setModel(s.Model, int32(i), tools)
	}
	if s.Tool != nil {
		row.ToolName, row.ToolCallID = text(&s.Tool.Name), text(&s.Tool.CallID)
		row.ToolArguments = text(&s.Tool.Arguments)
		if row.ToolResult = s.Tool.Result; row.ToolResult != nil && *row.ToolResult != "" {
			row.ToolResult = text(row.ToolResult)
		}
	}
	return row
}

// setModel stores the tool definitions only with the first step that shows them.
func (row *StepRow) setModel(m *trajectory.ModelCall, step, tools int32) {
	row.Provider, row.RequestModel, row.ResponseModel = text(&m.Provider), text(&m.RequestModel), text(&m.ResponseModel)
	row.Adapter, row.Bundle = text(&m.Adapter), text(&m.Bundle)
	row.ResponseID, row.FinishReason = text(&m.ResponseID), text(&m.FinishReason)
	row.InputTokens, row.OutputTokens, row.CachedTokens = m.InputTokens, m.OutputTokens, m.CachedTokens
	row.Temperature, row.TopP, row.TopK = m.Temperature, m.TopP, m.TopK
	row.MaxTokens, row.Seed = m.MaxTokens, m.Seed
	row.Constrained, row.LogprobsMode = m.Constrained, text(&m.LogprobsMode)
	if tools >= 0 {
		row.ToolsStep = new(tools)
	}
	if tools == step {
		row.Tools = text(&m.Tools)
	}
	row.InputMessages, row.OutputMessages = unknown(m.Input), unknown(m.Output)
	row.PromptBase, row.PromptTokenIDs = m.PromptBase, unknown(m.PromptTokenIDs)
	row.TokenIDs, row.Logprobs = unknown(m.TokenIDs), unknown(m.Logprobs)
}

func messageRow(batch string, t *trajectory.Trajectory, i int) MessageRow {
	m := &t.Messages[i]
	return MessageRow{
		TrajectoryID: clean(t.ID), Revision: t.Revision, Batch: batch, MessageIndex: int32(i),
		Role: text(&m.Role), Text: text(&m.Text), Reasoning: text(&m.Reasoning),
		ToolCalls: toolCallsJSON(m.ToolCalls), ToolCallID: text(&m.ToolCallID), Name: text(&m.Name),
		Injected: text(&m.Injected), Parts: text(&m.Parts),
	}
}

// NewRewardRow is the row of a reward of one revision of a trajectory that
// was first seen at firstSeenAt (µs).
func NewRewardRow(trajectoryID string, revision, firstSeenAt int64, r trajectory.Reward) RewardRow {
	row := RewardRow{
		TrajectoryID: clean(trajectoryID), Revision: revision, Name: clean(r.Name), Value: r.Value,
		Reason: text(&r.Reason), Explanation: text(&r.Explanation), Source: text(&r.Source), RuleHash: text(&r.RuleHash),
		Provisional: r.Provisional, EvaluatedAt: moment(&r.EvaluatedAt), FirstSeenAt: firstSeenAt,
	}
	if r.Step >= 0 {
		row.StepIndex = new(int32(r.Step))
	}
	return row
}

func factRow(batch string, f trajectory.Fact) FactRow {
	if f.ID == "" {
		f.ID = FactID(f)
	}
	return FactRow{
		FactID: clean(f.ID), Batch: batch, Name: clean(f.Name), Value: f.Value, Label: text(&f.Label),
		Explanation: text(&f.Explanation), Source: text(&f.Source), ObservedAt: moment(&f.ObservedAt),
		TrajectoryID: text(&f.TrajectoryID), TraceID: text(&f.TraceID), SpanID: text(&f.SpanID),
		ResponseID: text(&f.ResponseID), ConversationID: text(&f.ConversationID),
	}
}

// text is NULL for an absent text, else s itself unless it must be cleaned.
func text(s *string) *string {
	switch {
	case *s == "":
		return nil
	case !utf8.ValidString(*s):
		return new(clean(*s))
	}
	return s
}

// moment is NULL for an unknown time.
func moment(us *int64) *int64 {
	if *us == 0 {
		return nil
	}
	return us
}

func clean(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// cleanAll copies the list only if one of its texts is broken.
func cleanAll(list []string) []string {
	for i, s := range list {
		if !utf8.ValidString(s) {
			list = append([]string(nil), list...)
			for ; i < len(list); i++ {
				list[i] = clean(list[i])
			}
			break
		}
	}
	return list
}

func texts(reasons []trajectory.Reason) []string {
	if len(reasons) == 0 {
		return nil
	}
	list := make([]string, len(reasons))
	for i, r := range reasons {
		list[i] = clean(string(r))
	}
	return list
}

// unknown makes an empty list NULL: nobody sends or generates nothing.
func unknown[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}
