package genai

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracegrad/tracegrad/internal/trajectory"
)

// field is what an attribute says, whatever the dialect calls it.
type field uint8

const (
	fOperation      field = iota // semconv operation
	fOIKind                      // OpenInference span kind
	fVercelID                    // Vercel operation id
	fProvider                    //
	fRequestModel                //
	fResponseModel               //
	fAdapter                     //
	fBundle                      //
	fResponseID                  //
	fFinish                      // string or list of strings, possibly JSON
	fInputTokens                 //
	fOutputTokens                //
	fCachedTokens                //
	fTemperature                 //
	fTopP                        //
	fTopK                        //
	fMaxTokens                   //
	fSeed                        //
	fInvocation                  // JSON object of request parameters
	fTools                       // JSON array of tool definitions, or a list of JSON objects
	fSystem                      // JSON array of parts: instructions sent apart from the messages
	fInputParts                  // JSON array of messages in semconv form
	fOutputParts                 //
	fVercelPrompt                // JSON array of messages in Vercel form
	fVercelInput                 // JSON object of the outer call: system, prompt, messages
	fVercelText                  //
	fVercelReason                //
	fVercelCalls                 // JSON array of tool calls
	fVercelObject                // JSON text of a generated object
	fMastraType                  // Mastra span type
	fMark                        // says nothing but that the dialect is spoken
	fRequest                     // the whole request, or its messages, in any form: see raw.go
	fResponse                    // the whole response, or its message
	fValueIn                     // OpenInference input.value: text or JSON
	fValueOut                    //
	fKind                        // what the span is, in a word that several dialects share: see kind.go
	fIn                          // what a call, a tool run or an agent was given, in any form
	fOut                         // what came back
	fUsage                       // JSON object of token counts: see usage.go
	fFramework                   // the framework that writes the span, by its own word
	fToolName                    //
	fToolCallID                  //
	fToolArguments               //
	fScrubbed                    // Logfire's list of what it replaced
	fToolParameters              // OpenInference tool.parameters: arguments, or the schema
	fToolResult                  //
	fAgent                       //
	fNodeName                    // of an agent that is a node of a graph
	fChoices                     // how many answers were asked for
	fConversation                //
	fPrevious                    // id of the response that a request goes on from
	fUser                        //
	fRequestType                 // legacy: chat, completion, embedding
	fComponent                   // class of a component
	fRollout                     //
	fMCPMethod                   // method of the Model Context Protocol
	fErrorType                   //
	fMetadata                    // JSON object with session ids and the like
	fPromptTokenIDs
	fTokenIDs
	fLogprobs
	fLogprobsMode
	fConstrained
	fInjected
	fSource
	numFields
)

// row says that an attribute fills a field.
type row struct {
	name  string
	field field
}

// dialect is one convention for GenAI spans.
type dialect struct {
	name   string
	marker string   // the attribute that proves it; "" = see scope and prefix
	scope  string   // the instrumentation scope that proves it, with all spans of it; one that ends with a space is what scopes begin with; "" = none
	also   []string // further scopes
	prefix string   // what the names of its attributes begin with: one proves it; "" = none
	proof  []string // rows that prove it too, and leave open what the span is
	rows   []row

	// kind is what a span is by the dialect's own word; false where it says
	// nothing or something that the dialect does not know. nil = it never says.
	kind func(r *reader, name string) (trajectory.Role, bool)

	// read adds what rows cannot say, after the fields were read; for spans that
	// speak the dialect only. nil = nothing.
	read func(d *Decoder, s *trajectory.Span, span ptrace.Span)

	// record is the same for log records of the dialect's scope, whatever event
	// they are. nil = nothing.
	record func(d *Decoder, s *trajectory.Span)
}

// dialects in order of preference: of two names that fill one field, the one
// of the earlier dialect wins; within a dialect the earlier row wins.
var dialects = []dialect{
	claudeCode,
	geminiCLI,
	codex,
	semconv,
	openInference,
	vercel,
	pydanticAI,
	anthropic,
	smolagents,
	dspy,
	autogenChat,
	beeAI,
	langfuse,
	langSmith,
	mlflow,
	laminar,
	copilot,
	genkit,
	liveKit,
	dify,
	adk,
	mastra,
	strands,
	liteLLM, // before what its attributes are called by others
	indexed,
	traceloop,
	langChainJS,
	vLLM,
	agentOps,
	agentLightning,
	haystack,
	autogen,
	agentRuntime,
	mcp,
}

