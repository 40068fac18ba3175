package buffer

// Tally counts what happened since it was last taken.
type Tally struct {
	Accepted        [4]int64 // spans by trajectory.Role
	Records         int64    // log records
	Duplicate       int64    // spans with a known id
	AfterTruncation int64    // spans of a trajectory that hit its byte cap
	NoAttempt       int64    // spans of traces that show nothing that an agent did
	Stripped        int64    // spans whose content did not fit into the byte cap
	Late            int64    // spans that came after the late window
	Reopened        int64    // closed trajectories that got new spans
	Forgotten       int64    // closed trajectories that left their late window early to make room
}

// Take returns the counts and starts again from zero.
func (b *Buffer) Take() Tally {
	t := b.tally
	b.tally = Tally{}
	return t
}
