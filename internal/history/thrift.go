package history

import (
	"encoding/binary"
	"errors"
)

// The heads of a Parquet file are structs of Thrift's compact protocol. The
// library makes room for lists and texts before it reads them, so their sizes
// are looked at first.

const (
	maxThriftDepth = 64
	maxThriftList  = 1 << 22
)

var (
	errThrift = errors.New("its description is broken")
	errMore   = errors.New("its description goes on")
)

// thriftStruct returns the size of the struct that b begins with: errMore if it
// goes on behind b.
func thriftStruct(b []byte) (int, error) {
	w := thriftWalk{b: b}
	err := w.structure(0)
	return w.at, err
}

type thriftWalk struct {
	b  []byte
	at int
}

// The types of the compact protocol.
const (
	thriftTrue = iota + 1
	thriftFalse
	thriftByte
	thriftI16
	thriftI32
	thriftI64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStructure
	thriftUUID
)

func (w *thriftWalk) structure(depth int) error {
	if depth > maxThriftDepth {
		return errThrift
	}
	for {
		head, err := w.byte()
		if err != nil || head == 0 {
			return err
		}
		if head>>4 == 0 { // the field's number stands apart
			if _, err := w.varint(); err != nil {
				return err
			}
		}
		if kind := head & 15; kind != thriftTrue && kind != thriftFalse {
			if err := w.value(kind, depth); err != nil {
				return err
			}
		}
	}
}

func (w *thriftWalk) value(kind byte, depth int) error {
	switch kind {
	case thriftTrue, thriftFalse, thriftByte:
		return w.skip(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := w.varint()
		return err
	case thriftDouble:
		return w.skip(8)
	case thriftUUID:
		return w.skip(16)
	case thriftBinary:
		n, err := w.varint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case thriftList, thriftSet:
		return w.list(depth)
	case thriftMap:
		return w.mapping(depth)
	case thriftStructure:
		return w.structure(depth + 1)
	}
	return errThrift
}

func (w *thriftWalk) list(depth int) error {
	head, err := w.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.varint(); err != nil {
			return err
		}
	}
	return w.values(n, depth, head&15)
}

func (w *thriftWalk) mapping(depth int) error {
	n, err := w.varint()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := w.byte()
	if err != nil {
		return err
	}
	return w.values(n, depth, kinds>>4, kinds&15)
}

// values passes over n times values of some kinds. Each takes a byte at least.
func (w *thriftWalk) values(n uint64, depth int, kinds ...byte) error {
	if n > maxThriftList || depth > maxThriftDepth {
		return errThrift
	}
	for range n {
		for _, kind := range kinds {
			if err := w.value(kind, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *thriftWalk) byte() (byte, error) {
	if w.at >= len(w.b) {
		return 0, errMore
	}
	w.at++
	return w.b[w.at-1], nil
}

func (w *thriftWalk) skip(n uint64) error {
	if n > maxFooter {
		return errThrift
	}
	if n > uint64(len(w.b)-w.at) { //nolint:gosec // not negative
		return errMore
	}
	w.at += int(n) //nolint:gosec // fits: it was compared
	return nil
}

func (w *thriftWalk) varint() (uint64, error) {
	n, size := binary.Uvarint(w.b[w.at:])
	switch {
	case size == 0:
		return 0, errMore
	case size < 0:
		return 0, errThrift
	}
	w.at += size
	return n, nil
}
