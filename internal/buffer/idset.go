package buffer

import "github.com/tracegrad/tracegrad/internal/trajectory"

// small is the number of ids up to which a slice beats a map.
const small = 24

// idSet is a set of span ids. The zero value is empty.
type idSet struct {
	list []trajectory.SpanID
	set  map[trajectory.SpanID]struct{} // takes over from list when it grows
}

func (s *idSet) len() int {
	if s.set != nil {
		return len(s.set)
	}
	return len(s.list)
}

func (s *idSet) has(id trajectory.SpanID) bool {
	if s.set != nil {
		_, ok := s.set[id]
		return ok
	}
	for _, x := range s.list {
		if x == id {
			return true
		}
	}
	return false
}

func (s *idSet) add(id trajectory.SpanID) {
	if s.has(id) {
		return
	}
	if s.set == nil && len(s.list) < small {
		s.list = append(s.list, id)
		return
	}
	if s.set == nil {
		s.set = make(map[trajectory.SpanID]struct{}, 2*small)
		for _, x := range s.list {
			s.set[x] = struct{}{}
		}
		s.list = nil
	}
	s.set[id] = struct{}{}
}

func (s *idSet) remove(id trajectory.SpanID) {
	if s.set != nil {
		delete(s.set, id)
		return
	}
	for i, x := range s.list {
		if x == id {
			last := len(s.list) - 1
			s.list[i] = s.list[last]
			s.list = s.list[:last]
			return
		}
	}
}
