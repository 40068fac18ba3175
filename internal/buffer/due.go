package buffer

import "github.com/tracegrad/tracegrad/internal/trajectory"

// Due returns the trajectories that need not wait any longer at now, and
// forgets those whose late window is over. It stops when most or more are to be
// returned; the next call goes on.
func (b *Buffer) Due(now int64, most int) []Closed {
	b.now = now
	for len(b.ready) < most {
		u := b.clock.ring(now)
		if u == nil {
			break
		}
		if u.state == opened {
			b.close(u, b.why(u))
		} else {
			b.expire(u)
		}
	}
	return b.takeReady()
}

// Next returns when Due has something to do next, false for never. It may have
// less to do than it seemed: ask again.
func (b *Buffer) Next() (int64, bool) {
	if len(b.clock.units) == 0 {
		return 0, false
	}
	return b.clock.units[0].ringsAt, true
}

// Evict closes the trajectory that is quiet for longest, to make room; Due
// returns it. It is false where none is open.
func (b *Buffer) Evict(now int64) bool {
	u := b.open.first
	if u == nil {
		return false
	}
	b.now = now
	reason := b.whyNow(u)
	if reason == trajectory.CloseShutdown {
		reason = trajectory.CloseEvicted
	}
	b.close(u, reason)
	return true
}

// Flush returns all open trajectories and forgets everything.
func (b *Buffer) Flush(now int64) []Closed {
	b.now = now
	b.flushing = true
	for b.open.first != nil {
		b.close(b.open.first, b.whyNow(b.open.first))
	}
	b.flushing = false
	for b.closed.first != nil {
		b.expire(b.closed.first)
	}
	return b.takeReady()
}

func (b *Buffer) takeReady() []Closed {
	out := b.ready
	b.ready = nil
	return out
}

// wind sets the time at which an open unit closes if nothing more comes.
func (b *Buffer) wind(u *unit) {
	wait := b.cfg.Idle
	if u.ended() {
		wait = b.cfg.RootGrace
	}
	u.due = min(u.last+int64(wait), u.since+int64(b.cfg.MaxAge))
	b.clock.set(u)
}

// why says why an open unit that is due closes.
func (b *Buffer) why(u *unit) trajectory.CloseReason {
	switch {
	case u.ended() && u.last+int64(b.cfg.RootGrace) <= b.now:
		return trajectory.CloseComplete
	case u.last+int64(b.cfg.Idle) <= b.now:
		return trajectory.CloseIdle
	}
	return trajectory.CloseMaxAge
}

// whyNow says why an open unit closes when nothing more can come: one that only
// waited for stragglers is whole.
func (b *Buffer) whyNow(u *unit) trajectory.CloseReason {
	switch {
	case u.ended():
		return trajectory.CloseComplete
	case u.last+int64(b.cfg.Idle) <= b.now:
		return trajectory.CloseIdle
	}
	return trajectory.CloseShutdown
}

// close hands a unit out and starts its late window.
func (b *Buffer) close(u *unit, reason trajectory.CloseReason) {
	b.handOut(u, reason)
	b.open.remove(u)
	b.closed.pushBack(u)
	u.state = closed
	b.residue += u.bytes
	if b.cfg.LateWindow <= 0 {
		b.expire(u)
		return
	}
	u.due = b.now + int64(b.cfg.LateWindow)
	b.clock.set(u)
	b.foldAll(u, reason)
}
