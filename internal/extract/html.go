package extract

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func (e *Extractor) html(_ context.Context, data []byte) (rag.Extracted, error) {
	source, d, ok := htmlSource(data)
	if !ok {
		return rag.Extracted{}, errBinary()
	}
	p := page{writer: writer{max: e.config.MaxTextBytes}}
	x := rag.Extracted{Encoding: d.encoding, Warnings: d.warnings}
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		// The parser refuses elements nested hundreds deep; their text is still there.
		p.flat(source)
		x.Warnings = append(x.Warnings, "is nested too deep for its structure to be kept")
	} else {
		x.Title = titleOf(root)
		main := mainPart(root)
		p.boilerplate = main == root
		p.children(main)
		p.flush()
	}
	if p.full {
		return rag.Extracted{}, e.tooMuchText()
	}
	x.Text, x.Headings = p.text.String(), p.writer.headings
	if x.Title == "" {
		x.Title = firstHeading(x.Headings)
	}
	return x, nil
}

var xmlEncoding = regexp.MustCompile(`^<\?xml[^>]*encoding=["']([\w.:-]+)["']`)

// htmlSource decodes a page: by byte order mark, as UTF-8 where it is that, by what the page says of itself, else by guess.
// The encoding is named only where it was guessed.
func htmlSource(data []byte) (string, decoded, bool) {
	if name, enc := byMark(data); name != "" {
		return decodeWith(enc, data), decoded{}, true
	}
	ascii := bytes.IndexFunc(data, func(r rune) bool { return r >= 0x80 || r == 0x1B }) < 0
	if _, multi := utf8Faults(data); ascii || multi > 0 && validUTF8(data) {
		return string(data), decoded{}, !looksBinary(data)
	}
	if looksBinary(data) && wideName(data) == "" {
		return "", decoded{}, false
	}
	if m := xmlEncoding.FindSubmatch(data[:min(len(data), 200)]); m != nil {
		if enc, name := charset.Lookup(string(m[1])); enc != nil && name != "utf-8" {
			return decodeWith(enc, data), decoded{}, true
		}
	}
	// windows-1252 is also what is returned for a page that says nothing.
	if enc, name, _ := charset.DetermineEncoding(data, ""); name != "utf-8" && name != "windows-1252" {
		return decodeWith(enc, data), decoded{}, true
	}
	d, ok := decode(data)
	return d.text, decoded{encoding: d.encoding, warnings: d.warnings}, ok
}

func titleOf(root *html.Node) string {
	for n := range root.Descendants() {
		if n.DataAtom == atom.Title && n.Namespace == "" && n.FirstChild != nil {
			return oneLine(n.FirstChild.Data)
		}
	}
	return ""
}

// mainPart is the element that holds what the page is about: main, or the only article, else the whole page.
func mainPart(root *html.Node) *html.Node {
	var articles []*html.Node
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if (n.DataAtom == atom.Main || attribute(n, "role") == "main") && hasText(textOf(n)) {
			return n
		}
		if n.DataAtom == atom.Article {
			articles = append(articles, n)
		}
	}
	if len(articles) == 1 && hasText(textOf(articles[0])) {
		return articles[0]
	}
	return root
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

// textOf is the text under n without its structure.
func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent != nil && !invisible(d.Parent.DataAtom) {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func invisible(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Style, atom.Noscript, atom.Template, atom.Svg, atom.Iframe, atom.Object, atom.Head, atom.Title, atom.Select,
		atom.Option, atom.Button, atom.Textarea, atom.Audio, atom.Video, atom.Canvas, atom.Datalist:
		return true
	}
	return false
}

// lineBreak stands for <br> in collected text, whose own line breaks are only spaces.
const lineBreak = "\v"

// page turns a tree of elements into blocks.
type page struct {
	writer
	inline      strings.Builder // text of the block that is being read
	lists       []int           // the open lists: the number of the last item, -1 in lists without numbers
	bullet      string          // what the next block begins with
	tight       bool            // the next block is a line of the block before
	boilerplate bool            // there is no main part: headers, footers and forms are kept
}

func (p *page) children(n *html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		p.node(c)
	}
}

func (p *page) node(n *html.Node) {
	switch n.Type {
	case html.TextNode:
		p.inline.WriteString(n.Data)
	case html.ElementNode:
		if !invisible(n.DataAtom) && !has(n, "hidden") && (p.boilerplate || !isBoilerplate(n)) {
			p.element(n)
		}
	}
}

