package extract

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func (e *Extractor) docx(_ context.Context, data []byte) (rag.Extracted, error) {
	if bytes.HasPrefix(data, []byte("\xD0\xCF\x11\xE0")) {
		return rag.Extracted{}, unreadable("is encrypted, or an old .doc: remove its password, or save it as .docx")
	}
	a, err := e.openArchive(data)
	if err != nil {
		return rag.Extracted{}, err
	}
	main, err := a.mainPart()
	if err != nil {
		return rag.Extracted{}, err
	}
	d := docx{archive: a, writer: writer{max: e.config.MaxTextBytes}, notes: map[string]string{}, counters: map[string]int{}}
	folder := path.Dir(main)
	if err := d.prepare(folder); err != nil {
		return rag.Extracted{}, err
	}
	body, err := a.xml(main)
	if err != nil {
		return rag.Extracted{}, err
	}
	x := rag.Extracted{Title: a.title()}
	if err := d.body(body, 0); err != nil && !errors.Is(err, io.EOF) {
		if refused, ok := errors.AsType[*rag.Error](err); ok || !hasText(d.text.String()) {
			if ok {
				return x, refused
			}
			return x, unreadable("is damaged: open it in a word processor and save it again").Because(err)
		}
		x.Warnings = append(x.Warnings, "is damaged: what follows the damaged place was left out")
	}
	if d.full {
		return rag.Extracted{}, e.tooMuchText()
	}
	x.Text, x.Headings = d.text.String(), d.headings
	if x.Title == "" {
		x.Title = firstHeading(x.Headings)
	}
	return x, nil
}

// docx turns the XML of a word processor's document into blocks.
type docx struct {
	archive *archive
	writer
	styles   map[string]style
	lists    map[string][]string // by list: the format of its levels
	notes    map[string]string   // footnotes and endnotes by kind and id
	counters map[string]int      // the last number of each list and level
	inTable  bool                // paragraphs go to cell instead of the text
	cell     []string
	inList   bool // the block before is a list item
}

// prepare reads styles, numbering and notes; a document may lack any of them.
func (d *docx) prepare(folder string) error {
	var err error
	if d.styles, err = d.archive.styles(path.Join(folder, "styles.xml")); err != nil {
		return err
	}
	if d.lists, err = d.archive.numbering(path.Join(folder, "numbering.xml")); err != nil {
		return err
	}
	for _, kind := range []string{"footnote", "endnote"} {
		if err := d.readNotes(path.Join(folder, kind+"s.xml"), kind); err != nil {
			return err
		}
	}
	return nil
}

func (d *docx) readNotes(name, kind string) error {
	in, err := d.archive.optional(name)
	if in == nil || err != nil {
		return err
	}
	for {
		start, _, err := in.next()
		if err != nil {
			return in.refusal(err)
		}
		if start == nil || !in.is(start, "w", kind) {
			continue
		}
		id, special := attr(start, "id"), attr(start, "type")
		note := docx{archive: d.archive, styles: d.styles, writer: writer{max: d.max}, inTable: true, counters: map[string]int{}}
		if err := note.body(in, 1); err != nil {
			return in.refusal(err)
		}
		if special == "" || special == "normal" {
			d.notes[kind+id] = strings.Join(note.cell, " ")
		}
	}
}

// body reads blocks up to the end of the element that is open.
func (d *docx) body(in *input, depth int) error {
	if depth > d.archive.config.MaxDepth {
		return in.Skip()
	}
	for {
		start, end, err := in.next()
		if err != nil || end {
			return err
		}
		if start == nil {
			continue
		}
		switch {
		case in.is(start, "w", "p"):
			err = d.paragraph(in, depth+1)
		case in.is(start, "w", "tbl"):
			err = d.table(in, depth+1)
		case skipped(in, start), in.is(start, "w", "sdtPr"):
			err = in.Skip()
		case in.is(start, "mc", "AlternateContent"):
			err = in.choose(func() error { return d.body(in, depth+1) })
		default:
			err = d.body(in, depth+1)
		}
		if err != nil {
			return err
		}
	}
}

// skipped says whether an element holds no text of the document as it stands: deletions, properties, field codes.
func skipped(in *input, e *xml.StartElement) bool {
	if in.space(e) != "w" {
		return false
	}
	switch e.Name.Local {
	case "del", "moveFrom", "delText", "instrText", "delInstrText", "rPr", "sectPr", "tblPr", "tblGrid", "trPr", "tcPr", "sdtPr", "sdtEndPr", "ruby", "annotation":
		return e.Name.Local != "ruby"
	}
	return false
}

var contentsStyle = regexp.MustCompile(`^(?i)(TOC|Verzeichnis|Inhaltsverzeichnis|TM|Sumario|Sommario)\d$`)

func (d *docx) paragraph(in *input, depth int) error {
	p := paragraph{docx: d}
	if err := p.inline(in, depth); err != nil {
		return err
	}
	text := collected(p.text.String())
	switch level := p.level(); {
	case contentsStyle.MatchString(p.style):
	case d.inTable:
		if text != "" {
			d.cell = append(d.cell, text)
		}
	case text == "":
	case level > 0:
		d.heading(level, text)
		d.inList = false
	default:
		d.listOrText(&p, text)
	}
	for _, box := range p.boxes {
		d.block(box)
		d.inList = false
	}
	for _, note := range p.cited {
		d.block(note)
		d.inList = false
	}
	return nil
}

func (d *docx) listOrText(p *paragraph, text string) {
	bullet := d.bullet(p)
	if bullet == "" {
		d.block(text)
		d.inList = false
		return
	}
	if d.inList {
		d.line(bullet + text)
	} else {
		d.block(bullet + text)
	}
	d.inList = true
}

