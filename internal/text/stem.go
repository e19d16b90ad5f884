package text

import "bytes"

// Stem reduces a folded English word to its stem.
//
// The algorithm is M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, pp. 130-137, with the two revisions
// its author later published and that Lucene's PorterStemFilter has: "bli" becomes "ble" and "logi" becomes "log" in step 2.
// Words of one or two letters stay. Digits and letters beyond ASCII count as consonants.
func Stem(word string) string {
	if len(word) <= 2 {
		return word
	}
	s := stemmer(append(make([]byte, 0, len(word)+2), word...))
	s.plurals()
	s.pastAndGerund()
	s.finalY()
	s.replace(1, suffixes2)
	s.replace(1, suffixes3)
	s.dropSuffix()
	s.tidy()
	if string(s) == word {
		return word
	}
	return string(s)
}

// stemmer is the word as far as it has been stripped.
type stemmer []byte

type suffix struct{ from, to string }

// Of the suffixes of a step the longest that fits decides; where one is the end of another, the longer stands first.
var suffixes2 = []suffix{
	{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"}, {"bli", "ble"}, {"alli", "al"},
	{"entli", "ent"}, {"eli", "e"}, {"ousli", "ous"}, {"ization", "ize"}, {"ation", "ate"}, {"ator", "ate"}, {"alism", "al"},
	{"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"}, {"iviti", "ive"}, {"biliti", "ble"}, {"logi", "log"},
}

var suffixes3 = []suffix{
	{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""},
}

var suffixes4 = []string{
	"al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "sion", "tion", "ou", "ism", "ate", "iti",
	"ous", "ive", "ize",
}

// plurals is step 1a.
func (s *stemmer) plurals() {
	switch w := *s; {
	case !w.ends("s"), w.ends("ss"):
	case w.ends("sses"), w.ends("ies"):
		*s = w[:len(w)-2]
	default:
		*s = w[:len(w)-1]
	}
}

// pastAndGerund is step 1b.
func (s *stemmer) pastAndGerund() {
	w := *s
	if w.ends("eed") {
		if w[:len(w)-3].measure() > 0 {
			*s = w[:len(w)-1]
		}
		return
	}
	var stem stemmer
	switch {
	case w.ends("ed"):
		stem = w[:len(w)-2]
	case w.ends("ing"):
		stem = w[:len(w)-3]
	}
	if !stem.hasVowel() {
		return
	}
	switch last := len(stem) - 1; {
	case stem.ends("at"), stem.ends("bl"), stem.ends("iz"):
		stem = append(stem, 'e')
	case stem.doubleConsonant():
		if c := stem[last]; c != 'l' && c != 's' && c != 'z' {
			stem = stem[:last]
		}
	case stem.measure() == 1 && stem.shortEnd():
		stem = append(stem, 'e')
	}
	*s = stem
}

// finalY is step 1c.
func (s stemmer) finalY() {
	if last := len(s) - 1; s.ends("y") && s[:last].hasVowel() {
		s[last] = 'i'
	}
}

// replace is steps 2 and 3: the suffix that fits gives way if a stem of at least the given measure stands before it.
func (s *stemmer) replace(measure int, suffixes []suffix) {
	for _, suffix := range suffixes {
		if !s.ends(suffix.from) {
			continue
		}
		if stem := (*s)[:len(*s)-len(suffix.from)]; stem.measure() >= measure {
			*s = append(stem, suffix.to...)
		}
		return
	}
}

// dropSuffix is step 4.
func (s *stemmer) dropSuffix() {
	for _, suffix := range suffixes4 {
		if !s.ends(suffix) {
			continue
		}
		drop := len(suffix)
		if suffix == "sion" || suffix == "tion" {
			drop = 3 // the letter before "ion" stays
		}
		if stem := (*s)[:len(*s)-drop]; stem.measure() > 1 {
			*s = stem
		}
		return
	}
}

// tidy is step 5.
func (s *stemmer) tidy() {
	if w := *s; w.ends("e") {
		stem := w[:len(w)-1]
		if m := stem.measure(); m > 1 || m == 1 && !stem.shortEnd() {
			*s = stem
		}
	}
	if w := *s; w.ends("ll") && w.measure() > 1 {
		*s = w[:len(w)-1]
	}
}

func (s stemmer) ends(suffix string) bool { return bytes.HasSuffix(s, []byte(suffix)) }

// consonant says whether letter i is one: not a vowel, and not a y that follows a consonant.
func (s stemmer) consonant(i int) bool {
	switch s[i] {
	case 'a', 'e', 'i', 'o', 'u':
		return false
	case 'y':
		return i == 0 || !s.consonant(i-1)
	}
	return true
}

// measure counts how often vowels are followed by consonants: the m of the paper.
func (s stemmer) measure() (m int) {
	vowel := false
	for i := range s {
		consonant := s.consonant(i)
		if consonant && vowel {
			m++
		}
		vowel = !consonant
	}
	return m
}

func (s stemmer) hasVowel() bool {
	for i := range s {
		if !s.consonant(i) {
			return true
		}
	}
	return false
}

func (s stemmer) doubleConsonant() bool {
	last := len(s) - 1
	return last >= 1 && s[last] == s[last-1] && s[last] < 0x80 && s.consonant(last)
}

// shortEnd says whether the word ends consonant, vowel, consonant, the last not w, x or y: the *o of the paper.
func (s stemmer) shortEnd() bool {
	last := len(s) - 1
	if last < 2 || !s.consonant(last) || s.consonant(last-1) || !s.consonant(last-2) {
		return false
	}
	return s[last] != 'w' && s[last] != 'x' && s[last] != 'y'
}
