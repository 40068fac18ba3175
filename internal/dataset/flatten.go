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
		TrajectoryID: clean(t.ID), Revision: t.Revision, Batch: batch, Writer: clean(t.Writer),
		TaskKey: clean(t.TaskKey), TaskKeySource: clean(t.TaskKeySource),
		TraceIDs: cleanAll(t.TraceIDs), ConversationID: clean(t.ConversationID), UserID: clean(t.UserID),
		Tenant: clean(t.Tenant), ServiceName: clean(t.ServiceName),
		AgentNames: cleanAll(t.AgentNames), Dialects: cleanAll(t.Dialects), Source: string(t.Source),
		Input: clean(t.Input), Output: clean(t.Output), Status: string(t.Status), Error: clean(t.Error),
		CloseReason: string(t.CloseReason), Continues: clean(t.Continues),
		StartedAt: t.StartedAt, EndedAt: t.EndedAt, FirstSeenAt: t.FirstSeenAt, ExportedAt: exportedAt,
		SpanCount: int32(t.SpanCount), ModelCalls: int32(t.ModelCalls), ToolCalls: int32(t.ToolCalls),
		InputTokens: t.InputTokens, OutputTokens: t.OutputTokens,
		Bundle: clean(t.Bundle), Tokens: string(t.Tokens),
		Trainable: t.Trainable, Reasons: texts(t.Reasons), Attributes: clean(t.Attributes),
	}
}

func stepRow(batch string, t *trajectory.Trajectory, i int, tools int32) StepRow {
	s := &t.Steps[i]
	row := StepRow{
		TrajectoryID: clean(t.ID), Revision: t.Revision, Batch: batch,
		StepIndex: int32(s.Index), Thread: int32(s.Thread), Kind: string(s.Kind), AgentName: clean(s.AgentName),
		TraceID: clean(s.TraceID), SpanID: clean(s.SpanID), StartedAt: s.StartedAt, EndedAt: s.EndedAt,
		Error: clean(s.Error), Trainable: s.Trainable, Reasons: texts(s.Reasons), Attributes: clean(s.Attributes),
	}
	if s.Parent != nil {
		row.ParentStep = new(int32(*s.Parent))
	}
	if s.Model != nil {
		row.setModel(s.Model, int32(i), tools)
	}
	if s.Tool != nil {
		row.ToolName, row.ToolCallID = clean(s.Tool.Name), clean(s.Tool.CallID)
		row.ToolArguments = clean(s.Tool.Arguments)
		if s.Tool.Result != nil {
			row.ToolResult = new(clean(*s.Tool.Result))
		}
	}
	return row
}

// setModel stores the tool definitions only with the first step that shows them.
func (row *StepRow) setModel(m *trajectory.ModelCall, step, tools int32) {
	row.Provider, row.RequestModel, row.ResponseModel = clean(m.Provider), clean(m.RequestModel), clean(m.ResponseModel)
	row.Adapter, row.Bundle = clean(m.Adapter), clean(m.Bundle)
	row.ResponseID, row.FinishReason = clean(m.ResponseID), clean(m.FinishReason)
	row.InputTokens, row.OutputTokens, row.CachedTokens = m.InputTokens, m.OutputTokens, m.CachedTokens
	row.Temperature, row.TopP, row.TopK = m.Temperature, m.TopP, m.TopK
	row.MaxTokens, row.Seed = m.MaxTokens, m.Seed
	row.Constrained, row.LogprobsMode = m.Constrained, clean(m.LogprobsMode)
	if tools >= 0 {
		row.ToolsStep = &tools
	}
	if tools == step {
		row.Tools = clean(m.Tools)
	}
	row.InputMessages, row.OutputMessages = unknown(m.Input), unknown(m.Output)
	row.PromptBase, row.PromptTokenIDs = m.PromptBase, unknown(m.PromptTokenIDs)
	row.TokenIDs, row.Logprobs = unknown(m.TokenIDs), unknown(m.Logprobs)
}

func messageRow(batch string, t *trajectory.Trajectory, i int) MessageRow {
	m := &t.Messages[i]
	return MessageRow{
		TrajectoryID: clean(t.ID), Revision: t.Revision, Batch: batch, MessageIndex: int32(i),
		Role: clean(m.Role), Text: clean(m.Text), Reasoning: clean(m.Reasoning),
		ToolCalls: toolCallsJSON(m.ToolCalls), ToolCallID: clean(m.ToolCallID), Name: clean(m.Name),
		Injected: clean(m.Injected), Parts: clean(m.Parts),
	}
}

// NewRewardRow is the row of a reward of one revision of a trajectory that
// was first seen at firstSeenAt (µs).
func NewRewardRow(trajectoryID string, revision, firstSeenAt int64, r trajectory.Reward) RewardRow {
	row := RewardRow{
		TrajectoryID: clean(trajectoryID), Revision: revision, Name: clean(r.Name), Value: r.Value,
		Reason: clean(r.Reason), Explanation: clean(r.Explanation), Source: clean(r.Source), RuleHash: clean(r.RuleHash),
		Provisional: r.Provisional, EvaluatedAt: r.EvaluatedAt, FirstSeenAt: firstSeenAt,
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
		FactID: clean(f.ID), Batch: batch, Name: clean(f.Name), Value: f.Value, Label: clean(f.Label),
		Explanation: clean(f.Explanation), Source: clean(f.Source), ObservedAt: f.ObservedAt,
		TrajectoryID: clean(f.TrajectoryID), TraceID: clean(f.TraceID), SpanID: clean(f.SpanID),
		ResponseID: clean(f.ResponseID), ConversationID: clean(f.ConversationID),
	}
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
