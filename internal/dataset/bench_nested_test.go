//go:build cgo && unix

package dataset_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/dataset"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// nestedRow is the other shape: one row per trajectory that holds its steps,
// messages and rewards as lists. Its parts are the flat rows without the
// columns that only join them, with the same encodings.
type nestedRow struct {
	Trajectory dataset.TrajectoryRow `parquet:"t"`
	Steps      []nestedStep          `parquet:"steps,list"`
	Messages   []nestedMessage       `parquet:"messages,list"`
	Rewards    []nestedReward        `parquet:"rewards,list"`
}

type nestedStep struct {
	Thread     int32    `parquet:"thread"`
	ParentStep *int32   `parquet:"parent_step,optional"`
	Kind       string   `parquet:"kind,dict"`
	AgentName  *string  `parquet:"agent_name,optional,dict"`
	TraceID    *string  `parquet:"trace_id,optional,dict"`
	SpanID     *string  `parquet:"span_id,optional"`
	StartedAt  *int64   `parquet:"started_at,optional,timestamp(microsecond:local)"`
	EndedAt    *int64   `parquet:"ended_at,optional,timestamp(microsecond:local)"`
	Error      *string  `parquet:"error,optional" store:"body"`
	Trainable  bool     `parquet:"trainable"`
	Reasons    []string `parquet:"reasons,list" parquet-element:",dict"`
	Attributes *string  `parquet:"attributes,optional" store:"body"`

	Provider       *string   `parquet:"provider,optional,dict"`
	RequestModel   *string   `parquet:"request_model,optional,dict"`
	ResponseModel  *string   `parquet:"response_model,optional,dict"`
	Adapter        *string   `parquet:"adapter,optional,dict"`
	Bundle         *string   `parquet:"bundle,optional,dict"`
	ResponseID     *string   `parquet:"response_id,optional"`
	FinishReason   *string   `parquet:"finish_reason,optional,dict"`
	InputTokens    *int64    `parquet:"input_tokens,optional"`
	OutputTokens   *int64    `parquet:"output_tokens,optional"`
	CachedTokens   *int64    `parquet:"cached_tokens,optional"`
	Temperature    *float64  `parquet:"temperature,optional,dict"`
	TopP           *float64  `parquet:"top_p,optional,dict"`
	TopK           *int64    `parquet:"top_k,optional"`
	MaxTokens      *int64    `parquet:"max_tokens,optional"`
	Seed           *int64    `parquet:"seed,optional"`
	Constrained    *bool     `parquet:"constrained,optional"`
	LogprobsMode   *string   `parquet:"logprobs_mode,optional,dict"`
	Tools          *string   `parquet:"tools,optional" store:"body"`
	ToolsStep      *int32    `parquet:"tools_step,optional"`
	InputMessages  []int32   `parquet:"input_messages,optional,list" store:"body"`
	OutputMessages []int32   `parquet:"output_messages,optional,list" store:"body"`
	PromptBase     *int32    `parquet:"prompt_base,optional"`
	PromptTokenIDs []int32   `parquet:"prompt_token_ids,optional,list" store:"body"`
	TokenIDs       []int32   `parquet:"token_ids,optional,list" store:"body"`
	Logprobs       []float32 `parquet:"logprobs,optional,list" store:"body"`

	ToolName      *string `parquet:"tool_name,optional,dict"`
	ToolCallID    *string `parquet:"tool_call_id,optional"`
	ToolArguments *string `parquet:"tool_arguments,optional" store:"body"`
	ToolResult    *string `parquet:"tool_result,optional" store:"body"`
}

type nestedMessage struct {
	Role       *string `parquet:"role,optional,dict"`
	Text       *string `parquet:"text,optional" store:"body"`
	Reasoning  *string `parquet:"reasoning,optional" store:"body"`
	ToolCalls  *string `parquet:"tool_calls,optional" store:"body"`
	ToolCallID *string `parquet:"tool_call_id,optional"`
	Name       *string `parquet:"name,optional,dict"`
	Injected   *string `parquet:"injected,optional,dict"`
	Parts      *string `parquet:"parts,optional" store:"body"`
}

