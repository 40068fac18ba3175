package genai

import (
	"strings"
	"unicode/utf8"
)

// Python frameworks that have no JSON for a value show its repr. What is read
// here is what json.dumps would have written of it, exact or nothing: objects,
// sets, bytes and numbers that JSON does not know are nothing, and so is a repr
// that was cut.

// maxPyDepth bounds how deep values are nested.
const maxPyDepth = 64

// pyReader reads reprs from s at i; out is the JSON of what it has read.
type pyReader struct {
	s       string
	i       int
	out     []byte
	objects bool // are read too, see pyObjects
}

// pyJSON is the repr of one Python value as JSON.
func pyJSON(s string) (string, bool) {
	p := pyReader{s: s, out: make([]byte, 0, len(s))}
	p.space()
	if !p.value(0) {
		return "", false
	}
	p.space()
	return string(p.out), p.i == len(s)
}

// pyObjects is the repr of one Python value as JSON, in which dataclasses are
// objects of their fields, members of enums their values, and objects that show
// no more than an address null.
func pyObjects(s string) (string, bool) {
	p := pyReader{s: s, out: make([]byte, 0, len(s)), objects: true}
	p.space()
	if !p.value(0) {
		return "", false
	}
	p.space()
	return string(p.out), p.i == len(s)
}

// pyArgument is one keyword argument of the repr of an object, such as output
// of RunResult(output='Done.', steps=[…]), as JSON. Those before it must be
// values; what follows does not count and may be cut.
func pyArgument(s, class, name string) (string, bool) {
	rest, ok := strings.CutPrefix(s, class+"(")
	if !ok {
		return "", false
	}
	p := pyReader{s: rest}
	for {
		p.space()
		key := p.word()
		if key == "" || !p.take('=') {
			return "", false
		}
		p.out = p.out[:0]
		if !p.value(0) {
			return "", false
		}
		p.space()
		if closed := p.take(')'); closed || !p.take(',') {
			return string(p.out), closed && key == name
		}
		if key == name {
			return string(p.out), true
		}
	}
}

// pyObject says whether a text is the repr of an object: Class(field=….
func pyObject(s string) bool {
	p := pyReader{s: s}
	if s == "" || s[0] < 'A' || s[0] > 'Z' || p.word() == "" || !p.take('(') {
		return false
	}
	return p.word() != "" && p.take('=')
}

func (p *pyReader) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *pyReader) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.i++
	return true
}

func (p *pyReader) space() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\n' || p.s[p.i] == '\t' || p.s[p.i] == '\r') {
		p.i++
	}
}

// word reads a name.
func (p *pyReader) word() string {
	from := p.i
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || p.i == from) {
			break
		}
		p.i++
	}
	return p.s[from:p.i]
}

func (p *pyReader) write(s string) bool {
	p.out = append(p.out, s...)
	return true
}

// value reads what stands next; false = it has no JSON.
func (p *pyReader) value(depth int) bool {
	if depth > maxPyDepth {
		return false
	}
	switch c := p.peek(); {
	case c == '\'' || c == '"':
		return p.text()
	case c == '[':
		return p.list(']', depth)
	case c == '(':
		return p.list(')', depth)
	case c == '{':
		return p.dict(depth)
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	if p.objects && p.peek() == '<' {
		return p.angled(depth + 1)
	}
	switch word := p.word(); word {
	case "b":
		if c := p.peek(); p.objects && (c == '\'' || c == '"') {
			return p.quoted(c) && p.write("null")
		}
		return false
	case "None":
		return p.write("null")
	case "True":
		return p.write("true")
	case "False":
		return p.write("false")
	default:
		return p.objects && word != "" && p.object(depth)
	}
}

// object reads a dataclass. What shows arguments without names is none, and has
// no value.
func (p *pyReader) object(depth int) bool {
	for p.take('.') && p.word() != "" {
	}
	if p.peek() != '(' {
		return false
	}
	next := pyReader{s: p.s, i: p.i + 1}
	if next.space(); next.peek() == ')' || next.word() != "" && next.peek() == '=' {
		return p.fields(depth)
	}
	return p.pass() && p.write("null")
}

// pass passes over what stands in brackets.
func (p *pyReader) pass() bool {
	open := 0
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case '(', '[', '{', '<':
			open++
		case ')', ']', '}', '>':
			open--
		case '\'', '"':
			if !p.quoted(c) {
				return false
			}
			continue
		}
		if p.i++; open == 0 {
			return true
		}
	}
	return false
}

// quoted passes over a string.
func (p *pyReader) quoted(quote byte) bool {
	for p.i++; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '\\':
			p.i++
		case quote:
			p.i++
			return true
		}
	}
	return false
}

