package extract

import (
	"regexp"
	"strings"

	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Bounds of a PDF's outline, which may point in circles.
const (
	maxBookmarks     = 5000
	maxBookmarkDepth = 9
)

var notATitle = regexp.MustCompile(`(?i)^(untitled.*|microsoft \S+ - .*|slide \d+|.*\.(docx?|dvi|indd|qxd|pdf|tex|rtf|odt|pptx?|xlsx?|wpd|html?|ps|eps|fm)|\d+|\W*|\(.*\))$`)

// title is the title from the document's properties, where it is one that a person gave.
func (p *pdf) title() string {
	meta, err := p.reader.FPDF_GetMetaText(&requests.FPDF_GetMetaText{Document: p.doc, Tag: "Title"})
	if err != nil {
		return ""
	}
	title := oneLine(strings.Trim(meta.Value, "\x00"))
	if notATitle.MatchString(title) || len(title) > maxHeading {
		return ""
	}
	return title
}

// headings are the entries of the outline that stand as lines on the page they point to.
func (p *pdf) headings(text string, pages []int) []rag.Heading {
	w := outline{pdf: p, text: text, pages: pages}
	w.walk(nil, 1)
	return w.headings
}

type outline struct {
	*pdf
	text     string
	pages    []int
	seen     int
	from     int // headings come in the order of the text; one that does not is left out
	headings []rag.Heading
}

func (o *outline) walk(parent *references.FPDF_BOOKMARK, level int) {
	first, err := o.reader.FPDFBookmark_GetFirstChild(&requests.FPDFBookmark_GetFirstChild{Document: o.doc, Bookmark: parent})
	if err != nil {
		return
	}
	for mark := first.Bookmark; mark != nil; {
		if o.seen++; o.seen > maxBookmarks {
			return
		}
		o.place(*mark, level)
		if level < maxBookmarkDepth {
			o.walk(mark, level+1)
		}
		next, err := o.reader.FPDFBookmark_GetNextSibling(&requests.FPDFBookmark_GetNextSibling{Document: o.doc, Bookmark: *mark})
		if err != nil {
			return
		}
		mark = next.Bookmark
	}
}

// place finds the line of a bookmark on its page.
func (o *outline) place(mark references.FPDF_BOOKMARK, level int) {
	title, err := o.reader.FPDFBookmark_GetTitle(&requests.FPDFBookmark_GetTitle{Bookmark: mark})
	if err != nil {
		return
	}
	name := oneLine(strings.Trim(title.Title, "\x00"))
	page := o.page(mark)
	if name == "" || len(name) > maxHeading || page < 0 || page >= len(o.pages) {
		return
	}
	end := len(o.text)
	if page+1 < len(o.pages) {
		end = o.pages[page+1]
	}
	if span, ok := findLine(o.text, max(o.pages[page], o.from), end, name); ok {
		o.headings = append(o.headings, rag.Heading{Level: level, Text: name, Span: span})
		o.from = span.End
	}
}

func (o *outline) page(mark references.FPDF_BOOKMARK) int {
	dest, err := o.reader.FPDFBookmark_GetDest(&requests.FPDFBookmark_GetDest{Document: o.doc, Bookmark: mark})
	if err == nil && dest.Dest != nil {
		return o.destPage(*dest.Dest)
	}
	action, err := o.reader.FPDFBookmark_GetAction(&requests.FPDFBookmark_GetAction{Bookmark: mark})
	if err != nil || action.Action == nil {
		return -1
	}
	to, err := o.reader.FPDFAction_GetDest(&requests.FPDFAction_GetDest{Document: o.doc, Action: *action.Action})
	if err != nil || to.Dest == nil {
		return -1
	}
	return o.destPage(*to.Dest)
}

func (o *outline) destPage(dest references.FPDF_DEST) int {
	page, err := o.reader.FPDFDest_GetDestPageIndex(&requests.FPDFDest_GetDestPageIndex{Document: o.doc, Dest: dest})
	if err != nil {
		return -1
	}
	return page.Index
}

var sectionNumber = regexp.MustCompile(`^([0-9IVXA-Z]+[.)])*[0-9IVXA-Z]*[.:)]?\s+`)

// findLine finds the line of text[from:to] that reads name, with or without a section number before it.
func findLine(text string, from, to int, name string) (rag.Span, bool) {
	squeeze := func(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), "")) }
	want, bare := squeeze(name), squeeze(sectionNumber.ReplaceAllString(name, ""))
	for at := from; at < to; {
		end := to
		if i := strings.IndexByte(text[at:to], '\n'); i >= 0 {
			end = at + i
		}
		line := strings.TrimSpace(text[at:end])
		if line != "" && len(line) <= 2*maxHeading {
			got := squeeze(line)
			if got == want || bare != "" && squeeze(sectionNumber.ReplaceAllString(line, "")) == bare {
				start := at + strings.Index(text[at:end], line)
				return rag.Span{Start: start, End: start + len(line)}, true
			}
		}
		at = end + 1
	}
	return rag.Span{}, false
}
