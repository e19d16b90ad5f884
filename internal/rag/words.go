package rag

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// words splits text into lower-cased words and numbers; a character of a script without spaces is a word of its own.
// A claim's numbers can be compared: "3.5" stays whole, "1,000" is "1000", and "5MB" is "5" and "mb".
func words(text string) []string {
	var out []string
	var word []byte
	flush := func() {
		if len(word) > 0 {
			out = append(out, string(word))
			word = word[:0]
		}
	}
	for i, r := range text {
		switch {
		case r > unicode.MaxASCII && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
			flush()
			out = append(out, string(r))
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			if number := len(word) > 0 && word[0] >= '0' && word[0] <= '9'; len(word) > 0 && number != (r >= '0' && r <= '9') && !unicode.IsMark(r) {
				flush()
			}
			word = utf8.AppendRune(word, unicode.ToLower(r))
		case r == ',' && digitAt(text, i-1) && thousandAt(text, i+1):
		case (r == '.' || r == ',') && digitAt(text, i-1) && digitAt(text, i+1):
			word = utf8.AppendRune(word, r)
		default:
			flush()
		}
	}
	flush()
	return out
}

func digitAt(s string, i int) bool { return i >= 0 && i < len(s) && s[i] >= '0' && s[i] <= '9' }

// thousandAt says whether exactly three digits begin at i.
func thousandAt(s string, i int) bool {
	return digitAt(s, i) && digitAt(s, i+1) && digitAt(s, i+2) && !digitAt(s, i+3)
}

func isNumber(word string) bool { return digitAt(word, 0) }

// functionWords say nothing about whether a passage supports a claim.
var functionWords = wordSet(`a an and are as at be been but by can do does for from had has have how if in into is it its
of on or so such than that the their then there these they this to was were what when where which who why will with would you your
là và của có các cho được trong một những với không này khi từ đến để thì mà ở`)

func wordSet(list string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		set[w] = true
	}
	return set
}

// contentWords are the distinct words of text that carry meaning.
func contentWords(text string) []string {
	var out []string
	seen := map[string]bool{}
	for _, w := range words(text) {
		if !functionWords[w] && !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	return out
}

// sentences gives the byte ranges of text's sentences, trimmed of white space. A sentence ends at a stop followed by white
// space or the end, at a stop of a script without spaces, and at a line break.
func sentences(text string) []Span {
	var out []Span
	start := 0
	cut := func(end int) {
		s, e := start, end
		for s < e && asciiSpace(text[s]) {
			s++
		}
		for e > s && asciiSpace(text[e-1]) {
			e--
		}
		if e > s {
			out = append(out, Span{s, e})
		}
		start = end
	}
	for i, r := range text {
		next := i + utf8.RuneLen(r) // wrong for broken bytes, which are no stops
		switch r {
		case '\n', '。', '！', '？':
			cut(next)
		case '.', '!', '?':
			if next >= len(text) || asciiSpace(text[next]) {
				cut(next)
			}
		}
	}
	cut(len(text))
	return out
}

func asciiSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }

// overlap is the share of want that has knows, 0 to 1; 0 for an empty want.
func overlap(want []string, has func(string) bool) float64 {
	if len(want) == 0 {
		return 0
	}
	n := 0
	for _, w := range want {
		if has(w) {
			n++
		}
	}
	return float64(n) / float64(len(want))
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, w := range list {
		set[w] = true
	}
	return set
}

// bestSentence is the sentence of passage that shares most with the wanted words; the first one where none shares any.
func bestSentence(passage string, want []string) (Span, float64) {
	best, score := Span{0, 0}, -1.0
	for _, s := range sentences(passage) {
		list := words(passage[s.Start:s.End]) // short: reading it is faster than making a set of it
		if o := overlap(want, func(w string) bool { return slices.Contains(list, w) }); o > score {
			best, score = s, o
		}
	}
	return best, max(score, 0)
}
