package prompt

import "regexp"

// Guidance becomes part of prompts, so a name is only taken from telemetry if
// it looks like an identifier: whoever can send a span must not be able to send
// an instruction.
var (
	toolName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:/-]{0,63}$`)
	agentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:/-]{0,39}( [A-Za-z0-9_.:/-]{1,20}){0,2}$`)
	labelName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,63}$`)
)

// Label returns the label of a group if it may be shown, else a stable stand-in
// made from its hash: a group_by over input texts must not carry them into a bundle.
func Label(group string) string {
	if labelName.MatchString(group) {
		return group
	}
	return "group-" + digest(group)
}
