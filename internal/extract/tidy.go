package extract

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// tidy brings a text into the form that all texts have: NFC, \n for line breaks, no control characters except tab, no byte
// order marks, valid UTF-8. A text that has it already comes back as it is.
func tidy(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexFunc(s, untidy) >= 0 {
		s = lineBreaks.Replace(s)
		s = strings.Map(func(r rune) rune {
			if untidy(r) {
				return -1
			}
			return r
		}, s)
	}
	return norm.NFC.String(s)
}

var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func untidy(r rune) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case r < 0x20, 0x7F <= r && r < 0xA0:
		return true
	}
	// Byte order marks, line separators, noncharacters; soft hyphens would hide words from search.
	return r == '\uFEFF' || r == '\u2028' || r == '\u2029' || r == '\u00AD' || r&0xFFFE == 0xFFFE || 0xFDD0 <= r && r <= 0xFDEF
}

// oneLine folds all white space of s into single spaces.
func oneLine(s string) string { return strings.Join(strings.Fields(tidy(s)), " ") }

// looksBinary says whether data is no text in any encoding that is tried: it holds bytes that texts do not.
func looksBinary(data []byte) bool {
	sample := data[:min(len(data), 64<<10)]
	odd := 0
	for _, b := range sample {
		if b == 0 {
			return true
		}
		if b < 0x20 && b != '\n' && b != '\r' && b != '\t' && b != '\f' && b != '\v' && b != 0x1B && b != 0x1A {
			odd++
		}
	}
	return odd*50 > len(sample)
}

// hasText says whether s holds anything that a reader would see.
func hasText(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) >= 0
}
