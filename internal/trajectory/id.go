package trajectory

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// IDOf is the trajectory id for a seed: the hex of the first-seen trace id, or
// an explicit rollout id. 32 hex digits.
func IDOf(seed string) string {
	sum := sha256.Sum256([]byte("tracegrad/trajectory/1\x00" + seed))
	return hex.EncodeToString(sum[:16])
}

// TaskKeyOf is the default task key: a hash of the input with what differs
// between attempts at the same task masked by [MaskInput]. "" for no input.
func TaskKeyOf(input string) string {
	if strings.TrimSpace(input) == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(MaskInput(input)))
	return hex.EncodeToString(sum[:8])
}

// MaskInput normalises an input: bracketed tags and words that hold a digit
// (ids, numbers, dates) become "#", white space is folded, letters are lower
// case.
func MaskInput(input string) string {
	b := make([]byte, 0, len(input))
	for word := range strings.FieldsSeq(stripTags(input)) {
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = appendMasked(b, word)
	}
	return string(b)
}

// appendMasked appends a word as MaskInput shows it; most are letters.
func appendMasked(dst []byte, word string) []byte {
	from := len(dst)
	for i := range len(word) {
		c := word[i]
		if c >= utf8.RuneSelf || '0' <= c && c <= '9' {
			return append(dst[:from], maskWord(word)...)
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

func maskWord(word string) string {
	if strings.ContainsFunc(word, unicode.IsDigit) {
		// Punctuation at the end belongs to the sentence, not to the id.
		r, n := utf8.DecodeLastRuneInString(word)
		if unicode.IsPunct(r) && len(word) > n {
			return "#" + word[len(word)-n:]
		}
		return "#"
	}
	return strings.ToLower(word)
}

// stripTags removes [tags] of up to 80 bytes without nested brackets.
func stripTags(s string) string {
	if !strings.Contains(s, "[") {
		return s
	}
	var b strings.Builder
	for {
		open := strings.IndexByte(s, '[')
		if open < 0 {
			b.WriteString(s)
			return b.String()
		}
		end := strings.IndexAny(s[open+1:], "[]")
		if end < 0 || end > 80 || s[open+1+end] != ']' {
			b.WriteString(s[:open+1])
			s = s[open+1:]
			continue
		}
		b.WriteString(s[:open])
		s = s[open+1+end+1:]
	}
}
