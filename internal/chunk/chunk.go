package chunk

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/text"
)

// version changes with every change of how texts are cut.
const version = "structure-1"

// Cutter cuts texts into passages. It keeps no state and is safe for concurrent use.
type Cutter struct {
	size    int
	overlap int

	tokens int // most tokens of a passage; 0: no bound
	count  func(text string) int
}

// New makes a Cutter for passages of at most size characters (code points) of which neighbours share at most overlap. A size
// below 1 counts as 1, an overlap is kept below size.
func New(size, overlap int) *Cutter {
	size = max(size, 1)
	return &Cutter{size: size, overlap: max(0, min(overlap, size-1))}
}

// Bounded makes passages smaller where a text has so many tokens a character, as Chinese has, that size characters would be more
// than tokens of them: the embedder then takes each in one piece. count is the embedder's own.
func (c *Cutter) Bounded(tokens int, count func(text string) int) *Cutter {
	b := *c
	b.tokens, b.count = tokens, count
	return &b
}

// sizedFor is the cutter for one text.
func (c *Cutter) sizedFor(x string) *Cutter {
	if c.tokens == 0 {
		return c
	}
	// Title and headings are embedded with each passage, and tokens are not spread evenly: an eighth is left for both.
	size := c.tokens * 7 / 8 * utf8.RuneCountInString(x) / max(1, c.count(x))
	if size >= c.size {
		return c
	}
	size = max(size, 1)
	return &Cutter{size: size, overlap: min(c.overlap*size/c.size, size-1)}
}

// Recipe names the way of cutting: texts cut under another recipe have to be cut again. A bound is not part of it, since few texts
// meet it and every change of the embedder would cut all of them again.
func (c *Cutter) Recipe() string {
	return fmt.Sprintf("%s size=%d overlap=%d", version, c.size, c.overlap)
}

// Cut cuts x into passages with Chunk, Heading, Page, Span, Language, Text and Hash set; none for a text of white space.
func (c *Cutter) Cut(x rag.Extracted) []rag.Passage {
	c = c.sizedFor(x.Text)
	headings := sane(x.Text, x.Headings)
	atoms := split(x.Text, headings, c.size)
	paths := headingPaths(headings)
	document := text.Unknown
	if len(atoms) > 0 {
		document = text.Language(x.Text)
	}
	var passages []rag.Passage
	for _, s := range c.sections(atoms) {
		for _, r := range c.pack(atoms, s) {
			p := passage(x.Text, rag.Span{Start: atoms[r.from].start, End: atoms[r.to-1].end})
			p.Chunk = len(passages)
			p.Page = pageAt(x.Pages, p.Span.Start)
			p.Heading = pathAt(paths, headings, atoms, r)
			if p.Language == text.Unknown {
				p.Language = document
			}
			passages = append(passages, p)
		}
	}
	return passages
}

func passage(all string, span rag.Span) rag.Passage {
	s := all[span.Start:span.End]
	sum := sha256.Sum256([]byte(s))
	return rag.Passage{Span: span, Text: s, Language: text.Language(s), Hash: hex.EncodeToString(sum[:])}
}

// pageAt is the page, from 1, that holds the byte at; 0 where the document has no pages.
func pageAt(pages []int, at int) int {
	return sort.Search(len(pages), func(i int) bool { return pages[i] > at })
}

// headingPaths gives for each heading the headings above it and itself.
func headingPaths(headings []rag.Heading) []string {
	paths := make([]string, len(headings))
	var open []rag.Heading
	for i, h := range headings {
		for len(open) > 0 && open[len(open)-1].Level >= h.Level {
			open = open[:len(open)-1]
		}
		open = append(open, h)
		names := make([]string, len(open))
		for j, o := range open {
			names[j] = o.Text
		}
		paths[i] = strings.Join(names, " > ")
	}
	return paths
}

// pathAt is the path of headings of the first thing in r that is no heading.
func pathAt(paths []string, headings []rag.Heading, atoms []atom, r run) string {
	first := r.from
	for first < r.to-1 && atoms[first].level > 0 {
		first++
	}
	at := atoms[first].start
	if i := sort.Search(len(headings), func(i int) bool { return headings[i].Span.Start > at }); i > 0 {
		return paths[i-1]
	}
	return ""
}
