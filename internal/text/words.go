package text

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold brings text into the form in which words are compared: NFC, lower case, without characters that only steer line
// breaking. The NFC and NFD forms of a text fold to the same string. It does not allocate when there is nothing to do.
func Fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return strings.Map(foldRune, norm.NFC.String(s))
}

func foldRune(r rune) rune {
	switch r {
	case '\u00ad', '\u200c', '\u200d', '\u2060', '\ufeff': // soft hyphen, joiners, byte order mark
		return -1
	case 'ς': // the same letter at a word's end
		return 'σ'
	}
	return unicode.ToLower(r)
}

// AppendWords appends the words of text to dst, in order, folded. A word is a run of letters, digits and marks. An identifier
// joined by underscores yields its parts and then itself, so that either finds it. A run in a script without spaces yields
// overlapping pairs of characters, or the character if it is alone.
//
// The words share the memory of one folded copy of text: clone those that are kept.
func AppendWords(dst []string, text string) []string {
	s := Fold(text)
	for i := 0; i < len(s); {
		class, size := classAt(s, i)
		switch class {
		case classWord:
			dst, i = appendRun(dst, s, i)
		case classPair:
			dst, i = appendPairs(dst, s, i)
		default:
			i += size
		}
	}
	return dst
}

// appendRun appends the word, or the parts of the identifier, that starts at i, and says where it ends.
func appendRun(dst []string, s string, i int) ([]string, int) {
	start, part, parts := i, i, 0
	for i < len(s) {
		class, size := classAt(s, i)
		if class == classJoin {
			if i > part {
				dst, parts = append(dst, s[part:i]), parts+1
			}
			part = i + size
		} else if class != classWord {
			break
		}
		i += size
	}
	if i > part {
		dst, parts = append(dst, s[part:i]), parts+1
	}
	if whole := strings.TrimRight(s[start:i], "_"); parts > 1 {
		dst = append(dst, whole)
	}
	return dst, i
}

// appendPairs appends the overlapping pairs of the run without spaces that starts at i, and says where it ends.
func appendPairs(dst []string, s string, i int) ([]string, int) {
	start, before, n := i, i, 0
	for i < len(s) {
		class, size := classAt(s, i)
		if class != classPair {
			break
		}
		if n++; n > 1 {
			dst = append(dst, s[before:i+size])
		}
		before, i = i, i+size
	}
	if n == 1 {
		dst = append(dst, s[start:i])
	}
	return dst, i
}

// The classes of characters that make and part words.
const (
	classNone = iota // parts words
	classWord        // letters, digits, marks
	classJoin        // the underscore, inside identifiers
	classPair        // letters of scripts without spaces
)

// classAt gives the class and the size in bytes of the character at s[i].
func classAt(s string, i int) (class uint8, size int) {
	if c := s[i]; c < utf8.RuneSelf {
		return asciiClass(c), 1
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	if r < 1<<16 {
		return planeClasses()[r], size
	}
	return runeClass(r), size
}

func asciiClass(c byte) uint8 {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', 'A' <= c && c <= 'Z':
		return classWord
	case c == '_':
		return classJoin
	}
	return classNone
}

// planeClasses holds the class of each character of the basic plane: looking into Unicode's tables for each letter would cost
// more than everything else here.
var planeClasses = sync.OnceValue(func() *[1 << 16]uint8 {
	var classes [1 << 16]uint8
	mark := func(class uint8, tables ...*unicode.RangeTable) {
		for _, table := range tables {
			for _, r := range table.R16 {
				for c := int(r.Lo); c <= int(r.Hi); c += int(r.Stride) {
					classes[c] = class
				}
			}
		}
	}
	mark(classWord, unicode.L, unicode.N, unicode.M)
	mark(classPair, unspaced...)
	classes['ー'] = classPair // lengthens a Japanese vowel, belongs to no script
	classes['_'] = classJoin
	classes[utf8.RuneError] = classNone
	return &classes
})

// unspaced are the scripts whose words are not parted by spaces, and Korean.
var unspaced = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

func runeClass(r rune) uint8 {
	switch {
	case unicode.IsOneOf(unspaced, r):
		return classPair
	case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r):
		return classWord
	}
	return classNone
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
