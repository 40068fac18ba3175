package genai

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner walks a JSON text once and checks it on the way. Most bytes of a
// prompt are inside strings, which are passed over eight at a time; nothing is
// copied until a token is read.
//
//	for more := c.enter('{'); more; more = c.next('}') {
//		switch c.key() {
//		case "role":
//			role = c.value()
//		default:
//			c.value()
//		}
//	}
//
// After the first error bad is set and every loop ends.
type scanner struct {
	s   string
	i   int
	bad bool
}

// token is a JSON value that was checked and not read yet. It is a part of the
// text that it was found in.
type token struct {
	raw   string // as written, strings with their quotes
	plain bool   // a string without escapes
}

// maxDepth bounds the nesting that is followed.
const maxDepth = 1000

func (c *scanner) fail() {
	c.bad = true
	c.i = len(c.s)
}

// peek is the first byte of the next token, 0 at the end.
func (c *scanner) peek() byte {
	for c.i < len(c.s) {
		switch b := c.s[c.i]; b {
		case ' ', '\t', '\n', '\r':
			c.i++
		default:
			return b
		}
	}
	return 0
}

// done says whether the text was JSON and nothing follows.
func (c *scanner) done() bool { return c.peek() == 0 && c.i == len(c.s) && !c.bad }

// enter steps into an object or an array; false when it is empty or something
// else stands there, which is an error.
func (c *scanner) enter(open byte) (more bool) {
	if c.peek() != open {
		c.fail()
		return false
	}
	c.i++
	if c.peek() == open+2 { // ']' and '}' are two after their opening bytes
		c.i++
		return false
	}
	return !c.bad
}

// next steps to the next element or member, or out after the last one.
func (c *scanner) next(end byte) (more bool) {
	switch b := c.peek(); {
	case c.bad:
		return false
	case b == ',':
		c.i++
		return true
	case b == end:
		c.i++
		return false
	}
	c.fail()
	return false
}

// key reads the name of a member and steps to its value.
func (c *scanner) key() string {
	t := c.text()
	if c.peek() != ':' {
		c.fail()
		return ""
	}
	c.i++
	return t.view()
}

// text passes over a string.
func (c *scanner) text() token {
	if c.peek() != '"' {
		c.fail()
		return token{}
	}
	from, plain := c.i, true
	for i := c.i + 1; ; {
		i = special(c.s, i)
		if i >= len(c.s) || c.s[i] < ' ' {
			break
		}
		if c.s[i] == '"' {
			c.i = i + 1
			return token{c.s[from:c.i], plain}
		}
		plain = false
		if i = escapeEnd(c.s, i); i < 0 {
			break
		}
	}
	c.fail()
	return token{}
}

// value passes over any value.
func (c *scanner) value() token { return c.valueAt(0) }

func (c *scanner) valueAt(depth int) token {
	b := c.peek()
	from := c.i
	switch {
	case b == '"':
		return c.text()
	case depth == maxDepth:
		c.fail()
	case b == '{':
		for more := c.enter('{'); more; more = c.next('}') {
			c.key()
			c.valueAt(depth + 1)
		}
	case b == '[':
		for more := c.enter('['); more; more = c.next(']') {
			c.valueAt(depth + 1)
		}
	case b == '-' || b >= '0' && b <= '9':
		c.number()
	default:
		c.word()
	}
	if c.bad {
		return token{}
	}
	return token{raw: c.s[from:c.i]}
}

func (c *scanner) word() {
	for _, w := range []string{"true", "false", "null"} {
		if strings.HasPrefix(c.s[c.i:], w) {
			c.i += len(w)
			return
		}
	}
	c.fail()
}

func (c *scanner) number() {
	if c.s[c.i] == '-' {
		c.i++
	}
	if c.i < len(c.s) && c.s[c.i] == '0' {
		c.i++
	} else {
		c.digits()
	}
	if c.i < len(c.s) && c.s[c.i] == '.' {
		c.i++
		c.digits()
	}
	if c.i < len(c.s) && c.s[c.i]|0x20 == 'e' {
		c.i++
		if c.i < len(c.s) && (c.s[c.i] == '+' || c.s[c.i] == '-') {
			c.i++
		}
		c.digits()
	}
}

func (c *scanner) digits() {
	from := c.i
	for c.i < len(c.s) && c.s[c.i] >= '0' && c.s[c.i] <= '9' {
		c.i++
	}
	if c.i == from {
		c.fail()
	}
}

// special is the offset of the first quote, backslash or control character at
// i or after it, the end of s for none.
func special(s string, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for ; i+8 <= len(s); i += 8 {
		w := s[i : i+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		quote, slash := x^'"'*ones, x^'\\'*ones
		if ((quote-ones)&^quote|(slash-ones)&^slash|(x-' '*ones)&^x)&highs != 0 {
			break
		}
	}
	for i < len(s) && s[i] != '"' && s[i] != '\\' && s[i] >= ' ' {
		i++
	}
	return i
}

// escapeEnd is the offset after the escape sequence at i, -1 if it is none.
func escapeEnd(s string, i int) int {
	if i+1 >= len(s) {
		return -1
	}
	switch s[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 <= len(s) && hex4(s[i+2:]) >= 0 {
			return i + 6
		}
	}
	return -1
}

// hex4 is the number of the first four hex digits of s, -1 if they are none.
func hex4(s string) rune {
	n := rune(0)
	for i := range 4 {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			n = n<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}

// unescape writes what a checked JSON string says.
func unescape(b *strings.Builder, raw string) {
	s := raw[1 : len(raw)-1]
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			return
		}
		b.WriteString(s[:i])
		var escaped [utf8.UTFMax]byte
		said, rest := unescapeOne(escaped[:0], s[i+1:])
		b.Write(said)
		s = rest
	}
}