// table writes rows; a table inside a cell is part of the cell.
func (d *docx) table(in *input, depth int) error {
	if d.inTable {
		return d.body(in, depth)
	}
	d.inList = false
	d.inTable = true
	defer func() { d.inTable = false }()
	rows := 0
	return d.rows(in, depth, &rows)
}

func (d *docx) rows(in *input, depth int, rows *int) error {
	if depth > d.archive.config.MaxDepth {
		return in.Skip()
	}
	return in.each(func(start *xml.StartElement) error {
		switch {
		case skipped(in, start):
			return in.Skip()
		case !in.is(start, "w", "tr"):
			return d.rows(in, depth+1, rows)
		}
		var cells []string
		if err := d.cells(in, depth+1, &cells); err != nil {
			return err
		}
		row := joinCells(cells)
		if row == "" {
			return nil
		}
		if *rows++; *rows == 1 {
			d.block(row)
		} else {
			d.line(row)
		}
		return nil
	})
}

func (d *docx) cells(in *input, depth int, cells *[]string) error {
	if depth > d.archive.config.MaxDepth {
		return in.Skip()
	}
	return in.each(func(start *xml.StartElement) error {
		switch {
		case skipped(in, start):
			return in.Skip()
		case !in.is(start, "w", "tc"):
			return d.cells(in, depth+1, cells)
		}
		d.cell = nil
		err := d.body(in, depth+1)
		*cells = append(*cells, oneLine(strings.Join(d.cell, " ")))
		return err
	})
}

// paragraph is a paragraph while it is read.
type paragraph struct {
	*docx
	text    strings.Builder
	style   string
	outline int // outline level + 1 as the paragraph itself says; 0 where it does not
	list    string
	indent  int
	boxes   []string // text boxes anchored in it
	cited   []string // notes it refers to
}

// level is the level of the heading that the paragraph is, 0 where it is none.
func (p *paragraph) level() int {
	if p.outline > 0 {
		if p.outline > 9 {
			return 0 // body text
		}
		return p.outline
	}
	return p.styles[p.style].level
}

// inline reads the runs of a paragraph up to the end of the element that is open.
func (p *paragraph) inline(in *input, depth int) error {
	if depth > p.archive.config.MaxDepth {
		return in.Skip()
	}
	return in.each(func(start *xml.StartElement) error {
		if skipped(in, start) {
			return in.Skip()
		}
		switch in.space(start) {
		case "w":
			return p.word(in, start, depth)
		case "m":
			return p.math(in, start, depth)
		case "mc":
			if start.Name.Local == "AlternateContent" {
				return in.choose(func() error { return p.inline(in, depth+1) })
			}
		}
		return p.inline(in, depth+1)
	})
}

func (p *paragraph) word(in *input, start *xml.StartElement, depth int) error {
	switch start.Name.Local {
	case "pPr":
		return p.properties(in)
	case "t":
		s, err := in.text()
		p.text.WriteString(s)
		return err
	case "tab", "ptab":
		p.text.WriteByte(' ')
	case "br", "cr":
		p.text.WriteString(lineBreak)
	case "noBreakHyphen":
		p.text.WriteByte('-')
	case "footnoteReference", "endnoteReference":
		p.cite(strings.TrimSuffix(start.Name.Local, "Reference"), attr(start, "id"))
	case "txbxContent":
		return p.box(in, depth)
	case "p": // a paragraph inside a paragraph's shapes
		p.text.WriteByte(' ')
	case "rt": // the reading of a ruby character
		return in.Skip()
	}
	return p.inline(in, depth+1)
}

func (p *paragraph) cite(kind, id string) {
	if note := p.notes[kind+id]; note != "" {
		p.text.WriteString("[" + id + "]")
		if entry := "[" + id + "] " + note; !slices.Contains(p.cited, entry) {
			p.cited = append(p.cited, entry)
		}
	}
}

// box reads a text box as a block of its own.
func (p *paragraph) box(in *input, depth int) error {
	box := docx{archive: p.archive, styles: p.styles, lists: p.lists, notes: p.notes, counters: p.counters, writer: writer{max: p.max}, inTable: true}
	err := box.body(in, depth+1)
	if s := strings.Join(box.cell, "\n"); s != "" {
		if p.inTable {
			p.text.WriteString(" " + s)
		} else {
			p.boxes = append(p.boxes, s)
		}
	}
	return err
}

// math writes formulas in a line: a/b, x^2, x_i, √(x).
func (p *paragraph) math(in *input, start *xml.StartElement, depth int) error {
	before, after := "", ""
	switch start.Name.Local {
	case "t":
		s, err := in.text()
		p.text.WriteString(s)
		return err
	case "rPr", "ctrlPr":
		return in.Skip()
	case "den":
		before = "/"
	case "sup":
		before = "^"
	case "sub":
		before = "_"
	case "rad":
		before, after = "√(", ")"
	case "d":
		before, after = "(", ")"
	case "fName":
		after = " "
	case "oMath", "oMathPara":
		before, after = " ", " "
	case "chr":
		p.text.WriteString(attr(start, "val"))
	}
	p.text.WriteString(before)
	err := p.inline(in, depth+1)
	p.text.WriteString(after)
	return err
}

func (p *paragraph) properties(in *input) error {
	return in.each(func(start *xml.StartElement) error {
		switch start.Name.Local {
		case "pStyle":
			p.style = attr(start, "val")
		case "outlineLvl":
			p.outline = number(attr(start, "val"), 9) + 1
		case "numId":
			p.list = attr(start, "val")
		case "ilvl":
			p.indent = number(attr(start, "val"), 0)
		case "numPr":
			return p.properties(in)
		}
		return in.Skip()
	})
}
