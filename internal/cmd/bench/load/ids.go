package load

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// request is an encoded request and where its ids are.
type request struct {
	body []byte
	ids  []id
}

type id struct {
	at   int
	kind byte
	of   uint16 // the trace, span or response that it names
}

// Kinds of ids.
const (
	traceID    = 'T'
	spanID     = 'S'
	responseID = 'R'
)

// Marks stand in a template where ids belong. The first is no UTF-8, so it is
// in no text; the second is in no text that is written here.
var binaryMark = []byte{0xF1, 0xA7, 0xC3, 0x9B, 0xEE}

const (
	textMark   = "@@@@"
	textLength = 24
)

func traceMark(trace int) (m [16]byte) {
	put(m[:], traceID, trace)
	return m
}

func spanMark(span int) (m [8]byte) {
	put(m[:], spanID, span)
	return m
}

func put(m []byte, kind byte, of int) {
	copy(m, binaryMark)
	m[5] = kind
	binary.BigEndian.PutUint16(m[6:], uint16(of)) //nolint:gosec // small
}

func responseMark(response int) string {
	return fmt.Sprintf("%s%04d%*s", textMark, response, textLength-8, "@")
}

// index finds the marks in an encoded request.
func index(body []byte) (request, error) {
	r := request{body: body}
	for at := 0; ; at += 8 {
		i := bytes.Index(body[at:], binaryMark)
		if i < 0 {
			break
		}
		at += i
		r.ids = append(r.ids, id{at, body[at+5], binary.BigEndian.Uint16(body[at+6:])})
	}
	for at := 0; ; at += textLength {
		i := bytes.Index(body[at:], []byte(textMark))
		if i < 0 {
			break
		}
		at += i
		of := 0
		if _, err := fmt.Sscanf(string(body[at+len(textMark):at+8]), "%d", &of); err != nil {
			return request{}, fmt.Errorf("read a mark of the load: %w", err)
		}
		r.ids = append(r.ids, id{at, responseID, uint16(of)}) //nolint:gosec // small
	}
	return r, nil
}

// stamp writes the ids of the n-th request over the marks in body.
func (r *request) stamp(body []byte, n uint64) {
	for _, id := range r.ids {
		v := mix(n<<24 | uint64(id.kind)<<16 | uint64(id.of))
		switch id.kind {
		case traceID:
			binary.BigEndian.PutUint64(body[id.at:], v)
			binary.BigEndian.PutUint64(body[id.at+8:], mix(v))
		case spanID:
			binary.BigEndian.PutUint64(body[id.at:], v)
		case responseID:
			var raw [textLength / 2]byte
			binary.BigEndian.PutUint64(raw[:], v)
			binary.BigEndian.PutUint32(raw[8:], uint32(v>>7)) //nolint:gosec // bits
			hex.Encode(body[id.at:], raw[:])
		}
	}
}

// mix is the finalizer of SplitMix64: different numbers stay different.
func mix(v uint64) uint64 {
	v += 0x9E3779B97F4A7C15
	v = (v ^ v>>30) * 0xBF58476D1CE4E5B9
	v = (v ^ v>>27) * 0x94D049BB133111EB
	return v ^ v>>31
}