// unescapeOne appends what the escape sequence at the start of s says, without
// its backslash, and returns what follows it.
func unescapeOne(dst []byte, s string) (said []byte, rest string) {
	c := s[0]
	s = s[1:]
	switch c {
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r := hex4(s)
		s = s[4:]
		if utf16.IsSurrogate(r) && strings.HasPrefix(s, `\u`) {
			if pair := utf16.DecodeRune(r, hex4(s[2:])); pair != utf8.RuneError {
				r, s = pair, s[6:]
			}
		}
		return utf8.AppendRune(dst, r), s // half a pair becomes U+FFFD
	}
	return append(dst, c), s
}

// asToken is a text as a JSON string.
func asToken(s string) token {
	raw, err := json.Marshal(s)
	if err != nil {
		return token{}
	}
	return token{raw: string(raw), plain: strings.IndexByte(string(raw), '\\') < 0}
}

// exists is false for the zero token.
func (t token) exists() bool { return t.raw != "" }

func (t token) isText() bool { return t.raw != "" && t.raw[0] == '"' }

func (t token) isObject() bool { return t.raw != "" && t.raw[0] == '{' }

func (t token) isNull() bool { return t.raw != "" && t.raw[0] == 'n' }

// view is the text of a string, "" for anything else. It may be a part of the
// JSON it was found in, so it is for reading and not for keeping.
func (t token) view() string {
	switch {
	case !t.isText():
		return ""
	case t.plain:
		return t.raw[1 : len(t.raw)-1]
	}
	var b strings.Builder
	b.Grow(len(t.raw))
	unescape(&b, t.raw)
	return b.String()
}

func (t token) isNumber() bool {
	return t.raw != "" && (t.raw[0] == '-' || t.raw[0] >= '0' && t.raw[0] <= '9')
}

// float and integer are the value of a number.
func (t token) float() float64 {
	f, _ := strconv.ParseFloat(t.raw, 64)
	return f
}

func (t token) integer() int64 {
	if i, err := strconv.ParseInt(t.raw, 10, 64); err == nil {
		return i
	}
	return int64(t.float())
}

// asText is any scalar as text, and JSON as it is written; null is "".
func (t token) asText() string {
	switch {
	case t.isText():
		return t.view()
	case t.raw == "" || t.isNull():
		return ""
	case t.isNumber() && strings.ContainsAny(t.raw, ".eE"):
		return strconv.FormatFloat(t.float(), 'f', -1, 64)
	}
	return t.raw
}

// first is the first of several members that is there and not null.
func (t token) first(names ...string) token {
	for _, n := range names {
		if v := t.member(n); v.exists() && !v.isNull() {
			return v
		}
	}
	return token{}
}

// member is a member of an object.
type member struct {
	name  string
	value token
}

// members are those of one object, in order.
type members []member

// object reads the object that stands next and appends its members to into.
func (c *scanner) object(into members) members {
	for more := c.enter('{'); more; more = c.next('}') {
		name := c.key()
		into = append(into, member{name, c.value()})
	}
	return into
}

// parse reads a text that is one object; nil if it is something else.
func parse(s string) members {
	c := scanner{s: s}
	if c.peek() != '{' {
		return nil
	}
	if o := c.object(nil); c.done() {
		return o
	}
	return nil
}

// valid says whether a text is JSON.
func valid(s string) bool {
	c := scanner{s: s}
	c.value()
	return c.done()
}

// member is the first member of that name; the zero token for none, and where t
// is no object.
func (t token) member(name string) (v token) {
	if t.raw == "" || t.raw[0] != '{' {
		return token{}
	}
	c := scanner{s: t.raw}
	for more := c.enter('{'); more; more = c.next('}') {
		found := c.key() == name
		if v = c.value(); found {
			return v
		}
	}
	return token{}
}

// get is the first member of that name, the zero token for none.
func (o members) get(name string) token {
	for i := range o {
		if o[i].name == name {
			return o[i].value
		}
	}
	return token{}
}

// first is the first of several members that is there and not null.
func (o members) first(names ...string) token {
	for _, n := range names {
		if t := o.get(n); t.exists() && !t.isNull() {
			return t
		}
	}
	return token{}
}

// length is how many elements a list has.
func (t token) length() (n int) {
	if !strings.HasPrefix(t.raw, "[") {
		return 0
	}
	c := scanner{s: t.raw}
	for more := c.enter('['); more; more = c.next(']') {
		c.value()
		n++
	}
	return n
}
