package text

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sentences yields the sentences of text as half-open ranges of bytes, in order, without the space around them; together they
// hold everything that is not space. A sentence ends at . ! ? or … followed by space, at the full stops of Chinese, Japanese
// and Indic scripts, at an empty line, and before a list item or heading. Abbreviations, initials and decimals do not end one.
func Sentences(text string) iter.Seq[[2]int] {
	return func(yield func([2]int) bool) {
		for start := skipSpace(text, 0); start < len(text); {
			end := sentenceEnd(text, start)
			last := start + len(strings.TrimRightFunc(text[start:end], unicode.IsSpace))
			if !yield([2]int{start, last}) {
				return
			}
			start = skipSpace(text, end)
		}
	}
}

// sentenceEnd gives the end of the sentence that starts at start.
func sentenceEnd(text string, start int) int {
	for i := start; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch r {
		case '\n':
			if i > start && newBlock(text[i+size:]) {
				return i
			}
		case '。', '！', '？', '｡', '।', '॥', '۔', '؟':
			return closeQuotes(text, i+size)
		case '.', '!', '?', '…':
			end := closeQuotes(text, skipStops(text, i))
			if end == len(text) || isSpaceAt(text, end) && !(r == '.' && goesOn(text[start:i], text[end:])) {
				return end
			}
			i = end
			continue
		}
		i += size
	}
	return len(text)
}

// newBlock says whether what follows a line break is an empty line, a list item, a heading or a table row.
func newBlock(rest string) bool {
	rest = strings.TrimLeft(rest, " \t\r")
	switch {
	case rest == "":
		return true
	case strings.ContainsRune("\n#|", rune(rest[0])):
		return true
	case strings.HasPrefix(rest, "- "), strings.HasPrefix(rest, "* "), strings.HasPrefix(rest, "+ "), strings.HasPrefix(rest, "• "):
		return true
	}
	digits := 0
	for digits < len(rest) && digits < 3 && '0' <= rest[digits] && rest[digits] <= '9' {
		digits++
	}
	return digits > 0 && (strings.HasPrefix(rest[digits:], ". ") || strings.HasPrefix(rest[digits:], ") "))
}

// goesOn says whether a full stop between before and after ends no sentence: what stands before is an initial, a list number or
// an abbreviation, or what follows begins with a small letter.
func goesOn(before, after string) bool {
	next, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(after, unicode.IsSpace))
	if unicode.IsLower(next) {
		return true
	}
	at := strings.LastIndexFunc(before, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("([{\"'“‘", r) })
	word := before[at+1:]
	if at >= 0 {
		_, size := utf8.DecodeRuneInString(before[at:])
		word = before[at+size:]
	}
	if r, size := utf8.DecodeRuneInString(word); size == len(word) && unicode.IsUpper(r) {
		return true
	}
	if at < 0 && word != "" && strings.Trim(word, "0123456789") == "" {
		return true
	}
	return isAbbreviation(strings.ToLower(word))
}

// isAbbreviation says whether a full stop after the lower-cased word belongs to the word.
func isAbbreviation(word string) bool {
	switch word {
	case "mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "vs", "etc", "fig", "figs", "eq", "no", "nos", "vol", "pp", "ed", "eds",
		"al", "cf", "ca", "approx", "dept", "est", "inc", "ltd", "co", "corp", "gen", "col", "sgt", "capt", "lt", "rev", "hon", "gov",
		"e.g", "i.e", "u.s", "u.k", "a.m", "p.m", "ph.d", "z.b", "d.h", "bzw", "usw", "nr", "str", "mme", "mlle", "sra", "tp", "ts",
		"ths", "gs", "pgs", "q", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec":
		return true
	}
	return false
}

func skipStops(text string, i int) int {
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r != '.' && r != '!' && r != '?' && r != '…' {
			break
		}
		i += size
	}
	return i
}

func closeQuotes(text string, i int) int {
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		if !strings.ContainsRune(`"')]}”’»」』）】》`, r) {
			break
		}
		i += size
	}
	return i
}

func skipSpace(text string, i int) int {
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		if !unicode.IsSpace(r) {
			break
		}
		i += size
	}
	return i
}

func isSpaceAt(text string, i int) bool {
	r, _ := utf8.DecodeRuneInString(text[i:])
	return unicode.IsSpace(r)
}
