package backfill

import (
	"cmp"
	"container/heap"
	"errors"
	"io"
	"slices"
)

// pieceCost is what a piece holds beside its data.
const pieceCost = 64

// sorter puts pieces in the order of their times; pieces of one time keep
// theirs. What is more than fits into memory goes to disk, sorted, as runs.
type sorter struct {
	dir    string
	most   int64 // bytes in memory
	chunk  []piece
	bytes  int64
	runs   []string
	pieces int // in runs
}

func newSorter(dir string, most int64) *sorter { return &sorter{dir: dir, most: most} }

func (s *sorter) add(p piece) {
	s.chunk = append(s.chunk, p)
	s.bytes += int64(len(p.data)) + pieceCost
}

func (s *sorter) full() bool { return s.bytes >= s.most }

func (s *sorter) sort() {
	slices.SortStableFunc(s.chunk, func(a, b piece) int { return cmp.Compare(a.at, b.at) })
}

// spill writes what is in memory as a run, with the marks of the traces in it,
// and returns its name.
func (s *sorter) spill(marks []uint64) (string, error) {
	s.sort()
	name, err := writeRun(s.dir, len(s.runs), marks, s.chunk)
	if err != nil {
		return "", err
	}
	s.runs = append(s.runs, name)
	s.pieces += len(s.chunk)
	clear(s.chunk)
	s.chunk, s.bytes = s.chunk[:0], 0
	return name, nil
}

// each visits all pieces in order, once. A piece's data is the visitor's for
// the time of the visit.
func (s *sorter) each(visit func(piece) error) (err error) {
	s.sort()
	m := merge{}
	defer func() { err = errors.Join(err, m.close()) }()
	for i, name := range s.runs {
		r, err := openRun(s.dir, name)
		if err != nil {
			return err
		}
		m.sources = append(m.sources, source{next: r.next, close: r.close, rank: i})
	}
	rest := s.chunk
	m.sources = append(m.sources, source{rank: len(s.runs), close: func() error { return nil }, next: func() (piece, error) {
		if len(rest) == 0 {
			return piece{}, io.EOF
		}
		p := rest[0]
		rest[0] = piece{}
		rest = rest[1:]
		return p, nil
	}})
	if err := m.start(); err != nil {
		return err
	}
	for m.Len() > 0 {
		if err := visit(m.open[0].head); err != nil {
			return err
		}
		if err := m.step(); err != nil {
			return err
		}
	}
	return nil
}

// source is one sorted sequence of pieces.
type source struct {
	next  func() (piece, error) // io.EOF at its end; the data is valid until the next call
	close func() error
	head  piece
	rank  int // of equal times the lower comes first
}

// merge is a heap of sources by their next piece.
type merge struct {
	sources []source
	open    []*source
}

func (m *merge) Len() int { return len(m.open) }
func (m *merge) Less(i, j int) bool {
	a, b := m.open[i], m.open[j]
	return cmp.Or(cmp.Compare(a.head.at, b.head.at), cmp.Compare(a.rank, b.rank)) < 0
}
func (m *merge) Swap(i, j int) { m.open[i], m.open[j] = m.open[j], m.open[i] }
func (m *merge) Push(x any)    { m.open = append(m.open, x.(*source)) }
func (m *merge) Pop() any {
	last := m.open[len(m.open)-1]
	m.open = m.open[:len(m.open)-1]
	return last
}

func (m *merge) start() error {
	for i := range m.sources {
		s := &m.sources[i]
		head, err := s.next()
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			return err
		}
		s.head = head
		m.open = append(m.open, s)
	}
	heap.Init(m)
	return nil
}

// step goes on to the next piece.
func (m *merge) step() error {
	s := m.open[0]
	head, err := s.next()
	switch {
	case errors.Is(err, io.EOF):
		heap.Pop(m)
		return nil
	case err != nil:
		return err
	}
	s.head = head
	heap.Fix(m, 0)
	return nil
}

func (m *merge) close() error {
	var errs []error
	for _, s := range m.sources {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}
