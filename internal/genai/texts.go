package genai

import "strings"

// texts keeps texts close together: a few blocks instead of many small strings
// are cheaper to allocate and to walk. A block lives as long as any text in it.
type texts struct{ block strings.Builder }

// blockSize is small: what is left of the last block is lost.
const blockSize = 2 << 10

// keep returns a copy of s.
func (t *texts) keep(s string) string {
	if s == "" {
		return ""
	}
	from := t.room(len(s))
	t.block.WriteString(s)
	return t.block.String()[from:]
}

// read returns the text of a JSON string, "" for any other token.
func (t *texts) read(v token) string {
	switch {
	case !v.isText():
		return ""
	case v.plain:
		return t.keep(v.view())
	}
	from := t.room(len(v.raw))
	unescape(&t.block, v.raw)
	return t.block.String()[from:]
}

// room makes sure that n bytes fit into the block and returns where they begin.
func (t *texts) room(n int) int {
	if t.block.Cap()-t.block.Len() < n {
		t.block = strings.Builder{} // texts in the old one stay
		t.block.Grow(max(n, blockSize))
	}
	return t.block.Len()
}