type nestedReward struct {
	StepIndex   *int32   `parquet:"step_index,optional"`
	Name        string   `parquet:"name,dict"`
	Value       *float64 `parquet:"value,optional"`
	Reason      *string  `parquet:"reason,optional,dict"`
	Explanation *string  `parquet:"explanation,optional" store:"body"`
	Source      *string  `parquet:"source,optional,dict"`
	RuleHash    *string  `parquet:"rule_hash,optional,dict"`
	Provisional bool     `parquet:"provisional"`
	EvaluatedAt *int64   `parquet:"evaluated_at,optional,timestamp(microsecond:local)"`
}

// narrowed copies the fields of row that a part has, by name.
func narrowed[Part, Row any](row *Row, fields [][2]int) (p Part) {
	to, from := reflect.ValueOf(&p).Elem(), reflect.ValueOf(row).Elem()
	for _, f := range fields {
		to.Field(f[0]).Set(from.Field(f[1]))
	}
	return p
}

func common[Part, Row any]() (fields [][2]int) {
	part, row := reflect.TypeFor[Part](), reflect.TypeFor[Row]()
	for i := range part.NumField() {
		f, ok := row.FieldByName(part.Field(i).Name)
		if !ok {
			panic("no field " + part.Field(i).Name)
		}
		fields = append(fields, [2]int{i, f.Index[0]})
	}
	return fields
}

var (
	stepFields    = common[nestedStep, dataset.StepRow]()
	messageFields = common[nestedMessage, dataset.MessageRow]()
	rewardFields  = common[nestedReward, dataset.RewardRow]()
)

// nestedRows is not part of what is measured: reflection is not how one would do it.
func nestedRows(list []*trajectory.Trajectory) (rows []nestedRow) {
	for _, t := range list {
		s := dataset.Rows("01ARZ3NDEKTSV4RRFFQ69G5FAV", noon.UnixMicro(), t)
		row := nestedRow{Trajectory: s.Trajectories[0]}
		for i := range s.Steps {
			row.Steps = append(row.Steps, narrowed[nestedStep](&s.Steps[i], stepFields))
		}
		for i := range s.Messages {
			row.Messages = append(row.Messages, narrowed[nestedMessage](&s.Messages[i], messageFields))
		}
		for i := range s.Rewards {
			row.Rewards = append(row.Rewards, narrowed[nestedReward](&s.Rewards[i], rewardFields))
		}
		rows = append(rows, row)
	}
	return rows
}

func nestedWriter() *parquet.GenericWriter[nestedRow] {
	options := []parquet.WriterOption{
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.PageBufferSize(1 << 20), parquet.WriteBufferSize(1 << 20), parquet.DictionaryMaxBytes(1 << 20),
		parquet.DefaultEncodingFor(parquet.Int32, &parquet.DeltaBinaryPacked),
		parquet.DefaultEncodingFor(parquet.Int64, &parquet.DeltaBinaryPacked),
	}
	for _, path := range nestedBodies(reflect.TypeFor[nestedRow](), nil) {
		options = append(options, parquet.SkipPageStatistics(path...), parquet.SkipPageBounds(path...))
	}
	return parquet.NewGenericWriter[nestedRow](nil, options...)
}

func nestedBodies(row reflect.Type, prefix []string) (paths [][]string) {
	for f := range row.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		path := slices.Concat(prefix, []string{name})
		kind := f.Type
		if kind.Kind() == reflect.Slice {
			path, kind = append(path, "list", "element"), kind.Elem()
		}
		switch {
		case kind.Kind() == reflect.Struct:
			paths = append(paths, nestedBodies(kind, path)...)
		case f.Tag.Get("store") == "body":
			paths = append(paths, path)
		}
	}
	return paths
}

func writeNested(b *testing.B, w *parquet.GenericWriter[nestedRow], dir, name string, rows []nestedRow) {
	require.NoError(b, os.MkdirAll(dir, 0o750))
	f, err := os.Create(filepath.Join(dir, name))
	require.NoError(b, err)
	w.Reset(f)
	for len(rows) > 0 {
		n := min(len(rows), 256)
		_, err := w.Write(rows[:n])
		require.NoError(b, err)
		rows = rows[n:]
	}
	require.NoError(b, w.Close())
	require.NoError(b, f.Sync())
	require.NoError(b, f.Close())
}
