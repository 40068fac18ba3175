package doctor

import (
	"fmt"
	"strings"

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

// possessive is "their prompt", "its reply".
func possessive(n int, t Thing) string {
	whose := "their "
	if n == 1 {
		whose = "its "
	}
	switch t {
	case ToolArguments:
		return whose + "arguments"
	case ToolResults:
		return whose + "result"
	case SystemPrompt, Sessions, Users:
		return "a " + nouns[t]
	}
	return whose + nouns[t]
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
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

func counted(c Count, t Thing) string {
	return fmt.Sprintf("%s %d of %s", nouns[t], c.Have, plural(c.Of, carrier(t)))
}