// bitOf is the bit of a dialect.
func bitOf(name string) uint64 {
	return 1 << slices.IndexFunc(dialects, func(d dialect) bool { return d.name == name })
}

type entry struct {
	field   field
	rank    uint16
	dialect uint8
	marker  bool
}

var (
	indexedBit = bitOf(indexed.name)

	names      = buildNames()
	scopes     = map[string]uint64{} // bits by instrumentation scope
	openScopes []prefix              // that scopes begin with
	prefixes   []prefix
)

// prefix is what the names of a dialect's attributes begin with.
type prefix struct {
	text    string
	dialect uint64 // its bit; 0 = of several
}

func buildNames() map[string]entry {
	m, rank := map[string]entry{}, uint16(1)
	for d := range dialects {
		for _, r := range dialects[d].rows {
			if _, dup := m[r.name]; !dup {
				m[r.name] = entry{field: r.field, rank: rank, dialect: uint8(d), marker: r.name == dialects[d].marker || slices.Contains(dialects[d].proof, r.name)}
			}
			rank++
		}
	}
	return m
}

// reader holds the fields of one span.
type reader struct {
	values  [numFields]pcommon.Value
	ranks   [numFields]uint16 // 0 = not set
	filled  []field           // those that are set
	spoken  uint64            // bits: dialects that were proven
	scoped  uint64            // bits: those that the scope proves
	keys    keys
	flat    flat // flattened message attributes, OpenInference
	indexed flat // likewise, gen_ai.prompt.N and gen_ai.completion.N
	marked  bool
	// dropped says that the SDK dropped attributes of the span.
	dropped bool

	numbers  *numbers // of the model call that is being read
	previous string   // the response that its request goes on from

	scan           scanner // of the messages that are being read
	draft          draft   // the one that is being read
	members, inner members // of it and of its part
}

func (r *reader) reset() {
	for _, f := range r.filled {
		r.ranks[f], r.values[f] = 0, pcommon.Value{} // a pooled reader must not hold spans
	}
	r.filled = r.filled[:0]
	r.spoken, r.scoped, r.numbers, r.previous = 0, 0, nil, ""
	r.flat.reset()
	r.indexed.reset()
	r.marked = false
	r.keys.last = &r.keys.first
}

func init() {
	for d := range dialects {
		switch s := dialects[d].scope; {
		case strings.HasSuffix(s, " "):
			openScopes = append(openScopes, prefix{s, 1 << d})
		case s != "":
			scopes[s] |= 1 << d
		}
		for _, s := range dialects[d].also {
			scopes[s] |= 1 << d
		}
		if p := dialects[d].prefix; p != "" {
			prefixes = append(prefixes, prefix{p, 1 << d})
		}
	}
	for _, p := range []string{
		"gen_ai.", "openinference.", "llm.", "tracegrad.", "ai.operationId", "ai.prompt", "ai.response", "ai.toolCall", "ai.telemetry",
		"flue.",
	} {
		prefixes = append(prefixes, prefix{text: p})
	}
	for i := range prefixes {
		c := prefixes[i].text[0]
		byFirst[c] = append(byFirst[c], &prefixes[i])
	}
}

// spokenIn is the dialects that the name of an instrumentation scope proves.
func spokenIn(scope string) uint64 {
	for i := range openScopes {
		if strings.HasPrefix(scope, openScopes[i].text) {
			return openScopes[i].dialect
		}
	}
	return scopes[scope]
}

// byFirst are the prefixes by their first byte: most names have none.
var byFirst [256][]*prefix

// prefixOf is the prefix of an attribute's name that only GenAI
// instrumentations use, nil for none.
func prefixOf(k string) *prefix {
	if k == "" {
		return nil
	}
	for _, p := range byFirst[k[0]] {
		if strings.HasPrefix(k, p.text) {
			return p
		}
	}
	return nil
}

