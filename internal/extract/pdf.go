package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/klippa-app/go-pdfium"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func (e *Extractor) readPDF(ctx context.Context, data []byte) (rag.Extracted, error) {
	if !bytes.Contains(data[:min(len(data), 1024)], []byte("%PDF-")) {
		return rag.Extracted{}, unreadable("is named .pdf and is not a PDF: give it the name of what it is")
	}
	if int64(len(data)) > e.config.MaxPDFMemory/2 {
		return rag.Extracted{}, rag.Errorf(rag.TooLarge, "", "is larger than the %d bytes a PDF may have: split it", e.config.MaxPDFMemory/2)
	}
	var x rag.Extracted
	err := e.pdf.with(ctx, func(reader pdfium.Pdfium) error {
		doc, err := reader.OpenDocument(&requests.OpenDocument{File: &data})
		if err != nil {
			return whyNotOpen(err)
		}
		p := pdf{reader: reader, doc: doc.Document, config: e.config}
		x, err = p.read(ctx)
		return err
	})
	if ctx.Err() != nil {
		return rag.Extracted{}, ctx.Err()
	}
	if err != nil {
		if _, ok := errors.AsType[*rag.Error](err); !ok {
			err = unreadable("is damaged: open it in a viewer and save or print it as PDF again").Because(err)
		}
		return rag.Extracted{}, err
	}
	return x, nil
}

func whyNotOpen(err error) error {
	switch {
	case errors.Is(err, pdferrors.ErrPassword):
		return unreadable("is encrypted: remove its password first").Because(err)
	case errors.Is(err, pdferrors.ErrSecurity):
		return unreadable("is encrypted in a way that cannot be read: save it without encryption first").Because(err)
	}
	return err
}

// pdf is an open document.
type pdf struct {
	reader pdfium.Pdfium
	doc    references.FPDF_DOCUMENT
	config Config
}

func (p *pdf) read(ctx context.Context) (rag.Extracted, error) {
	count, err := p.reader.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: p.doc})
	if err != nil {
		return rag.Extracted{}, err
	}
	if count.PageCount <= 0 {
		return rag.Extracted{}, unreadable("is damaged: it has no pages")
	}
	pages, broken, err := p.pages(ctx, min(count.PageCount, p.config.MaxPages))
	if err != nil {
		return rag.Extracted{}, err
	}
	unhyphenate(pages)
	var x rag.Extracted
	var text strings.Builder
	empty := 0
	for i, page := range pages {
		if i > 0 && text.Len() > 0 && page != "" {
			text.WriteString("\n\n")
		}
		x.Pages = append(x.Pages, text.Len())
		text.WriteString(page)
		if !hasText(page) {
			empty++
		}
	}
	empty -= broken
	x.Text = text.String()
	switch {
	case broken == len(pages):
		return x, unreadable("is damaged: none of its %d pages can be read", len(pages))
	case empty+broken == len(pages):
		return x, unreadable("holds only images: it needs OCR, which is not built in")
	}
	x.Warnings = pageWarnings(len(pages), count.PageCount, empty, broken)
	x.Title = p.title()
	x.Headings = p.headings(x.Text, x.Pages)
	return x, nil
}

func pageWarnings(read, all, empty, broken int) []string {
	var w []string
	if empty > 0 {
		w = append(w, fmt.Sprintf("%d of %d pages hold no text (scanned?)", empty, read))
	}
	if broken > 0 {
		w = append(w, fmt.Sprintf("%d of %d pages are damaged and were left out", broken, read))
	}
	if read < all {
		w = append(w, fmt.Sprintf("only the first %d of %d pages were read", read, all))
	}
	return w
}

// pages gives the texts of the first n pages and how many of them could not be read.
func (p *pdf) pages(ctx context.Context, n int) (pages []string, broken int, err error) {
	size := 0
	for i := range n {
		page, err := p.page(i)
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		if err != nil {
			broken++
		}
		if size += len(page); size > p.config.MaxTextBytes {
			return nil, 0, (&Extractor{config: p.config}).tooMuchText()
		}
		pages = append(pages, page)
	}
	return pages, broken, nil
}

func (p *pdf) page(i int) (string, error) {
	loaded, err := p.reader.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: p.doc, Index: i})
	if err != nil {
		return "", err
	}
	defer func() { _, _ = p.reader.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: loaded.Page}) }()
	text, err := p.reader.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: requests.Page{ByReference: &loaded.Page}})
	if err != nil {
		return "", err
	}
	defer func() { _, _ = p.reader.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: text.TextPage}) }()
	count, err := p.reader.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: text.TextPage})
	if err != nil || count.Count <= 0 {
		return "", err
	}
	got, err := p.reader.FPDFText_GetText(&requests.FPDFText_GetText{TextPage: text.TextPage, Count: count.Count})
	if err != nil {
		return "", err
	}
	return tidyPage(got.Text), nil
}

// hyphenMark stands in for the hyphen that PDFium found at the end of a line inside a word, until unhyphenate has looked at it.
const hyphenMark = '\uE0AD'

// tidyPage tidies the text of a page and trims its lines.
func tidyPage(s string) string {
	s = strings.TrimRight(s, "\x00")
	s = strings.Map(func(r rune) rune {
		switch r {
		case '\x02', '\uFFFE':
			return hyphenMark
		case hyphenMark:
			return -1
		}
		return r
	}, s)
	lines := strings.Split(tidy(s), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRightFunc(line, unicode.IsSpace)
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

var (
	cutWord    = regexp.MustCompile(`(\pL+)\x{E0AD}\s?(\pL+)`)
	hyphenated = regexp.MustCompile(`\pL+-\pL+`)
)

// unhyphenate joins words that a line end cut. A word that stands elsewhere in the document with its hyphen keeps it.
func unhyphenate(pages []string) {
	marked := false
	for _, page := range pages {
		marked = marked || strings.ContainsRune(page, hyphenMark)
	}
	if !marked {
		return
	}
	compounds := map[string]bool{}
	for _, page := range pages {
		for _, word := range hyphenated.FindAllString(page, -1) {
			compounds[strings.ToLower(word)] = true
		}
	}
	for i, page := range pages {
		page = cutWord.ReplaceAllStringFunc(page, func(s string) string {
			m := cutWord.FindStringSubmatch(s)
			if compounds[strings.ToLower(m[1]+"-"+m[2])] {
				return m[1] + "-" + m[2]
			}
			return m[1] + m[2]
		})
		pages[i] = strings.ReplaceAll(page, string(hyphenMark), "-")
	}
}
