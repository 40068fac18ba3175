package genai

import (
	"strings"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// words are the kinds of spans that the dialects with a field of their own for
// it (fKind) tell apart. They mean the same wherever they are used.
var words = map[string]trajectory.Role{
	"generation": trajectory.RoleModelSpan,
	"llm":        trajectory.RoleModelSpan,
	"chat_model": trajectory.RoleModelSpan,
	"model":      trajectory.RoleModelSpan,
	"tool":       trajectory.RoleToolSpan,
	"agent":      trajectory.RoleAgentSpan,
	"workflow":   trajectory.RoleAgentSpan,

	"flow": trajectory.RoleOther, "flowstep": trajectory.RoleOther, "executor": trajectory.RoleOther, "step": trajectory.RoleOther, "entry": trajectory.RoleOther,
	"chain": trajectory.RoleOther, "span": trajectory.RoleOther, "event": trajectory.RoleOther, "task": trajectory.RoleOther,
	"embedding": trajectory.RoleOther, "embedder": trajectory.RoleOther, "retriever": trajectory.RoleOther, "reranker": trajectory.RoleOther,
	"parser": trajectory.RoleOther, "prompt": trajectory.RoleOther, "memory": trajectory.RoleOther, "util": trajectory.RoleOther,
	"evaluator": trajectory.RoleOther, "evaluation": trajectory.RoleOther, "human_evaluator": trajectory.RoleOther, "guardrail": trajectory.RoleOther,
}

// word is the span's kind as the dialect writes it; MLflow writes JSON.
func (r *reader) word() string { return strings.Trim(r.text(fKind), `"`) }

// kindWord is the role that the span's kind says.
func kindWord(r *reader, _ string) (trajectory.Role, bool) {
	role, known := words[strings.ToLower(r.word())]
	return role, known
}
