package doctor

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// noun is what a thing is called.
var nouns = map[Thing]string{
	Prompt: "prompt", Reply: "reply", SystemPrompt: "system prompt", ToolDefinitions: "tool definitions", ToolArguments: "tool arguments",
	ToolResults: "tool results", ToolCallIDs: "tool-call ids", ToolSpans: "tool spans", ResponseIDs: "response id", TokenCounts: "token counts",
	TokenIDs: "exact tokens", Sessions: "session id", Users: "user id", AgentNames: "agent names", Verdicts: "verdicts", Roots: "root span",
}

func words(ts []Thing) []string {
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = nouns[t]
	}
	return out
}

// carrier is what shows a thing.
func carrier(t Thing) string {
	switch t {
	case Prompt, Reply, SystemPrompt, ToolDefinitions, ResponseIDs, TokenCounts, TokenIDs:
		return "model call"
	case ToolArguments, ToolResults, ToolCallIDs, ToolSpans:
		return "tool run"
	}
	return "run"
}

// lack says that carriers do not show a thing.
func lack(n int, t Thing) string {
	verb := "show no "
	if n == 1 {
		verb = "shows no "
	}
	switch t {
	case ToolArguments:
		return verb + "arguments"
	case ToolResults:
		return verb + "result"
	}
	return verb + nouns[t]
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if y, ok := strings.CutSuffix(noun, "y"); ok {
		noun = y + "ie"
	}
	return humanize.Comma(int64(n)) + " " + noun + "s"
}

// list is "a", "a and b", "a, b and c".
func list(items []string, last string) string {
	if n := len(items); n > 1 {
		return strings.Join(items[:n-1], ", ") + " " + last + " " + items[n-1]
	}
	return strings.Join(items, "")
}

// sentence begins with a capital letter.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func counted(c Count, t Thing) string {
	return fmt.Sprintf("%s %d of %s", nouns[t], c.Have, plural(c.Of, carrier(t)))
}
