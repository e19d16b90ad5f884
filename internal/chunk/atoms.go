package chunk

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/text"
)

// border is how good a place for a cut is; the better the greater.
type border int8

const (
	glued     border = iota // after a heading: what it heads must follow
	word                    // between words of a sentence, or inside an endless word
	sentence                // between sentences, lines of code, rows of a table
	paragraph               // between blocks
	section                 // before a heading
)

// atom is a piece of text that is not cut any more: at most size characters, no white space at its ends.
type atom struct {
	start, end int    // bytes
	from, to   int    // the same in characters from the start of the text
	before     border // what a cut in front of it would be
	level      int    // of the heading that it is; 0: none
}

// sane leaves out headings that lie outside the text, out of order or over each other.
func sane(s string, headings []rag.Heading) []rag.Heading {
	var kept []rag.Heading
	last := 0
	for _, h := range headings {
		a, b := h.Span.Start, h.Span.End
		if a < last || b <= a || b > len(s) || !utf8.RuneStart(s[a]) || b < len(s) && !utf8.RuneStart(s[b]) {
			continue
		}
		h.Level = max(h.Level, 1)
		kept = append(kept, h)
		last = b
	}
	return kept
}

// splitter collects atoms in the order of the text.
type splitter struct {
	text  string
	size  int
	atoms []atom
	bytes int // how far characters are counted
	chars int
}

// split takes a text apart.
func split(s string, headings []rag.Heading, size int) []atom {
	sp := &splitter{text: s, size: size}
	at := 0
	for _, h := range headings {
		sp.blocks(at, h.Span.Start)
		sp.heading(h)
		at = h.Span.End
	}
	sp.blocks(at, len(s))
	return sp.atoms
}

func (sp *splitter) heading(h rag.Heading) {
	n := len(sp.atoms)
	sp.prose(h.Span.Start, h.Span.End, section)
	if len(sp.atoms) == n+1 { // one that had to be cut up is no heading to keep whole
		sp.atoms[n].level = h.Level
	}
}

// add makes an atom of text[start:end] less the white space around it.
func (sp *splitter) add(start, end int, before border) {
	s := sp.text[start:end]
	start += len(s) - len(strings.TrimLeftFunc(s, unicode.IsSpace))
	end = start + len(strings.TrimSpace(s))
	if start >= end {
		return
	}
	from := sp.charsTo(start)
	to := sp.charsTo(end)
	if n := len(sp.atoms); n > 0 && sp.atoms[n-1].level > 0 && before < section {
		before = glued
	}
	sp.atoms = append(sp.atoms, atom{start: start, end: end, from: from, to: to, before: before})
}

// charsTo counts the characters before byte at, which never goes back.
func (sp *splitter) charsTo(at int) int {
	sp.chars += utf8.RuneCountInString(sp.text[sp.bytes:at])
	sp.bytes = at
	return sp.chars
}

func (sp *splitter) fits(start, end int) bool {
	return end-start <= sp.size || utf8.RuneCountInString(sp.text[start:end]) <= sp.size
}

// prose takes running text apart: into sentences, and those that are too long into words.
func (sp *splitter) prose(start, end int, before border) {
	for r := range text.Sentences(sp.text[start:end]) {
		a, b := start+r[0], start+r[1]
		if sp.fits(a, b) {
			sp.add(a, b, before)
		} else {
			sp.words(a, b, before)
		}
		before = sentence
	}
}

// words fills atoms with as many words as fit. A word longer than size is cut where it hurts least.
func (sp *splitter) words(start, end int, before border) {
	for start < end {
		stop := start
		for n := 0; n < sp.size && stop < end; n++ {
			_, w := utf8.DecodeRuneInString(sp.text[stop:end])
			stop += w
		}
		if stop < end {
			stop = start + lastCut(sp.text[start:end], stop-start)
		}
		sp.add(start, stop, before)
		before = word
		start = stop
		for start < end {
			r, w := utf8.DecodeRuneInString(sp.text[start:end])
			if !unicode.IsSpace(r) {
				break
			}
			start += w
		}
	}
}

// lastCut is the last good place to cut s at or before limit, which is inside s: at white space, else behind punctuation, else
// in front of a character that does not belong to the one before.
func lastCut(s string, limit int) int {
	if r, _ := utf8.DecodeRuneInString(s[limit:]); unicode.IsSpace(r) {
		return limit
	}
	if i := strings.LastIndexFunc(s[:limit], unicode.IsSpace); i > 0 {
		return i
	}
	if i := strings.LastIndexFunc(s[:limit], breaksAfter); i > limit/2 {
		_, w := utf8.DecodeRuneInString(s[i:])
		return i + w
	}
	for cut := limit; cut > 0; {
		r, _ := utf8.DecodeRuneInString(s[cut:])
		before, w := utf8.DecodeLastRuneInString(s[:cut])
		if !unicode.IsMark(r) && r != '\u200D' && before != '\u200D' {
			return cut
		}
		cut -= w
	}
	return limit
}

func breaksAfter(r rune) bool {
	return strings.ContainsRune("，、；：,;:/|。！？)）」』】", r)
}
