package openai

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/tidwall/gjson"
)

// Edit changes one JSON document of an answer: the whole body, or the data of
// one event of a stream. It returns doc itself to leave it, and nil to leave the
// event out of the stream. It must not change doc's bytes.
type Edit func(doc []byte) []byte

// MaxEdited bounds the body of an answer that is edited, which has to be held
// whole. A larger one passes as it is, as does a stream from an event above maxEvent on.
const MaxEdited = 32 << 20

// Editor edits an answer on its way. What is not JSON passes as it is, and an
// event goes on as soon as it is whole. It reads no further than its source does,
// and hands on the source's error after what came before it.
type Editor struct {
	io.Closer
	source io.Reader
	stream bool
	edits  []Edit

	in   []byte // what is not edited yet: the beginning of the body, or of an event
	line int    // where in in the line begins whose end has not come
	seen int    // how much of in was searched for that end
	out  []byte // what was not read yet
	buf  []byte
	raw  bool // too much came without an end: the rest passes as it is
	err  error
}

// NewEditor edits body, a stream of events or one JSON document.
func NewEditor(body io.ReadCloser, stream bool, edits ...Edit) *Editor {
	size := 32 << 10
	if stream {
		size = 4 << 10 // its events are small, and its readers many
	}
	return &Editor{Closer: body, source: body, stream: stream, edits: edits, buf: make([]byte, size)}
}

// Read is as [io.Reader] says.
func (e *Editor) Read(p []byte) (int, error) {
	for len(e.out) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		var n int
		n, e.err = e.source.Read(e.buf)
		e.in, e.out = append(e.in, e.buf[:n]...), nil
		switch {
		case e.raw:
			e.pass()
		case e.stream:
			e.events()
		default:
			e.whole()
		}
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	return n, nil
}

// whole waits for the end of the body.
func (e *Editor) whole() {
	switch {
	case errors.Is(e.err, io.EOF):
		if doc := e.edit(e.in); doc != nil {
			e.in = doc
		}
		e.pass()
	case e.err != nil, len(e.in) > MaxEdited:
		e.pass()
	}
}

// events hands on the events that are whole.
func (e *Editor) events() {
	whole := e.in
	for {
		end := e.eventEnd()
		if end == 0 {
			break
		}
		e.out = append(e.out, e.event(e.in[:end])...)
		e.in, e.line, e.seen = e.in[end:], 0, 0
	}
	switch {
	case e.err != nil: // the last event may lack its empty line
		e.in = e.event(e.in)
		e.pass()
	case len(e.in) > maxEvent:
		e.pass()
	case len(e.in) < len(whole): // what was handed on does not stay
		e.in = append([]byte(nil), e.in...)
	}
}

// pass hands on what was read, and what will be.
func (e *Editor) pass() {
	e.raw = true
	e.out, e.in = append(e.out, e.in...), nil
}

// eventEnd is the end of the first event, its empty line included; 0 = it has not
// come. Where a line ends with what may be half of a line end, it waits.
func (e *Editor) eventEnd() int {
	for {
		from := max(e.line, e.seen)
		n := lineEnd(e.in[from:])
		if n < 0 {
			e.seen = len(e.in)
			return 0
		}
		end := from + n + 1
		if e.in[end-1] == '\r' {
			if end == len(e.in) {
				return 0
			}
			if e.in[end] == '\n' {
				end++
			}
		}
		empty := from+n == e.line
		e.line = end
		if empty {
			return end
		}
	}
}

// event edits the data of one event.
func (e *Editor) event(text []byte) []byte {
	doc := []byte{}    // nil would leave the event out
	from, to := -1, -1 // the place of the data, which may be in several lines
	for at := 0; at < len(text); {
		end := lineEnd(text[at:])
		if end < 0 {
			end = len(text) - at
		}
		if data, ok := bytes.CutPrefix(text[at:at+end], []byte("data:")); ok {
			if from < 0 {
				from = at
			} else {
				doc = append(doc, '\n')
			}
			doc = append(doc, bytes.TrimPrefix(data, []byte(" "))...)
			to = at + end
		}
		at += end + 1
	}
	if from < 0 {
		return text
	}
	edited := e.edit(doc)
	switch {
	case edited == nil:
		return nil
	case bytes.Equal(edited, doc):
		return text
	}
	edited = bytes.ReplaceAll(edited, []byte("\n"), []byte("\ndata: "))
	return slices.Concat(text[:from], []byte("data: "), edited, text[to:])
}

// edit applies the edits to a JSON document.
func (e *Editor) edit(doc []byte) []byte {
	if !gjson.ValidBytes(doc) {
		return doc
	}
	for _, edit := range e.edits {
		if doc = edit(doc); doc == nil {
			return nil
		}
	}
	return doc
}
