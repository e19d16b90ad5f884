package cache

import (
	"strings"
	"unicode"

	"github.com/ollama-rag/ollama-rag/internal/text"
)

// sameNames wants each name of one question in the other, however it is written there. A name is a word with a capital letter that
// does not begin a sentence, or one with a digit or a capital inside it: "iPhone", "HTTP2", "ID-47".
func sameNames(a, b *question) bool {
	return holds(b, names(a.text)) && holds(a, names(b.text))
}

func holds(q *question, names []string) bool {
	for _, name := range names {
		for _, w := range text.AppendWords(nil, name) {
			if w != "s" && q.count[w] == 0 && q.count[w+"s"] == 0 && q.count[strings.TrimSuffix(w, "s")] == 0 {
				return false
			}
		}
	}
	return true
}

// names are the names of a text. One whose every word has a capital is a headline, and says nothing.
func names(s string) []string {
	var out []string
	begins, words := true, 0
	for field := range strings.FieldsSeq(s) {
		core := strings.TrimFunc(field, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.Nd, unicode.M) })
		core = strings.TrimSuffix(strings.TrimSuffix(core, "'s"), "’s") // "holds" passes over the s
		if core != "" {
			words++
			if isName(core, begins) {
				out = append(out, field)
			}
		}
		begins = core == "" && begins || strings.ContainsAny(field[len(field)-1:], ".?!:")
	}
	if words > 2 && len(out) >= words-1 {
		return nil
	}
	return out
}

func isName(word string, begins bool) bool {
	upper, inner, letters, digits := false, false, false, false
	for i, r := range word {
		switch {
		case unicode.IsUpper(r):
			letters = true
			upper = upper || i == 0
			inner = inner || i > 0
		case unicode.IsLetter(r):
			letters = true
		case unicode.IsDigit(r):
			digits = true
		}
	}
	switch {
	case word == "I" || strings.HasPrefix(word, "I'") || strings.HasPrefix(word, "I’"):
		return false
	case letters && digits, inner:
		return true
	}
	return upper && !begins
}
