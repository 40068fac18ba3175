package openai

import (
	"bytes"

	"github.com/tidwall/gjson"
)

// maxEvent bounds one event of a stream. Larger ones are thrown away.
const maxEvent = 4 << 20

// Stream assembles an answer from the bytes of a server-sent event stream, in
// whatever pieces they come. It is an [io.Writer] that never fails.
type Stream struct {
	answer Answer
	line   []byte // an incomplete line
	data   []byte // the data of the event that is being read
	inData bool   // there was a data line
	skip   bool   // the event is too large
	began  bool   // the first line was seen
	cr     bool   // the last byte was a carriage return
}

// NewStream returns a stream whose answer keeps up to limit bytes of content.
func NewStream(limit int) *Stream {
	return &Stream{answer: Answer{limit: limit}}
}

// Write takes the next bytes of the stream. It keeps no reference to p.
func (s *Stream) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if s.cr { // "\r\n" is one line end, even in two pieces
			s.cr = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		end := lineEnd(p)
		if end < 0 {
			s.hold(p)
			break
		}
		s.cr = p[end] == '\r'
		s.endLine(p[:end])
		p = p[end+1:]
	}
	return n, nil
}

func lineEnd(p []byte) int {
	lf := bytes.IndexByte(p, '\n')
	if lf < 0 {
		return bytes.IndexByte(p, '\r')
	}
	if cr := bytes.IndexByte(p[:lf], '\r'); cr >= 0 {
		return cr
	}
	return lf
}

// hold keeps the beginning of a line.
func (s *Stream) hold(p []byte) {
	if s.skip || len(s.line)+len(p) > maxEvent {
		s.skip, s.line = true, s.line[:0]
		return
	}
	s.line = append(s.line, p...)
}

func (s *Stream) endLine(rest []byte) {
	line := rest
	if len(s.line) > 0 {
		s.hold(rest)
		line = s.line
	}
	if !s.began {
		s.began = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	switch data, ok := bytes.CutPrefix(line, []byte("data:")); {
	case len(line) == 0:
		s.endEvent()
	case !ok: // a comment or a field that carries no content
	case len(s.data)+len(data) > maxEvent:
		s.skip = true
	default:
		if s.inData {
			s.data = append(s.data, '\n')
		}
		s.data = append(s.data, bytes.TrimPrefix(data, []byte(" "))...)
		s.inData = true
	}
	s.line = s.line[:0]
}

func (s *Stream) endEvent() {
	switch {
	case s.skip:
		s.answer.Truncated = true
	case s.inData:
		s.answer.event(s.data)
	}
	s.data, s.inData, s.skip = s.data[:0], false, false
}

// Answer ends the stream and returns what came. An event without its closing
// empty line counts if its data is whole.
func (s *Stream) Answer() *Answer {
	if len(s.line) > 0 {
		s.endLine(nil)
	}
	s.endEvent()
	s.answer.sort()
	return &s.answer
}

func (a *Answer) event(data []byte) {
	data = bytes.TrimSpace(data)
	if string(data) == "[DONE]" {
		a.done = true
		return
	}
	if !gjson.ValidBytes(data) {
		return
	}
	if doc := gjson.ParseBytes(data); doc.IsObject() {
		a.add(doc, "delta")
	}
}
