package doctor

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracegrad/tracegrad/internal/genai"
	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// TestTheBookIsSound: every word in advice.yaml is one that the code knows, and
// every advice can be followed.
func TestTheBookIsSound(t *testing.T) {
	b, err := parseBook(adviceFile)
	require.NoError(t, err)
	ids := map[string]bool{}
	for _, in := range b.Instrumentations {
		assert.NotEmpty(t, in.ID)
		assert.False(t, ids[in.ID], "%s stands there twice", in.ID)
		ids[in.ID] = true
		assert.NotEmpty(t, in.Name, in.ID)
		assert.NotEmpty(t, append(in.Scopes, in.Dialects...), "%s cannot be recognised", in.ID)
		assert.Contains(t, []string{"", "logs"}, in.Content, in.ID)
		assert.Contains(t, []string{"", "hidden", "shown"}, in.Retries, in.ID)
		for _, thing := range slices.Concat(in.Never, in.Streamed, in.Some) {
			assert.Contains(t, things, thing, in.ID)
		}
		link(t, in.ID, in.Docs)
		for _, r := range in.Switches {
			sound(t, in.ID, r)
		}
	}
	for _, r := range b.General {
		sound(t, "general", r)
	}
}

func sound(t *testing.T, id string, r *remedy) {
	t.Helper()
	assert.NotEmpty(t, r.For, id)
	for _, about := range r.For {
		known := slices.Contains(topics, about) || slices.Contains(things, Thing(about))
		assert.True(t, known, "%s: for: %s is not known", id, about)
	}
	assert.NotEmpty(t, r.Do, id)
	for _, line := range r.lines() {
		assert.LessOrEqual(t, len(line), 150, "%s: too long to be copied: %s", id, line)
	}
	link(t, id, r.Docs)
}

func link(t *testing.T, id, text string) {
	t.Helper()
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	require.NoError(t, err, id)
	assert.Equal(t, "https", u.Scheme, id)
	assert.NotEmpty(t, u.Host, id)
}

// TestEveryDialectIsKnown: a dialect that is read has an entry, so that the
// doctor can name it.
func TestEveryDialectIsKnown(t *testing.T) {
	for _, name := range genai.Dialects() {
		assert.NotNil(t, theBook().of(&Emitter{Dialects: []string{name}}), "no instrumentation in advice.yaml has the dialect %s", name)
	}
}

// TestScopesFindTheirInstrumentation: by the names that scopes really have.
func TestScopesFindTheirInstrumentation(t *testing.T) {
	for scope, want := range map[string]string{
		"com.anthropic.claude_code.tracing":                 "claude-code",
		"gemini-cli":                                        "gemini-cli",
		"codex_cli_rs":                                      "codex",
		"opentelemetry.instrumentation.openai_v2":           "otel-python-openai-v2",
		"opentelemetry.instrumentation.genai.openai_agents": "otel-python-genai",
		"opentelemetry.util.genai.handler":                  "otel-python-genai",
		"@opentelemetry/instrumentation-openai":             "otel-js-openai",
		"openinference.instrumentation.openai_agents":       "openinference-python",
		"openinference.instrumentation.haystack":            "openinference-haystack",
		"@arizeai/openinference-instrumentation-langchain":  "openinference-js",
		"openinference-core":                                "openinference-js",
		"opentelemetry.instrumentation.openai.v1":           "traceloop-python",
		"opentelemetry.instrumentation.langchain":           "traceloop-python",
		"traceloop.tracer":                                  "traceloop-python",
		"@traceloop/instrumentation-openai":                 "traceloop-js",
		"ai":                                                "vercel-ai",
		"gen_ai":                                            "vercel-ai-otel",
		"langsmith":                                         "langsmith",
		"langfuse-sdk":                                      "langfuse",
		"pydantic-ai":                                       "pydantic-ai",
		"logfire.openai":                                    "logfire",
		"gcp.vertex.agent":                                  "google-adk",
		"strands.telemetry.tracer":                          "strands",
		"@mastra/otel-exporter":                             "mastra",
		"litellm":                                           "litellm",
		"agent_framework":                                   "agent-framework",
		"semantic_kernel.utils.telemetry.model_diagnostics.decorators":        "semantic-kernel",
		"autogen SingleThreadedAgentRuntime":                                  "autogen",
		"mlflow.tracing.provider":                                             "mlflow",
		"com.anthropic.sdk.python":                                            "anthropic-sdk",
		"azure.core.tracing.ext.opentelemetry_span":                           "azure-ai",
		"agentlightning.tracer.otel":                                          "agent-lightning",
		"agentops.instrumentation.providers.openai.wrappers.chat":             "agentops",
		"vllm.llm_engine":                                                     "vllm",
		"Experimental.Microsoft.Agents.AI":                                    "agent-framework-dotnet",
		"Microsoft.SemanticKernel.Connectors.OpenAI.OpenAIChatCompletionServ": "semantic-kernel",
	} {
		in := theBook().of(&Emitter{Origin: Origin{Scope: scope}})
		if assert.NotNil(t, in, scope) {
			assert.Equal(t, want, in.ID, scope)
		}
	}
	assert.Nil(t, theBook().of(&Emitter{Origin: Origin{Scope: "acme"}}))
}

// TestEveryReasonHasWords: what docs/dataset.md says of why runs are not trained
// on can be said to a person.
func TestEveryReasonHasWords(t *testing.T) {
	spec, err := os.ReadFile("../../docs/dataset.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(spec), "\n## Reasons\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1)
	require.NotEmpty(t, rows)
	for _, row := range rows {
		assert.NotEmpty(t, reasonWords[trajectory.Reason(row[1])], row[1])
	}
}
