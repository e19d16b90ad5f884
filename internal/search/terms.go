package search

import (
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/text"
)

// family is a way of making terms of words. Each passage belongs to one; a question is asked in all of them, so that it need
// not be known in which language it is put.
type family int

const (
	english  family = iota // stop words left out, Porter stems
	plain                  // words as they are
	families = 2
)

// The terms of a family are kept apart from all others by their first byte. An accented word has a second term, without its
// accents, which does not count as part of the passage's length.
var (
	exactPrefix  = [families]string{english: "e", plain: "w"}
	foldedPrefix = [families]string{english: "E", plain: "W"}
)

// form is the form of a folded word that the family indexes, "" where it leaves the word out.
func (f family) form(word string) string {
	if f == plain {
		return word
	}
	if text.IsStop(word) {
		return ""
	}
	return text.Stem(word)
}

// exact is the term of a word as it is written, "" where the family leaves it out.
func (f family) exact(word string) string {
	if form := f.form(word); form != "" {
		return exactPrefix[f] + form
	}
	return ""
}

// folded is the term of a word whose accents were taken off.
func (f family) folded(bare string) string {
	if form := f.form(bare); form != "" {
		return foldedPrefix[f] + form
	}
	return ""
}

// familyOf decides how a passage is indexed. Where no language could be told, a text in plain letters is taken for English.
func familyOf(p *rag.Passage) family {
	switch p.Language {
	case "en":
		return english
	case "", text.Unknown:
		if mostlyASCII(p.Text) {
			return english
		}
	}
	return plain
}

func mostlyASCII(s string) bool {
	beyond := 0
	for i := range len(s) {
		if s[i] >= 0x80 {
			beyond++
		}
	}
	return beyond*10 <= len(s)
}

// eachField yields the pieces of a passage that are searched as one: title, headings, text. A title or heading that is the first
// line of the text, or was there before, is not counted twice.
func eachField(p *rag.Passage, yield func(string)) {
	first, _, _ := strings.Cut(strings.TrimLeft(p.Text, "# \t\r\n"), "\n")
	first = strings.TrimSpace(first)
	title := strings.TrimSpace(p.Title)
	if title != first {
		yield(title)
	}
	for heading := range strings.SplitSeq(p.Heading, " > ") {
		if heading = strings.TrimSpace(heading); heading != title && heading != first {
			yield(heading)
		}
	}
	yield(p.Text)
}
