package measure

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// articles are left out of normalised texts.
var articles = map[string]bool{"a": true, "an": true, "the": true}

// Words are the words of a text in small letters, without punctuation. A
// hyphen or an apostrophe within a word is punctuation too: "don't" is "dont".
// Linear in the text.
func Words(text string) []string {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range text {
		switch {
		case unicode.IsPunct(r):
		case unicode.IsSymbol(r) && r < utf8.RuneSelf: // $, +, <, =, >, ^, `, |, ~ count as punctuation in the definition
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return strings.Fields(b.String())
}

// Normalise makes small letters, takes out punctuation and the articles a, an,
// the, and leaves one space between words: the normalisation of SQuAD
// (Rajpurkar et al., 2016, evaluate-v1.1). Linear in the text.
func Normalise(text string) string {
	words := Words(text)
	kept := words[:0]
	for _, w := range words {
		if !articles[w] {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

// F1 is the harmonic mean of precision and recall over the words of two
// normalised texts, each word as often as it occurs (SQuAD). Two texts without
// words are equal. Linear in the texts.
func F1(text, expected string) float64 {
	got, want := strings.Fields(Normalise(text)), strings.Fields(Normalise(expected))
	if len(got) == 0 || len(want) == 0 {
		return truth(len(got) == len(want))
	}
	left := make(map[string]int, len(want))
	for _, w := range want {
		left[w]++
	}
	same := 0
	for _, w := range got {
		if left[w] > 0 {
			left[w]--
			same++
		}
	}
	return harmonic(same, len(got), len(want))
}

// RougeL is the F1 of the longest common subsequence of words (Lin, 2004,
// section 3.1, beta = 1), without stemming. It takes time with the product of
// the numbers of words.
func RougeL(text, expected string) float64 {
	got, want := Words(text), Words(expected)
	if len(got) == 0 || len(want) == 0 {
		return truth(len(got) == len(want))
	}
	return harmonic(common(got, want), len(got), len(want))
}

// common is the length of the longest common subsequence.
func common(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// EditDistance is how many characters must be put in, taken out or changed to
// make one text of the other (Levenshtein, 1966). It takes time with the
// product of the lengths.
func EditDistance(a, b string) int { return levenshtein.ComputeDistance(a, b) }

// Similarity is 1 - EditDistance / the length of the longer text, in
// characters; two empty texts are equal.
func Similarity(a, b string) float64 {
	longer := max(utf8.RuneCountInString(a), utf8.RuneCountInString(b))
	if longer == 0 {
		return 1
	}
	return 1 - float64(EditDistance(a, b))/float64(longer)
}

// Overlap is |a ∩ b| / |a ∪ b| (Jaccard, 1901) of two sets; what occurs twice
// counts once. Two empty sets are equal.
func Overlap(a, b []string) float64 {
	in := make(map[string]int, len(a)+len(b))
	for _, x := range a {
		in[x] |= 1
	}
	for _, x := range b {
		in[x] |= 2
	}
	if len(in) == 0 {
		return 1
	}
	both := 0
	for _, m := range in {
		if m == 3 {
			both++
		}
	}
	return float64(both) / float64(len(in))
}

// Coverage is the share of expected that is in got; 1 if nothing is expected.
func Coverage(got, expected []string) float64 {
	have := make(map[string]bool, len(got))
	for _, x := range got {
		have[x] = true
	}
	all, found := map[string]bool{}, 0
	for _, x := range expected {
		if !all[x] {
			all[x] = true
			if have[x] {
				found++
			}
		}
	}
	if len(all) == 0 {
		return 1
	}
	return float64(found) / float64(len(all))
}

func harmonic(same, got, want int) float64 {
	if same == 0 {
		return 0
	}
	precision, recall := float64(same)/float64(got), float64(same)/float64(want)
	return 2 * precision * recall / (precision + recall)
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
