package dataset

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// key is what makes a row belong to a row of trajectories.
type key struct {
	id       string
	revision int64
	batch    string
}

// Trajectories is the inverse of [Rows]: one trajectory per row of
// s.Trajectories, in that order, made of the rows with its id, revision and
// batch. Rows without such a trajectory are left out, as the view `live`
// leaves them out. Facts belong to the trajectory that they name in the same batch.
//
// It fails when an index is missing or a trajectory does not fit together.
func Trajectories(s Set) ([]*trajectory.Trajectory, error) {
	list := make([]*trajectory.Trajectory, len(s.Trajectories))
	byKey := make(map[key]*trajectory.Trajectory, len(list))
	byFact := make(map[key]*trajectory.Trajectory, len(list))
	for i := range s.Trajectories {
		row := &s.Trajectories[i]
		k := key{row.TrajectoryID, row.Revision, row.Batch}
		if byKey[k] != nil {
			return nil, fmt.Errorf("read trajectory %s: revision %d stands twice in batch %s", k.id, k.revision, k.batch)
		}
		list[i] = row.trajectory()
		byKey[k], byFact[key{id: k.id, batch: k.batch}] = list[i], list[i]
	}
	if err := join(s, byKey); err != nil {
		return nil, err
	}
	for i := range s.Facts {
		row := &s.Facts[i]
		if t := byFact[key{id: of(row.TrajectoryID), batch: row.Batch}]; t != nil {
			t.Facts = append(t.Facts, row.Fact())
		}
	}
	for _, t := range list {
		if err := t.Valid(); err != nil {
			return nil, fmt.Errorf("read trajectory %s: %w", t.ID, err)
		}
	}
	return list, nil
}

func join(s Set, byKey map[key]*trajectory.Trajectory) error {
	steps := sorted(s.Steps, func(r *StepRow) int32 { return r.StepIndex })
	for _, row := range steps {
		if t := byKey[key{row.TrajectoryID, row.Revision, row.Batch}]; t != nil {
			step, err := row.step(t.Steps)
			if err != nil {
				return fmt.Errorf("read trajectory %s: step %d: %w", t.ID, row.StepIndex, err)
			}
			t.Steps = append(t.Steps, step)
		}
	}
	messages := sorted(s.Messages, func(r *MessageRow) int32 { return r.MessageIndex })
	for _, row := range messages {
		if t := byKey[key{row.TrajectoryID, row.Revision, row.Batch}]; t != nil {
			m, err := row.message()
			if err == nil && int(row.MessageIndex) != len(t.Messages) {
				err = fmt.Errorf("it stands at place %d", len(t.Messages))
			}
			if err != nil {
				return fmt.Errorf("read trajectory %s: message %d: %w", t.ID, row.MessageIndex, err)
			}
			t.Messages = append(t.Messages, m)
		}
	}
	for i := range s.Rewards {
		row := &s.Rewards[i]
		if t := byKey[key{row.TrajectoryID, row.Revision, row.Batch}]; t != nil {
			t.Rewards = append(t.Rewards, row.Reward())
		}
	}
	return nil
}

// sorted orders rows by index and leaves the rows of the caller as they are.
func sorted[T any](rows []T, index func(*T) int32) []*T {
	list := make([]*T, len(rows))
	for i := range rows {
		list[i] = &rows[i]
	}
	slices.SortStableFunc(list, func(a, b *T) int { return cmp.Compare(index(a), index(b)) })
	return list
}

func (row *TrajectoryRow) trajectory() *trajectory.Trajectory {
	return &trajectory.Trajectory{
		ID: row.TrajectoryID, Revision: row.Revision, Writer: of(row.Writer),
		TaskKey: of(row.TaskKey), TaskKeySource: of(row.TaskKeySource),
		TraceIDs: unknown(row.TraceIDs), ConversationID: of(row.ConversationID), UserID: of(row.UserID),
		Tenant: of(row.Tenant), ServiceName: of(row.ServiceName),
		AgentNames: unknown(row.AgentNames), Dialects: unknown(row.Dialects), Source: trajectory.Source(of(row.Source)),
		Input: of(row.Input), Output: of(row.Output), Status: trajectory.Status(of(row.Status)), Error: of(row.Error),
		CloseReason: trajectory.CloseReason(of(row.CloseReason)), Continues: of(row.Continues),
		StartedAt: of(row.StartedAt), EndedAt: of(row.EndedAt), FirstSeenAt: of(row.FirstSeenAt),
		SpanCount: int(row.SpanCount), ModelCalls: int(row.ModelCalls), ToolCalls: int(row.ToolCalls),
		InputTokens: row.InputTokens, OutputTokens: row.OutputTokens,
		Bundle: of(row.Bundle), Tokens: trajectory.Tokens(of(row.Tokens)),
		Trainable: row.Trainable, Reasons: reasons(row.Reasons), Attributes: of(row.Attributes),
	}
}

