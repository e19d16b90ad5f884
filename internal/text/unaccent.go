package text

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Unaccent gives a folded word without its diacritics: what is typed on a keyboard that has none. Letters that are no base
// with a mark get their usual spelling: đ d, ø o, ł l, ß ss, æ ae. Only scripts where a mark is an addition lose it (Latin,
// Greek, Cyrillic, Hebrew, Arabic); where it is the vowel itself, as in Hindi or Thai, it stays. A word that has nothing to
// lose is returned as it is, without allocating.
func Unaccent(word string) string {
	if isASCII(word) {
		return word
	}
	var b strings.Builder
	strips := false // whether the last base letter loses its marks
	for _, r := range norm.NFD.String(word) {
		if unicode.Is(unicode.Mn, r) {
			if !strips {
				b.WriteRune(r)
			}
			continue
		}
		strips = r < 0x80 || unicode.IsOneOf(accented, r)
		if plain := spelling(r); plain != "" {
			b.WriteString(plain)
		} else {
			b.WriteRune(r)
		}
	}
	if plain := norm.NFC.String(b.String()); plain != word {
		return plain
	}
	return word
}

// accented are the scripts whose marks may be left out in writing.
var accented = []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Hebrew, unicode.Arabic}

// spelling gives the plain spelling of letters that Unicode does not decompose, "" for all others.
func spelling(r rune) string {
	switch r {
	case 'đ', 'ð':
		return "d"
	case 'ø':
		return "o"
	case 'ł':
		return "l"
	case 'ħ':
		return "h"
	case 'ı':
		return "i"
	case 'ß':
		return "ss"
	case 'æ':
		return "ae"
	case 'œ':
		return "oe"
	case 'þ':
		return "th"
	}
	return ""
}
