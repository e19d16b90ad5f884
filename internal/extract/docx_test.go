package extract

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// word puts a document together from the XML inside its body and further parts.
func word(t testing.TB, body string, parts map[string]string) []byte {
	t.Helper()
	all := map[string]string{
		"_rels/.rels": `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" ` +
			`Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`,
		"word/document.xml": `<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:document ` + namespaces + `><w:body>` + body + `</w:body></w:document>`,
	}
	for name, s := range parts {
		all[name] = s
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, s := range all {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const namespaces = `xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" ` +
	`xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"`

// para is a paragraph with properties.
func para(properties, text string) string {
	return `<w:p><w:pPr>` + properties + `</w:pPr><w:r><w:t xml:space="preserve">` + text + `</w:t></w:r></w:p>`
}

const styles = `<w:styles ` + namespaces + `>
<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="Kapitel"><w:name w:val="Kapitel"/><w:basedOn w:val="berschrift1"/></w:style>
<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Own"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="Heading2"><w:name w:val="other"/></w:style>
<w:style w:type="paragraph" w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style></w:styles>`

const numbering = `<w:numbering ` + namespaces + `><w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl>
<w:lvl w:ilvl="1"><w:numFmt w:val="decimal"/></w:lvl></w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>`

func item(level, text string) string {
	return para(`<w:numPr><w:ilvl w:val="`+level+`"/><w:numId w:val="1"/></w:numPr>`, text)
}

func TestWordDocumentsGiveWhatAReaderSeesOnce(t *testing.T) {
	cell := func(s string) string { return `<w:tc><w:tcPr/>` + para("", s) + `</w:tc>` }
	for name, c := range map[string]struct{ body, want string }{
		"paragraphs": {para("", "One &amp; two") + para("", "") + para("", "Three"), "One & two\n\nThree"},
		"breaks and tabs": {`<w:p><w:r><w:t>a</w:t><w:br/><w:t>b</w:t><w:tab/><w:t>c</w:t><w:noBreakHyphen/><w:t>d</w:t></w:r></w:p>`,
			"a\nb c-d"},
		"runs make one word": {`<w:p><w:r><w:t>Ha</w:t></w:r><w:r><w:t>nd</w:t></w:r></w:p>`, "Hand"},
		"lists":              {item("0", "a") + item("1", "b") + item("1", "c") + item("0", "d") + item("1", "e"), "- a\n  1. b\n  2. c\n- d\n  1. e"},
		"tables": {para("", "Before") + `<w:tbl><w:tblPr/><w:tr>` + cell("A") + cell("B") + `</w:tr><w:tr>` + cell("1") + cell("2") + `</w:tr></w:tbl>` + para("", "After"),
			"Before\n\nA | B\n1 | 2\n\nAfter"},
		"tables inside cells are text of the cell": {`<w:tbl><w:tr>` + cell("A") + `<w:tc><w:tbl><w:tr>` + cell("B") + cell("C") + `</w:tr></w:tbl></w:tc></w:tr></w:tbl>`, "A | B C"},
		"insertions stay, deletions go":            {`<w:p><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p>`, "new"},
		"links":                                    {`<w:p><w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink><w:r><w:instrText>HYPERLINK "x"</w:instrText></w:r></w:p>`, "link"},
		"one branch of alternatives, text boxes once": {`<w:p><w:r><w:t>text</w:t></w:r><w:r><mc:AlternateContent><mc:Choice><w:txbxContent>` + para("", "box") +
			`</w:txbxContent></mc:Choice><mc:Fallback><w:txbxContent>` + para("", "box") + `</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>`, "text\n\nbox"},
		"footnotes stand after their paragraph": {`<w:p><w:r><w:t>claim</w:t><w:footnoteReference w:id="2"/></w:r></w:p>`, "claim[2]\n\n[2] proof"},
		"formulas":                              {`<w:p><m:oMath><m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>b</m:t></m:r></m:den></m:f></m:oMath></w:p>`, "a/b"},
		"content controls":                      {`<w:sdt><w:sdtPr><w:alias w:val="x"/></w:sdtPr><w:sdtContent>` + para("", "inside") + `</w:sdtContent></w:sdt>`, "inside"},
		"tables of contents repeat headings":    {para(`<w:pStyle w:val="TOC1"/>`, "Intro 1") + para("", "text"), "text"},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := read(t, "a.docx", word(t, c.body, map[string]string{"word/numbering.xml": numbering, "word/styles.xml": styles,
				"word/footnotes.xml": `<w:footnotes ` + namespaces + `><w:footnote w:type="separator" w:id="0">` + para("", "-----") + `</w:footnote><w:footnote w:id="2">` + para("", "proof") + `</w:footnote></w:footnotes>`}))
			if err != nil || x.Text != c.want {
				t.Errorf("got %q, %v; want %q", x.Text, err, c.want)
			}
		})
	}
}

func TestHeadingsOfWordDocumentsAreKnownByStyleInAnyLanguage(t *testing.T) {
	body := para(`<w:pStyle w:val="berschrift1"/>`, "Eins") + para(`<w:pStyle w:val="Kapitel"/>`, "Zwei") + para(`<w:pStyle w:val="Own"/>`, "Drei") +
		para(`<w:outlineLvl w:val="1"/>`, "Vier") + para(`<w:pStyle w:val="Heading2"/>`, "Fünf") + para(`<w:pStyle w:val="Loop"/>`, "Body")
	x, err := read(t, "a.docx", word(t, body, map[string]string{"word/styles.xml": styles}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range x.Headings {
		got = append(got, fmt.Sprintf("%d %s %s", h.Level, h.Text, x.Text[h.Span.Start:h.Span.End]))
	}
	if want := "[1 Eins Eins 1 Zwei Zwei 3 Drei Drei 2 Vier Vier 2 Fünf Fünf]"; fmt.Sprint(got) != want || x.Title != "Eins" {
		t.Errorf("got %v, title %q", got, x.Title)
	}
}

func TestTheStrictDialectIsRead(t *testing.T) {
	data := word(t, "", map[string]string{"word/document.xml": `<w:document xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"><w:body>` + para("", "strict") + `</w:body></w:document>`})
	if x, err := read(t, "a.docx", data); err != nil || x.Text != "strict" {
		t.Errorf("%q, %v", x.Text, err)
	}
}

func TestHostileWordDocumentsAreRefused(t *testing.T) {
	doc := func(s string) map[string]string { return map[string]string{"word/document.xml": s} }
	bomb := word(t, para("", strings.Repeat("a", 4<<20)), nil)
	for name, c := range map[string]struct {
		data []byte
		says string
		kind rag.Kind
	}{
		"no zip":     {[]byte("hello"), "not a Word document", rag.Unreadable},
		"other zip":  {word(t, "", nil)[:40], "damaged", rag.Unreadable},
		"old .doc":   {[]byte("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1 and more"), "encrypted, or an old .doc", rag.Unreadable},
		"a DTD":      {word(t, "", doc(`<!DOCTYPE a [<!ENTITY b "bb">]><w:document `+namespaces+`><w:body>`+para("", "&b;")+`</w:body></w:document>`)), "document type", rag.Unreadable},
		"a bomb":     {bomb, "unpacks to more than", rag.TooLarge},
		"torn XML":   {word(t, "", doc(`<w:document `+namespaces+`><w:body><w:p>`)), "damaged", rag.Unreadable},
		"other part": {word(t, "", map[string]string{"_rels/.rels": "<a/>"}), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(Config{MaxEntryBytes: 1 << 20, MaxArchiveBytes: 2 << 20})
			x, err := e.Extract(t.Context(), "a.docx", c.data)
			if rag.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q, %v", x.Text, err)
			}
		})
	}
}

func TestWhatAParagraphSaidBeforeTheDamageIsKept(t *testing.T) {
	data := word(t, "", map[string]string{"word/document.xml": `<w:document ` + namespaces + `><w:body>` + para("", "whole") + `<w:p><w:r><w:t>half`})
	if x, err := read(t, "a.docx", data); err != nil || !strings.HasPrefix(x.Text, "whole") || len(x.Warnings) != 1 {
		t.Errorf("%q, %q, %v", x.Text, x.Warnings, err)
	}
}

func TestElementsNestedWithoutEndDoNoHarm(t *testing.T) {
	deep := strings.Repeat("<w:sdt>", 100_000) + strings.Repeat("</w:sdt>", 100_000) + para("", "text")
	if x, err := read(t, "a.docx", word(t, deep, nil)); err != nil || x.Text != "text" {
		t.Errorf("%q, %v", x.Text, err)
	}
}

func FuzzDOCX(f *testing.F) {
	f.Add(para("", "a")+item("1", "b"), styles, numbering)
	f.Add(`<w:tbl><w:tr><w:tc>`+para("", "a")+`</w:tc></w:tr></w:tbl><mc:AlternateContent><mc:Choice/></mc:AlternateContent>`, "", "<a/>")
	e := New(Config{MaxEntryBytes: 1 << 20, MaxDepth: 20})
	f.Fuzz(func(t *testing.T, body, styles, numbering string) {
		x, err := e.Extract(t.Context(), "a.docx", word(t, body, map[string]string{"word/styles.xml": styles, "word/numbering.xml": numbering, "word/footnotes.xml": body}))
		checkOutcome(t, x, err)
	})
}
