package trajectory

// Options are what Assemble cannot read from spans.
type Options struct {
	ID          string // "" = IDOf the first-seen trace
	Revision    int64  // µs
	Writer      string
	CloseReason CloseReason
	Continues   string
	FirstSeenAt int64    // µs
	Reasons     []Reason // why the trajectory must not be trained on, known before assembly
}
