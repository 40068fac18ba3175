package records

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// lines reads one value a line.
func (s *stream) lines() {
	in := lineReader{in: s.in.Reader, max: s.most}
	for line := 1; ; line++ {
		data, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil && !errors.Is(err, ErrTooLong):
			s.fail(line, 0, err)
			return
		case err == nil:
			if data = bytes.TrimSpace(data); len(data) == 0 {
				continue
			}
		}
		if !s.give(Record{Line: line, Data: data}, err) {
			return
		}
	}
}

// lineReader reads lines of up to max bytes and skips longer ones.
type lineReader struct {
	in  *bufio.Reader
	max int
	buf []byte
}

// next returns the next line without its end; the slice is valid until the
// following call. After ErrTooLong the next line can be read.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	long := false
	for {
		part, err := l.in.ReadSlice('\n')
		switch {
		case long:
		case len(l.buf)+len(bytes.TrimRight(part, "\r\n")) > l.max:
			long = true
		default:
			l.buf = append(l.buf, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !(errors.Is(err, io.EOF) && (long || len(l.buf) > 0)) {
			return nil, err
		}
		if long {
			return nil, fmt.Errorf("line %w: more than %d bytes", ErrTooLong, l.max)
		}
		return l.buf, nil
	}
}

// nesting follows the brackets of JSON.
type nesting struct {
	depth   int
	text    bool // in a string
	escaped bool
}

func (n *nesting) see(c byte) {
	switch {
	case n.escaped:
		n.escaped = false
	case n.text:
		switch c {
		case '\\':
			n.escaped = true
		case '"':
			n.text = false
		}
	case c == '"':
		n.text = true
	case c == '{' || c == '[':
		n.depth++
	case c == '}' || c == ']':
		n.depth--
	}
}

// document reads objects that stand anywhere: one after the other, or in an
// array. White space, commas and the brackets of outer arrays lie between them.
func (s *stream) document() {
	line, arrays := 1, 0
	for {
		c, err := s.in.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && arrays == 0:
			return
		case errors.Is(err, io.EOF):
			s.fail(line, 0, fmt.Errorf("the document ends within an array: %w", io.ErrUnexpectedEOF))
			return
		case err != nil:
			s.fail(line, 0, err)
			return
		}
		switch c {
		case '\n':
			line++
		case ' ', '\t', '\r', ',':
		case '[':
			arrays++
		case ']':
			arrays--
		case '{':
			if line = s.object(line); s.stopped || line == 0 {
				return
			}
		default:
			s.fail(line, 0, fmt.Errorf("want a JSON object, found %q", c))
			return
		}
		if arrays < 0 {
			s.fail(line, 0, errors.New("an array ends that did not begin"))
			return
		}
	}
}

// object reads an object whose first brace was read, and yields it. It returns
// the line on which the object ends, 0 when there is nothing more to read.
func (s *stream) object(line int) int {
	var n nesting
	n.see('{')
	data := s.in.buf[:0]
	data = append(data, '{')
	begin, long := line, false
	for n.depth > 0 {
		c, err := s.in.ReadByte()
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("the object ends too early: %w", io.ErrUnexpectedEOF)
		}
		if err != nil {
			s.fail(begin, 0, err)
			return 0
		}
		if c == '\n' {
			line++
		}
		n.see(c)
		if long = long || len(data) >= s.most; !long {
			data = append(data, c)
		}
	}
	s.in.buf = data
	if long {
		s.give(Record{Line: begin}, fmt.Errorf("object %w: more than %d bytes", ErrTooLong, s.most))
	} else {
		s.give(Record{Line: begin, Data: data}, nil)
	}
	return line
}

// Shallow says whether the values of a JSON text lie no deeper in each other
// than most: decoders go down one call a level, and a stack that overflows ends
// the process.
func Shallow(data []byte, most int) bool {
	depth, text := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}
