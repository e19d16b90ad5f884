package text

import (
	"math/bits"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Unknown is what Language says of a text that does not show its language.
const Unknown = "unknown"

// languageSample is how many bytes of a text are looked at.
const languageSample = 16 << 10

// Language tells the language of a text as an ISO 639-1 code, or Unknown. The script decides first, then letters that one
// language alone uses, and among languages in plain Latin letters their commonest words. A short text in plain letters that
// has too few of them is Unknown rather than guessed.
func Language(text string) string {
	sample := norm.NFC.String(cut(text, languageSample))
	census := countLetters(sample)
	switch {
	case census.letters == 0:
		return Unknown
	case census.latin*2 < census.letters:
		return census.byScript()
	}
	return latinLanguage(sample)
}

// cut shortens s to at most n bytes, at a character's edge.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// census counts the letters of a text by script.
type census struct {
	letters int // all of them, a CJK character for two
	latin   int
	scripts [numScripts]int
	marks   map[rune]int // letters beyond ASCII, for languages that share a script
}

func countLetters(s string) census {
	c := census{marks: map[rune]int{}}
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
			c.latin++
			c.letters++
		case r < utf8.RuneSelf || !unicode.IsLetter(r):
		case unicode.Is(unicode.Latin, r):
			c.latin++
			c.letters++
		default:
			weight := 1
			if i := scriptOf(r); i >= 0 {
				if scripts[i].dense {
					weight = 2
				}
				c.scripts[i] += weight
			}
			c.letters += weight
			c.marks[unicode.ToLower(r)]++
		}
	}
	return c
}

// byScript names the language of a text that is not mostly Latin.
func (c census) byScript() string {
	best := 0
	for i, n := range c.scripts {
		if n > c.scripts[best] {
			best = i
		}
	}
	if c.scripts[best] == 0 {
		return Unknown
	}
	switch code := scripts[best].code; code {
	case "zh", "ja": // Japanese has kana among its characters, Chinese none
		if kana := c.scripts[scriptKana]; kana*20 > c.scripts[scriptHan] {
			return "ja"
		}
		return "zh"
	case "ru":
		return c.cyrillic()
	case "ar":
		return c.arabic()
	default:
		return code
	}
}

// cyrillic tells languages apart by the letters that only one of them has.
func (c census) cyrillic() string {
	switch m := c.marks; {
	case m['ў'] > 0:
		return "be"
	case m['ї']+m['є']+m['ґ'] > 0, m['і'] > 0 && m['ы'] == 0:
		return "uk"
	case m['ѓ']+m['ќ']+m['ѕ'] > 0:
		return "mk"
	case m['ђ']+m['ћ']+m['љ']+m['њ'] > 0:
		return "sr"
	case m['ә']+m['қ']+m['ұ'] > 0:
		return "kk"
	case m['ы']+m['э']+m['ё'] == 0 && m['ъ']*100 > c.scripts[scriptCyrillic]:
		return "bg"
	}
	return "ru"
}

func (c census) arabic() string {
	switch m := c.marks; {
	case m['ٹ']+m['ڈ']+m['ڑ']+m['ے']+m['ں'] > 0:
		return "ur"
	case (m['پ']+m['چ']+m['ژ']+m['گ']+m['ی']+m['ک'])*50 > c.scripts[scriptArabic]:
		return "fa"
	}
	return "ar"
}

// latinLanguage names the language of a text in Latin letters.
func latinLanguage(sample string) string {
	words := AppendWords(nil, sample)
	if len(words) == 0 {
		return Unknown
	}
	if vietnamese := countVietnamese(words); vietnamese*5 >= len(words) && vietnamese > 0 {
		return "vi"
	}
	counts := map[string]int{}
	for _, word := range words {
		counts[word]++
	}
	var evidence [len(latin)]evidence
	table := commonWords()
	for word, count := range counts {
		mask := table[word]
		for i := range latin {
			if mask>>i&1 == 1 {
				evidence[i].add(count, bits.OnesCount32(mask))
			}
			if letters := latin[i].letters; letters != "" && !isASCII(word) && strings.ContainsAny(word, letters) {
				evidence[i].letters++
			}
		}
	}
	return clearWinner(evidence[:], len(words))
}

// evidence is what speaks for a language. Whole numbers keep it independent of the order in which words are counted.
type evidence struct {
	words   int // different common words found
	covers  int // words of the text that are common words
	points  int // of the common words found; one shared by n languages counts 1/n of pointsPerWord
	letters int // different words with one of the language's letters
}

const (
	pointsPerWord = 5040 // divisible by all small numbers
	mostRepeats   = 3    // occurrences of a word that count: a name is no language
)

func (e *evidence) add(count, languages int) {
	e.words++
	e.covers += count
	e.points += min(count, mostRepeats) * pointsPerWord / languages
}

func (e *evidence) score() int { return e.points + e.letters*pointsPerWord/2 }

// clearWinner names the best language if it has enough evidence and is ahead of the next.
func clearWinner(all []evidence, words int) string {
	best, next := 0, -1
	for i := 1; i < len(all); i++ {
		if all[i].score() > all[best].score() {
			best, next = i, best
		} else if next < 0 || all[i].score() > all[next].score() {
			next = i
		}
	}
	const (
		fewestWords = 2                       // different common words
		leastScore  = 13 * pointsPerWord / 10 // shared words counting less
		leastShare  = 8                       // percent of the text's words that are common ones
		lead        = 115                     // percent of the next language's score
	)
	e := all[best]
	enough := e.words >= fewestWords && e.score() >= leastScore && e.covers*100 >= leastShare*words
	if !enough || e.score()*100 < lead*all[next].score() {
		return Unknown
	}
	return latin[best].code
}

// countVietnamese counts words with a letter that hardly any other language has: horns, and marks over marks.
func countVietnamese(words []string) (n int) {
	for _, word := range words {
		if isASCII(word) {
			continue
		}
		for _, r := range word {
			if 'ạ' <= r && r <= 'ỹ' || r == 'ơ' || r == 'ư' || r == 'đ' || r == 'ă' {
				n++
				break
			}
		}
	}
	return n
}

// commonWords maps each common word to the languages that have it, a bit for each.
var commonWords = sync.OnceValue(func() map[string]uint32 {
	table := map[string]uint32{}
	for i, language := range latin {
		for word := range strings.FieldsSeq(language.words) {
			table[word] |= 1 << i
		}
	}
	return table
})