// blank values say nothing; the next dialect may say more.
func blank(v pcommon.Value) bool {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return v.Str() == ""
	case pcommon.ValueTypeEmpty:
		return true
	case pcommon.ValueTypeSlice:
		return v.Slice().Len() == 0
	}
	return false
}

func (r *reader) has(f field) bool { return r.ranks[f] != 0 }

// text is the field as text; lists and maps as JSON.
func (r *reader) text(f field) string {
	if r.ranks[f] == 0 {
		return ""
	}
	if v := r.values[f]; v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return r.values[f].AsString()
}

// first is the text of the first field that is set.
func (r *reader) first(f, or field) string {
	if r.has(f) {
		return r.text(f)
	}
	return r.text(or)
}

// integer and number accept numbers and numbers in text; anything else is
// unknown. The number is put into room.
func (r *reader) integer(f field, room *int64) *int64 {
	if r.ranks[f] == 0 {
		return nil
	}
	switch v := r.values[f]; v.Type() {
	case pcommon.ValueTypeInt:
		*room = v.Int()
		return room
	case pcommon.ValueTypeStr:
		if n, err := strconv.ParseInt(v.Str(), 10, 64); err == nil {
			*room = n
			return room
		}
	}
	n, ok := r.float(f)
	if !ok || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return nil
	}
	*room = int64(n)
	return room
}

// count is a number of things: a negative one is unknown.
func (r *reader) count(f field, room *int64) *int64 {
	if n := r.integer(f, room); n != nil && *n >= 0 {
		return n
	}
	return nil
}

func (r *reader) number(f field, room *float64) *float64 {
	n, ok := r.float(f)
	if !ok {
		return nil
	}
	*room = n
	return room
}

func (r *reader) float(f field) (n float64, ok bool) {
	if r.ranks[f] == 0 {
		return 0, false
	}
	switch v := r.values[f]; v.Type() {
	case pcommon.ValueTypeInt:
		n = float64(v.Int())
	case pcommon.ValueTypeDouble:
		n = v.Double()
	case pcommon.ValueTypeStr:
		x, err := strconv.ParseFloat(v.Str(), 64)
		if err != nil {
			return 0, false
		}
		n = x
	default:
		return 0, false
	}
	return n, !math.IsNaN(n) && !math.IsInf(n, 0)
}

// unknownDialect is of spans that carry a GenAI marker and speak no dialect
// that is known here.
const unknownDialect = "unknown"

// dialects names the conventions that the span speaks, comma separated.
func (r *reader) dialects() string {
	out := ""
	for d := range dialects {
		if r.spoken&(1<<d) == 0 {
			continue
		}
		if out != "" {
			out += ","
		}
		out += dialects[d].name
	}
	if out == "" && r.marked {
		return unknownDialect
	}
	return out
}

// role is what the span is to a trajectory. Exact kinds first; a span without
// a known kind that shows a model's request or reply is a model call.
func (r *reader) role(name string) trajectory.Role {
	if !r.marked {
		return trajectory.RoleOther // a server's own traffic is no agent's
	}
	said := false
	for d := range dialects {
		if dialects[d].kind == nil || r.spoken&(1<<d) == 0 {
			continue
		}
		if role, known := dialects[d].kind(r, name); known {
			return role
		}
		said = said || dialects[d].marker != ""
	}
	if said {
		return trajectory.RoleOther
	}
	switch {
	case r.has(fToolName) && (r.has(fToolCallID) || r.has(fToolResult) || strings.HasPrefix(name, "execute_tool")):
		return trajectory.RoleToolSpan
	case r.has(fRequestModel) && (r.has(fOutputParts) || r.has(fInputParts) || r.has(fResponseID) || r.flat.any() || r.indexed.any()):
		return trajectory.RoleModelSpan
	}
	return trajectory.RoleOther
}

// agent is the agent that the span names.
func (r *reader) agent(role trajectory.Role, span string) string {
	if a := r.text(fAgent); a != "" {
		return a
	}
	if role != trajectory.RoleAgentSpan {
		return ""
	}
	if name, ok := strings.CutPrefix(span, "invoke_agent "); ok {
		return name
	}
	if strings.EqualFold(r.text(fOIKind), "AGENT") {
		if a := r.text(fNodeName); a != "" {
			return a
		}
		return strings.TrimSuffix(span, ".run")
	}
	return ""
}
