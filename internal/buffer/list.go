package buffer

// list is a doubly linked list of units; a unit is in one list at most.
type list struct {
	first, last *unit
	n           int
}

func (l *list) pushBack(u *unit) {
	u.prev, u.next = l.last, nil
	if l.last != nil {
		l.last.next = u
	} else {
		l.first = u
	}
	l.last = u
	l.n++
}

func (l *list) remove(u *unit) {
	if u.prev != nil {
		u.prev.next = u.next
	} else {
		l.first = u.next
	}
	if u.next != nil {
		u.next.prev = u.prev
	} else {
		l.last = u.prev
	}
	u.prev, u.next = nil, nil
	l.n--
}

func (l *list) moveToBack(u *unit) {
	if l.last != u {
		l.remove(u)
		l.pushBack(u)
	}
}
