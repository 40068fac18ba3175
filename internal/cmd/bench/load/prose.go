package load

import (
	"math/rand/v2"
	"strings"
)

// vocabulary is made-up words. Common ones are common, so that texts compress
// about as a language does.
var vocabulary = func() []string {
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // reproducible
	syllables := strings.Fields("an ber bu con ce da del el es fi fo gar gen ho hul in is jo ka kem lo lir ment mo no nu or ost pre pi qui ra res sta su ti tor un ur ver vo wa wel xi yo ze")
	words := make([]string, 30_000)
	for i := range words {
		for range 1 + r.IntN(3) {
			words[i] += syllables[r.IntN(len(syllables))]
		}
	}
	return words
}()

// prose is a text of so many bytes: sentences, in paragraphs.
func prose(r *rand.Rand, size int) string {
	var b strings.Builder
	for sentence := 1; b.Len() < size; sentence++ {
		for i := range 6 + r.IntN(9) {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(word(r))
		}
		if sentence%5 == 0 {
			b.WriteString(".\n\n")
		} else {
			b.WriteString(". ")
		}
	}
	return b.String()[:size]
}

func word(r *rand.Rand) string {
	x := r.Float64()
	return vocabulary[int(float64(len(vocabulary))*x*x)]
}

// token is n random letters and digits.
func token(r *rand.Rand, n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}
