package records

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// frames reads messages that stand behind their length. A message may be
// packed by itself, and may be JSON: that is what the Collector's file exporter
// writes with `compression: zstd`.
func (s *stream) frames() {
	var offset int64
	var size [4]byte
	for {
		_, err := io.ReadFull(s.in, size[:])
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.fail(0, offset, fmt.Errorf("the length of a message is cut: %w", err))
			return
		}
		length := int64(binary.BigEndian.Uint32(size[:]))
		begin := offset + int64(len(size))
		offset = begin + length
		switch {
		case length > MaxBytes:
			s.fail(0, begin, fmt.Errorf("message %w: %d bytes, or this is not the length of one", ErrTooLong, length))
			return
		case length > int64(s.most):
			if _, err := io.CopyN(io.Discard, s.in, length); err != nil {
				s.fail(0, begin, err)
				return
			}
			err = fmt.Errorf("message %w: more than %d bytes", ErrTooLong, s.most)
		default:
			if err := s.fill(length); err != nil {
				s.fail(0, begin, fmt.Errorf("the message is cut: %w", err))
				return
			}
		}
		if !s.frame(begin, err) {
			return
		}
	}
}

// fill reads the next n bytes. Memory grows with what is there, not with what
// a length promises.
func (s *stream) fill(n int64) error {
	b := bytes.NewBuffer(s.in.buf[:0])
	got, err := io.CopyN(b, s.in, n)
	s.in.buf = b.Bytes()
	if errors.Is(err, io.EOF) && got < n {
		return io.ErrUnexpectedEOF
	}
	return err
}

// frame yields the message that was filled in.
func (s *stream) frame(begin int64, err error) bool {
	r := Record{Offset: begin, Form: Proto}
	if err == nil && s.number >= s.skip {
		r.Data, err = s.in.unpackFrame(s.in.buf, s.most)
	}
	if text := bytes.TrimLeft(r.Data, " \t\r\n"); len(text) > 0 && text[0] == '{' && !isMessage(r.Data) {
		r.Data, r.Form = text, JSON
	}
	return s.give(r, err)
}

// unpackFrame unpacks a message that is packed by itself.
func (in *input) unpackFrame(data []byte, most int) ([]byte, error) {
	if !bytes.HasPrefix(data, zstdMagic) {
		return data, nil
	}
	if in.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxBytes), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, err
		}
		in.zstd = d
	}
	out, err := in.zstd.DecodeAll(data, in.unpacked[:0])
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded) || len(out) > most:
		return nil, fmt.Errorf("message %w: unpacks to more than %d bytes", ErrTooLong, most)
	case err != nil:
		return nil, fmt.Errorf("unpack zstd: %w", err)
	}
	in.unpacked = out
	return out, nil
}

// message reads the whole file as one message.
func (s *stream) message() {
	err := s.fill(int64(s.most) + 1)
	switch {
	case err == nil:
		s.fail(0, 0, fmt.Errorf("message %w: more than %d bytes in one; the file exporter's format: proto has no such limit", ErrTooLong, s.most))
	case !errors.Is(err, io.ErrUnexpectedEOF):
		s.fail(0, 0, err)
	default:
		s.give(Record{Form: Proto, Data: s.in.buf}, nil)
	}
}
