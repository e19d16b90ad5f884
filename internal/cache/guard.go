package cache

import (
	"golang.org/x/text/unicode/norm"

	"github.com/ollama-rag/ollama-rag/internal/text"
)

// Guard names a rule that two questions must pass before one's answer may serve the other, or "" where they pass all.
type Guard string

// The guards. Each looks at one thing in which questions that are close in meaning have different answers.
const (
	GuardNumbers     Guard = "numbers"     // other numbers, units or dates
	GuardNegation    Guard = "negation"    // one denies or says the opposite
	GuardNames       Guard = "names"       // another name
	GuardComparators Guard = "comparators" // another comparison, or the same one the other way round
	GuardLanguage    Guard = "language"    // another language
)

// Guards lists the guards in the order in which they are asked, the cheap ones first.
func Guards() []Guard {
	return []Guard{GuardNumbers, GuardNegation, GuardComparators, GuardNames, GuardLanguage}
}

// Check says which guard tells two questions apart. The order of the two does not matter.
func Check(a, b string) Guard {
	if a == b {
		return ""
	}
	x, y := read(a), read(b)
	for _, guard := range Guards() {
		if !rules[guard](x, y) {
			return guard
		}
	}
	return ""
}

// rules say whether two questions pass.
var rules = map[Guard]func(a, b *question) bool{
	GuardNumbers: sameNumbers, GuardNegation: sameNegation, GuardNames: sameNames, GuardComparators: sameComparators, GuardLanguage: sameLanguage,
}

// question is what the guards read of a question.
type question struct {
	text  string         // in NFC
	words []string       // in order, folded
	count map[string]int // by word
}

func read(s string) *question {
	s = norm.NFC.String(s)
	q := &question{text: s, words: text.AppendWords(nil, s), count: map[string]int{}}
	for _, w := range q.words {
		q.count[w]++
	}
	return q
}

// has says whether the words of a phrase stand in the question, one after the other.
func (q *question) has(phrase ...string) bool {
	if q.count[phrase[0]] == 0 {
		return false
	}
	for i := range len(q.words) - len(phrase) + 1 {
		j := 0
		for j < len(phrase) && q.words[i+j] == phrase[j] {
			j++
		}
		if j == len(phrase) {
			return true
		}
	}
	return false
}