func isBoilerplate(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Nav, atom.Footer, atom.Aside, atom.Form:
		return true
	case atom.Header: // that of an article holds its headline
		return n.Parent == nil || n.Parent.DataAtom != atom.Article && n.Parent.DataAtom != atom.Main
	}
	return false
}

func (p *page) element(n *html.Node) {
	switch n.DataAtom {
	case atom.Br:
		p.inline.WriteString(lineBreak)
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		p.flush()
		p.heading(int(n.Data[1]-'0'), strings.TrimRight(oneLine(textOf(n)), " ¶"))
		p.tight = false
	case atom.Ul, atom.Ol, atom.Menu:
		p.list(n)
	case atom.Li:
		p.item(n)
	case atom.Dt, atom.Dd:
		p.flush()
		p.children(n)
		p.flush()
		p.tight = true
	case atom.Table:
		p.table(n)
	case atom.Pre:
		p.flush()
		p.block(strings.Trim(preText(n), "\n"))
	default:
		if isInline(n) {
			p.children(n)
			return
		}
		p.flush()
		p.children(n)
		p.flush()
	}
}

func isInline(n *html.Node) bool {
	switch n.DataAtom {
	case atom.A, atom.Abbr, atom.Acronym, atom.B, atom.Bdi, atom.Bdo, atom.Big, atom.Cite, atom.Code, atom.Data, atom.Del, atom.Dfn, atom.Em,
		atom.Font, atom.I, atom.Img, atom.Input, atom.Ins, atom.Kbd, atom.Label, atom.Mark, atom.Math, atom.Nobr, atom.Q, atom.Ruby, atom.Rb, atom.Rt,
		atom.Rp, atom.S, atom.Samp, atom.Small, atom.Span, atom.Strike, atom.Strong, atom.Sub, atom.Sup, atom.Time, atom.Tt, atom.U, atom.Var, atom.Wbr:
		return true
	}
	return n.Namespace == "math"
}

func (p *page) list(n *html.Node) {
	p.flush()
	number := -1
	if n.DataAtom == atom.Ol {
		number = 0
		if from, err := strconv.Atoi(attribute(n, "start")); err == nil && from > 0 && from < 1e6 {
			number = from - 1
		}
	}
	p.lists = append(p.lists, number)
	p.tight = len(p.lists) > 1
	p.children(n)
	p.flush()
	p.lists = p.lists[:len(p.lists)-1]
	p.tight = len(p.lists) > 0
}

func (p *page) item(n *html.Node) {
	p.flush()
	p.bullet = "- "
	if depth := len(p.lists); depth > 0 {
		if last := &p.lists[depth-1]; *last >= 0 {
			*last++
			p.bullet = strconv.Itoa(*last) + ". "
		}
		p.bullet = strings.Repeat("  ", depth-1) + p.bullet
	}
	p.children(n)
	p.flush()
	p.bullet = ""
	p.tight = true
}

// flush ends the block that is being read.
func (p *page) flush() {
	s := collected(p.inline.String())
	p.inline.Reset()
	if s == "" {
		return
	}
	if p.tight {
		p.line(p.bullet + s)
	} else {
		p.block(p.bullet + s)
	}
	p.bullet, p.tight = "", len(p.lists) > 0
}

// collected folds white space, and makes lines of <br>.
func collected(s string) string {
	lines := strings.Split(s, lineBreak)
	for i, line := range lines {
		lines[i] = oneLine(line)
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

func preText(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		switch {
		case d.Type == html.TextNode && !invisible(d.Parent.DataAtom):
			b.WriteString(d.Data)
		case d.DataAtom == atom.Br:
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// flat gives the text of a page whose elements cannot be put into a tree.
func (p *page) flat(source string) {
	z := html.NewTokenizer(strings.NewReader(source))
	skip := 0
	for {
		kind := z.Next()
		switch kind {
		case html.ErrorToken:
			if errors.Is(z.Err(), io.EOF) {
				p.flush()
			}
			return
		case html.TextToken:
			if skip == 0 {
				p.inline.Write(z.Text())
			}
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			if invisible(a) && kind != html.SelfClosingTagToken {
				if kind == html.StartTagToken {
					skip++
				} else {
					skip = max(0, skip-1)
				}
			}
			if !isInline(&html.Node{DataAtom: a}) {
				p.flush()
			}
		}
	}
}
