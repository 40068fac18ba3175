package prompt

import (
	"regexp"
	"strings"
)

// Guidance becomes part of prompts, so a name is only taken from telemetry if
// it is an identifier: whoever can send a span must not be able to send an
// instruction.
var (
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`)
	labelName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:/-]*( [A-Za-z0-9_][A-Za-z0-9_.:/-]*){0,2}$`)
	// standIn looks like a digest: a name that tells a reader nothing.
	standIn = regexp.MustCompile(`^(group-|agent-)?[0-9a-f]{8,}$`)
)

const maxLabel = 64

// Label returns the label of a group if it may be shown: at most three words of
// letters, digits and _.:/-, no address. Else it returns a stable stand-in made
// from its hash: a group_by over input texts must not carry them into a bundle.
func Label(group string) string {
	if len(group) <= maxLabel && labelName.MatchString(group) && !strings.Contains(group, "://") {
		return group
	}
	return "group-" + digest(group)
}

// agentLabel keeps agents apart whose names may not be shown: they get a
// stand-in, so that what one of them taught is not taken for everybody's.
func agentLabel(name string) (label string, shown bool) {
	if identifier.MatchString(name) {
		return name, true
	}
	return "agent-" + digest(name), false
}

// readable reports whether a label says something to a reader. Hashes, such as
// the task keys that collectors make from inputs, do not.
func readable(label string) bool { return !standIn.MatchString(label) }