// step needs the steps before it for the tool definitions it shares with one.
func (row *StepRow) step(before []trajectory.Step) (trajectory.Step, error) {
	s := trajectory.Step{
		Index: int(row.StepIndex), Thread: int(row.Thread), Kind: trajectory.Kind(row.Kind), AgentName: of(row.AgentName),
		TraceID: of(row.TraceID), SpanID: of(row.SpanID), StartedAt: of(row.StartedAt), EndedAt: of(row.EndedAt),
		Error: of(row.Error), Trainable: row.Trainable, Reasons: reasons(row.Reasons), Attributes: of(row.Attributes),
	}
	if row.ParentStep != nil {
		s.Parent = new(int(*row.ParentStep))
	}
	if s.Kind == trajectory.KindTool {
		s.Tool = &trajectory.ToolRun{Name: of(row.ToolName), CallID: of(row.ToolCallID), Arguments: of(row.ToolArguments), Result: row.ToolResult}
		return s, nil
	}
	s.Model = row.model()
	if at := row.ToolsStep; at != nil && *at != row.StepIndex {
		if *at < 0 || int(*at) >= len(before) || before[*at].Model == nil {
			return s, fmt.Errorf("its tools stand at step %d, which is not a model call before it", *at)
		}
		s.Model.Tools = before[*at].Model.Tools
	}
	return s, nil
}

func (row *StepRow) model() *trajectory.ModelCall {
	return &trajectory.ModelCall{
		Provider: of(row.Provider), RequestModel: of(row.RequestModel), ResponseModel: of(row.ResponseModel),
		Adapter: of(row.Adapter), Bundle: of(row.Bundle), ResponseID: of(row.ResponseID), FinishReason: of(row.FinishReason),
		InputTokens: row.InputTokens, OutputTokens: row.OutputTokens, CachedTokens: row.CachedTokens,
		Temperature: row.Temperature, TopP: row.TopP, TopK: row.TopK, MaxTokens: row.MaxTokens, Seed: row.Seed,
		Constrained: row.Constrained, LogprobsMode: of(row.LogprobsMode), Tools: of(row.Tools),
		Input: unknown(row.InputMessages), Output: unknown(row.OutputMessages),
		PromptBase: row.PromptBase, PromptTokenIDs: unknown(row.PromptTokenIDs),
		TokenIDs: unknown(row.TokenIDs), Logprobs: unknown(row.Logprobs),
	}
}

func (row *MessageRow) message() (trajectory.Message, error) {
	calls, err := toolCalls(of(row.ToolCalls))
	return trajectory.Message{
		Role: of(row.Role), Text: of(row.Text), Reasoning: of(row.Reasoning), ToolCalls: calls,
		ToolCallID: of(row.ToolCallID), Name: of(row.Name), Injected: of(row.Injected), Parts: of(row.Parts),
	}, err
}

// Reward is the inverse of [NewRewardRow].
func (row *RewardRow) Reward() trajectory.Reward {
	r := trajectory.Reward{
		Step: -1, Name: row.Name, Value: row.Value, Reason: of(row.Reason), Explanation: of(row.Explanation),
		Source: of(row.Source), RuleHash: of(row.RuleHash), Provisional: row.Provisional, EvaluatedAt: of(row.EvaluatedAt),
	}
	if row.StepIndex != nil {
		r.Step = int(*row.StepIndex)
	}
	return r
}

// Fact is the fact of the row.
func (row *FactRow) Fact() trajectory.Fact {
	return trajectory.Fact{
		ID: row.FactID, Name: row.Name, Value: row.Value, Label: of(row.Label), Explanation: of(row.Explanation),
		Source: of(row.Source), ObservedAt: of(row.ObservedAt), TrajectoryID: of(row.TrajectoryID), TraceID: of(row.TraceID),
		SpanID: of(row.SpanID), ResponseID: of(row.ResponseID), ConversationID: of(row.ConversationID),
	}
}

// of is the value, zero for NULL.
func of[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func reasons(list []string) []trajectory.Reason {
	if len(list) == 0 {
		return nil
	}
	r := make([]trajectory.Reason, len(list))
	for i, s := range list {
		r[i] = trajectory.Reason(s)
	}
	return r
}
