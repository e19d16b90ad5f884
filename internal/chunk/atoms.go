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
	if utf8.RuneCountInString(sp.text[h.Span.Start:h.Span.End]) > sp.size { // it has to be cut up, as any other text
		sp.prose(h.Span.Start, h.Span.End, section)
		return
	}
	n := len(sp.atoms)
	sp.add(h.Span.Start, h.Span.End, section)
	if len(sp.atoms) > n {
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
	room := sp.room(start)
	return end-start <= room || utf8.RuneCountInString(sp.text[start:end]) <= room
}

// room is how many characters an atom at start may have: size, less the headings in front of it, which it must go with. Where
// they would leave it under half of size, they stand alone.
func (sp *splitter) room(start int) int {
	first := len(sp.atoms)
	for first > 0 && sp.atoms[first-1].level > 0 {
		first--
	}
	if first == len(sp.atoms) {
		return sp.size
	}
	last := sp.atoms[len(sp.atoms)-1]
	room := sp.size - (last.to - sp.atoms[first].from) - utf8.RuneCountInString(sp.text[last.end:start])
	if room < sp.size/2 || room < 1 {
		return sp.size
	}
	return room
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
	for {
		start += len(sp.text[start:end]) - len(strings.TrimLeftFunc(sp.text[start:end], unicode.IsSpace))
		if start == end {
			return
		}
		stop := sp.lastWord(start, end, sp.room(start))
		if stop < end && !spaceAt(sp.text, stop) {
			stop = sp.lastWord(start, end, sp.size) // rather a heading alone than a cut word
		}
		sp.add(start, stop, before)
		before = word
		start = stop
	}
}

// lastWord is where a piece of text[start:end] with room for so many characters ends.
func (sp *splitter) lastWord(start, end, room int) int {
	stop := start
	for n := 0; n < room && stop < end; n++ {
		_, w := utf8.DecodeRuneInString(sp.text[stop:end])
		stop += w
	}
	if stop == end {
		return end
	}
	return start + lastCut(sp.text[start:end], stop-start)
}

func spaceAt(s string, i int) bool {
	r, _ := utf8.DecodeRuneInString(s[i:])
	return unicode.IsSpace(r)
}

// lastCut is the last good place to cut s at or before limit, which is inside s: at white space, else behind punctuation, else
// in front of a character that does not belong to the one before.
func lastCut(s string, limit int) int {
	if spaceAt(s, limit) {
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
