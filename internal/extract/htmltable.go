package extract

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// table writes a table as rows, cells apart by " | ". A table that lays out a page is read as blocks.
func (p *page) table(n *html.Node) {
	p.flush()
	if isLayout(n) {
		p.layout(n)
		return
	}
	p.tight = false
	rows := 0
	p.rows(n, &rows)
	p.tight = false
}

// isLayout says whether a table holds what no table of data does.
func isLayout(n *html.Node) bool {
	for d := range n.Descendants() {
		switch d.DataAtom {
		case atom.Table, atom.H1, atom.H2, atom.H3, atom.Pre, atom.Article, atom.Section:
			return true
		}
	}
	return false
}

func (p *page) layout(n *html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		switch c.DataAtom {
		case atom.Tbody, atom.Thead, atom.Tfoot, atom.Tr:
			p.layout(c)
		default:
			p.node(c)
			p.flush()
		}
	}
}

func (p *page) rows(n *html.Node, rows *int) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		switch c.DataAtom {
		case atom.Caption:
			p.block(collected(cellText(c)))
		case atom.Tr:
			row := tableRow(c)
			if row == "" {
				continue
			}
			if *rows == 0 {
				p.block(row)
			} else {
				p.line(row)
			}
			*rows++
		case atom.Tbody, atom.Thead, atom.Tfoot:
			p.rows(c, rows)
		}
	}
}

func tableRow(tr *html.Node) string {
	var cells []string
	for c := tr.FirstChild; c != nil; c = c.NextSibling {
		if c.DataAtom == atom.Td || c.DataAtom == atom.Th {
			cells = append(cells, oneLine(strings.ReplaceAll(cellText(c), lineBreak, " ")))
		}
	}
	return joinCells(cells)
}

// joinCells makes a row, "" where every cell is empty.
func joinCells(cells []string) string {
	for len(cells) > 0 && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	return strings.TrimSpace(strings.Join(cells, " | "))
}

// cellText is the text of a cell; its blocks are parted by spaces.
func cellText(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		switch {
		case d.Type == html.TextNode && d.Parent != nil && !invisible(d.Parent.DataAtom):
			b.WriteString(d.Data)
		case d.Type == html.ElementNode && !isInline(d):
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func validUTF8(data []byte) bool { return utf8.Valid(data) }

func wideName(data []byte) string {
	name, _ := wide(data)
	return name
}
