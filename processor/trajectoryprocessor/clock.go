package trajectoryprocessor

import "time"

// jumped is by how much the wall clock must differ from the monotonic one since
// it was looked at last, to have been set. Less is drift.
const jumped = time.Second

// now is the time in ns since the Unix epoch. If somebody has set the clock, what
// is held moves with it. a.mu is held.
func (a *assembler) now() int64 {
	now := time.Now()
	jump := now.Round(0).Sub(a.looked.Round(0)) - now.Sub(a.looked)
	if a.looked = now; jump.Abs() > jumped {
		a.buf.Shift(int64(jump))
		a.keepJump(now.UnixNano(), int64(jump))
	}
	return now.UnixNano()
}
