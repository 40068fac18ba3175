package bundle

import (
	"encoding/json"
	"fmt"
)

// maxDepth bounds the nesting of a request. Requests are flat; parsers of
// serving engines refuse deep ones too.
const maxDepth = 1000

// span is a value's place in a text: text[from:to].
type span struct{ from, to int }

// scanner finds values in JSON text without decoding them, so that an edit can
// leave every other byte alone. It accepts exactly RFC 8259.
type scanner struct {
	text  []byte
	depth int
}

type syntaxError struct {
	offset int
	want   string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("request body is not JSON: byte %d: expected %s", e.offset, e.want)
}

// document returns the place of the only value of the text.
func (s *scanner) document() (span, error) {
	from := s.space(0)
	to, err := s.value(from)
	if err != nil {
		return span{}, err
	}
	if end := s.space(to); end != len(s.text) {
		return span{}, &syntaxError{end, "the end of the text"}
	}
	return span{from, to}, nil
}

// members calls visit for each member of the object at i and returns the
// object's end.
func (s *scanner) members(i int, visit func(key span, value span)) (int, error) {
	return s.list(i, '}', func(i int) (int, error) {
		keyEnd, err := s.str(i)
		if err != nil {
			return 0, err
		}
		colon := s.space(keyEnd)
		if s.at(colon) != ':' {
			return 0, &syntaxError{colon, "':'"}
		}
		from := s.space(colon + 1)
		to, err := s.value(from)
		if err == nil && visit != nil {
			visit(span{i, keyEnd}, span{from, to})
		}
		return to, err
	})
}

// elements calls visit for each element of the array at i and returns the
// array's end.
func (s *scanner) elements(i int, visit func(value span)) (int, error) {
	return s.list(i, ']', func(i int) (int, error) {
		to, err := s.value(i)
		if err == nil && visit != nil {
			visit(span{i, to})
		}
		return to, err
	})
}

// list reads comma-separated entries between the bracket at i and closing.
func (s *scanner) list(i int, closing byte, entry func(int) (int, error)) (int, error) {
	if s.depth++; s.depth > maxDepth {
		return 0, &syntaxError{i, fmt.Sprintf("at most %d nested values", maxDepth)}
	}
	defer func() { s.depth-- }()
	i = s.space(i + 1)
	if s.at(i) == closing {
		return i + 1, nil
	}
	for {
		end, err := entry(i)
		if err != nil {
			return 0, err
		}
		i = s.space(end)
		switch s.at(i) {
		case closing:
			return i + 1, nil
		case ',':
			i = s.space(i + 1)
		default:
			return 0, &syntaxError{i, fmt.Sprintf("',' or %q", closing)}
		}
	}
}

// value returns the end of the value at i.
func (s *scanner) value(i int) (int, error) {
	switch c := s.at(i); {
	case c == '{':
		return s.members(i, nil)
	case c == '[':
		return s.elements(i, nil)
	case c == '"':
		return s.str(i)
	case c == '-' || isDigit(c):
		return s.number(i)
	case c == 't':
		return s.literal(i, "true")
	case c == 'f':
		return s.literal(i, "false")
	case c == 'n':
		return s.literal(i, "null")
	}
	return 0, &syntaxError{i, "a value"}
}

func (s *scanner) literal(i int, word string) (int, error) {
	if end := i + len(word); end <= len(s.text) && string(s.text[i:end]) == word {
		return end, nil
	}
	return 0, &syntaxError{i, word}
}

func (s *scanner) str(i int) (int, error) {
	if s.at(i) != '"' {
		return 0, &syntaxError{i, "a string"}
	}
	for i++; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			return i + 1, nil
		case c < ' ':
			return 0, &syntaxError{i, "no control character in a string"}
		case c == '\\':
			i++
			switch s.at(i) {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; !isHex(s.at(i)) {
						return 0, &syntaxError{i, "four hex digits after \\u"}
					}
				}
			default:
				return 0, &syntaxError{i, "an escape"}
			}
		}
	}
	return 0, &syntaxError{i, "the end of the string"}
}

func (s *scanner) number(i int) (int, error) {
	if s.at(i) == '-' {
		i++
	}
	first := i
	if i = s.digits(i); i == first || (s.text[first] == '0' && i > first+1) {
		return 0, &syntaxError{first, "a number"}
	}
	if s.at(i) == '.' {
		from := i + 1
		if i = s.digits(from); i == from {
			return 0, &syntaxError{i, "a digit"}
		}
	}
	if c := s.at(i); c == 'e' || c == 'E' {
		i++
		if c := s.at(i); c == '+' || c == '-' {
			i++
		}
		from := i
		if i = s.digits(from); i == from {
			return 0, &syntaxError{i, "a digit"}
		}
	}
	return i, nil
}

func (s *scanner) digits(i int) int {
	for isDigit(s.at(i)) {
		i++
	}
	return i
}

func (s *scanner) space(i int) int {
	for i < len(s.text) {
		switch s.text[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// at is the byte at i, 0 after the end. No JSON token holds a 0 byte.
func (s *scanner) at(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || (c|0x20 >= 'a' && c|0x20 <= 'f') }

// unquote decodes the string at v; ok is false for other values.
func (s *scanner) unquote(v span) (text string, ok bool) {
	if s.at(v.from) != '"' {
		return "", false
	}
	err := json.Unmarshal(s.text[v.from:v.to], &text)
	return text, err == nil
}
