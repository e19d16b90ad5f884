package extract

import (
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// maxHeading is the longest heading, in bytes; what is longer was styled as one and is a paragraph.
const maxHeading = 400

// writer puts a text together from blocks and notes where its headings are.
type writer struct {
	text     strings.Builder
	headings []rag.Heading
	max      int // bytes of text after which full is true and nothing is added
	full     bool
}

// block adds a paragraph after an empty line, with its line breaks.
func (w *writer) block(s string) { w.add(s, "\n\n") }

// line adds a line to the block before it: a list item, a row of a table.
func (w *writer) line(s string) { w.add(s, "\n") }

func (w *writer) add(s, gap string) {
	s = strings.Trim(tidy(s), "\n")
	if strings.TrimSpace(s) == "" || w.full {
		return
	}
	if w.text.Len()+len(s) > w.max {
		w.full = true
		return
	}
	if w.text.Len() > 0 {
		w.text.WriteString(gap)
	}
	w.text.WriteString(s)
}

// heading adds a heading on a line of its own.
func (w *writer) heading(level int, s string) {
	s = oneLine(s)
	if len(s) > maxHeading || s == "" || w.full {
		w.block(s)
		return
	}
	w.block(s)
	if end := w.text.Len(); !w.full {
		w.headings = append(w.headings, rag.Heading{Level: max(1, min(level, 9)), Text: s, Span: rag.Span{Start: end - len(s), End: end}})
	}
}

// firstHeading is the first outermost heading, for documents that name no title.
func firstHeading(headings []rag.Heading) string {
	for _, h := range headings {
		if h.Level == 1 {
			return h.Text
		}
	}
	return ""
}
