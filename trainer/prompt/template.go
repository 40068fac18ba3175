package prompt

import (
	"fmt"
	"strings"
)

// Direction says whether a feature is asked for or advised against.
type Direction string

// The directions.
const (
	Do    Direction = "do"
	Avoid Direction = "avoid"
)

// templates are all the sentences that guidance can consist of. %s is an
// allow-listed name. A pair that is not here is never made into guidance: it
// would say nothing one can follow (end on an error!) or nothing one should
// (hide your sources).
var templates = map[Kind]map[Direction]string{
	CallsTool: {
		Do:    "When the tool `%s` is available, call it; do not finish without its result.",
		Avoid: "Do without the tool `%s` unless the task cannot be solved otherwise.",
	},
	ToolFirst: {
		Do:    "When the tool `%s` is available, call it before you give the final answer.",
		Avoid: "Give the final answer without calling the tool `%s` first, unless the task cannot be solved otherwise.",
	},
	NoTool: {
		Do:    "Answer directly when you can; tools are not always needed.",
		Avoid: "Do not answer from memory when tools are available: call one first.",
	},
	Repeats: {
		Avoid: "Do not call a tool again with the same arguments when it has already returned a result: use the result you have.",
	},
	Retries: {
		Do:    "When a tool call fails, try that tool once more before you give up.",
		Avoid: "When a tool call fails, do not call that tool again: go on without it and say what is missing.",
	},
	EndsOnError: {
		Avoid: "Do not stop after a failed tool call: correct the arguments, use another tool, or say what could not be done.",
	},
	Cites: {
		Do: "Name the sources of your final answer in square brackets, for example [doc:ID].",
	},
	HandsOver: {
		Do:    "Hand the task over to the agent `%s` when it belongs to that agent's work.",
		Avoid: "Do not hand the task over to the agent `%s`; solve it yourself where you can.",
	},
	ManyCalls: {
		Do:    "Do not stop early: check the results and take the further steps that the task needs.",
		Avoid: "Finish as soon as you have the results that the answer needs; do not add further rounds.",
	},
}

// Text is the guidance for a feature in a direction; false when there is none.
func (f Feature) Text(d Direction) (string, bool) {
	text, ok := templates[f.Kind][d]
	if !ok {
		return "", false
	}
	if f.Name != "" {
		text = fmt.Sprintf(text, f.Name)
	}
	return text, true
}

// Recognize is the inverse of [Feature.Text]: which feature and direction a
// sentence stands for. It is how the items of an earlier bundle are understood;
// false for a sentence that is none of ours.
func Recognize(text string) (Feature, Direction, bool) {
	for kind, sentences := range templates {
		for direction, sentence := range sentences {
			before, after, named := strings.Cut(sentence, "%s")
			switch {
			case !named && text == sentence:
				return Feature{Kind: kind}, direction, true
			case !named || len(text) < len(before)+len(after):
			case strings.HasPrefix(text, before) && strings.HasSuffix(text, after):
				if name := text[len(before) : len(text)-len(after)]; identifier.MatchString(name) {
					return Feature{kind, name}, direction, true
				}
			}
		}
	}
	return Feature{}, "", false
}