// fields reads the fields of a dataclass as an object.
func (p *pyReader) fields(depth int) bool {
	p.i++
	p.write("{")
	for n := 0; ; n++ {
		p.space()
		if p.take(')') {
			return p.write("}")
		}
		if n > 0 {
			p.write(", ")
		}
		name := p.word()
		if name == "" || !p.take('=') {
			return false
		}
		p.write(`"` + name + `": `)
		if !p.value(depth + 1) {
			return false
		}
		p.space()
		if !p.take(',') && p.peek() != ')' {
			return false
		}
	}
}

// angled reads <Role.USER: 'user'>, which is 'user', and <function f at 0x1>,
// which has no value.
func (p *pyReader) angled(depth int) bool {
	p.i++
	from, open := p.i, 1
	for p.word() != "" && p.take('.') {
	}
	if p.i > from && p.take(':') {
		p.space()
		return p.value(depth) && p.take('>')
	}
	for ; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '<':
			open++
		case '>':
			open--
		}
		if open == 0 {
			p.i++
			return p.write("null")
		}
	}
	return false
}

// list reads a list or a tuple. One value in parentheses is no tuple.
func (p *pyReader) list(end byte, depth int) bool {
	p.i++
	p.write("[")
	for n := 0; ; n++ {
		p.space()
		if p.take(end) {
			return p.write("]")
		}
		if n > 0 {
			p.write(", ")
		}
		if !p.value(depth + 1) {
			return false
		}
		p.space()
		switch {
		case p.take(','):
		case p.peek() != end || end == ')' && n == 0:
			return false
		}
	}
}

// dict reads a dict whose keys are texts.
func (p *pyReader) dict(depth int) bool {
	p.i++
	p.write("{")
	for n := 0; ; n++ {
		p.space()
		if p.take('}') {
			return p.write("}")
		}
		if n > 0 {
			p.write(", ")
		}
		if c := p.peek(); c != '\'' && c != '"' || !p.text() {
			return false
		}
		p.space()
		if !p.take(':') {
			return false
		}
		p.write(": ")
		p.space()
		if !p.value(depth + 1) {
			return false
		}
		p.space()
		if !p.take(',') && p.peek() != '}' {
			return false
		}
	}
}

// number reads an int or a float that JSON knows.
func (p *pyReader) number() bool {
	from := p.i
	digits := func() bool {
		n := p.i
		for p.peek() >= '0' && p.peek() <= '9' {
			p.i++
		}
		return p.i > n
	}
	p.take('-')
	if p.peek() == '0' {
		p.i++
	} else if !digits() {
		return false
	}
	if p.take('.') && !digits() {
		return false
	}
	if p.take('e') {
		if !p.take('-') {
			p.take('+')
		}
		if !digits() {
			return false
		}
	}
	switch p.peek() {
	case 0, ' ', '\n', '\t', '\r', ',', ':', ']', ')', '}':
		return p.write(p.s[from:p.i])
	case '>':
		return p.objects && p.write(p.s[from:p.i]) // of an enum
	}
	return false // a complex number, or none at all
}

// text reads a string as JSON.
func (p *pyReader) text() bool {
	quote := p.s[p.i]
	p.i++
	p.write(`"`)
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == quote:
			p.i++
			return p.write(`"`)
		case c == '\\':
			if !p.escape() {
				return false
			}
			continue
		case c < ' ':
			return false // repr never shows these as they are
		case c == '"':
			p.write(`\`)
		}
		p.out = append(p.out, c)
		p.i++
	}
	return false
}

// escape reads an escape sequence.
func (p *pyReader) escape() bool {
	if p.i+1 >= len(p.s) {
		return false
	}
	c := p.s[p.i+1]
	p.i += 2
	switch c {
	case '\\', '"':
		p.out = append(p.out, '\\', c)
	case '\'':
		p.out = append(p.out, c)
	case 'n', 'r', 't':
		p.out = append(p.out, '\\', c)
	case 'x':
		return p.code(2)
	case 'u':
		return p.code(4)
	case 'U':
		return p.code(8)
	default:
		return false
	}
	return true
}

// code reads a character by its number of some hex digits.
func (p *pyReader) code(digits int) bool {
	if p.i+digits > len(p.s) {
		return false
	}
	r := rune(0)
	for range digits {
		n := hexDigit(p.s[p.i])
		if n < 0 || r > utf8.MaxRune {
			return false
		}
		r = r<<4 | n
		p.i++
	}
	if !utf8.ValidRune(r) {
		return false // half a surrogate pair is no text
	}
	if r == '"' || r == '\\' {
		p.out = append(p.out, '\\', byte(r))
		return true
	}
	if r < ' ' {
		const hex = "0123456789abcdef"
		p.out = append(p.out, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		return true
	}
	p.out = utf8.AppendRune(p.out, r)
	return true
}

func hexDigit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	}
	return -1
}
