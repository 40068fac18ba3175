package genai

// slab gives out elements from chunks: a few pieces instead of many are cheaper
// to allocate and to walk, and they can be used again all at once.
type slab[T any] struct {
	chunks   [][]T
	at, used int // the next element
}

// next is an element that is zero.
func (s *slab[T]) next(chunk int) *T {
	if s.at < len(s.chunks) && s.used == len(s.chunks[s.at]) {
		s.at++
		s.used = 0
	}
	if s.at == len(s.chunks) {
		s.chunks = append(s.chunks, make([]T, chunk))
	}
	s.used++
	return &s.chunks[s.at][s.used-1]
}

// maxChunks is how many chunks are kept for the next use.
const maxChunks = 32

// reset takes all elements back. Nobody may hold one any more.
func (s *slab[T]) reset() {
	for i := range s.chunks[:min(s.at+1, len(s.chunks))] {
		n := len(s.chunks[i])
		if i == s.at {
			n = s.used
		}
		clear(s.chunks[i][:n])
	}
	if len(s.chunks) > maxChunks {
		clear(s.chunks[maxChunks:])
		s.chunks = s.chunks[:maxChunks]
	}
	s.at, s.used = 0, 0
}
