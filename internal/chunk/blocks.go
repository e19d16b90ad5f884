package chunk

import "strings"

// blocks takes the text between headings apart: code and tables are kept whole where they fit, else cut at lines.
func (sp *splitter) blocks(start, end int) {
	before := paragraph
	for start < end {
		stop, kind := blockEnd(sp.text[start:end])
		stop += start
		switch {
		case kind == prose:
			sp.prose(start, stop, before)
		case sp.fits(start, stop):
			sp.add(start, stop, before)
		default:
			sp.lines(start, stop, before)
		}
		before = paragraph
		if strings.HasSuffix(strings.TrimSpace(sp.text[start:stop]), ":") {
			before = sentence // it announces what follows
		}
		start = stop
	}
}

// lines takes code or a table apart.
func (sp *splitter) lines(start, end int, before border) {
	for line := range strings.Lines(sp.text[start:end]) {
		stop := start + len(line)
		if sp.fits(start, stop) {
			sp.add(start, stop, before)
		} else {
			sp.words(start, stop, before)
		}
		before, start = sentence, stop
	}
}

type blockKind int8

const (
	prose blockKind = iota
	code
	table
)

// blockEnd gives the length of the block that s begins with, with the empty lines behind it, and what it is.
func blockEnd(s string) (int, blockKind) {
	fence, begun, length, kind := "", false, 0, prose
	for line := range strings.Lines(s) {
		bare := strings.TrimSpace(line)
		mark := fenceOf(bare)
		switch {
		case fence != "":
			if mark != "" && strings.HasPrefix(mark, fence) && mark == bare {
				return length + len(line), code
			}
		case mark != "" && begun:
			return length, kind // a code block ends the block before it
		case mark != "":
			fence, kind = mark, code
		case bare == "" && begun:
			return length + len(line), kind
		case isRow(bare):
			if kind == prose && begun {
				return length, prose
			}
			kind = table
		case kind == table:
			return length, table
		}
		begun = begun || bare != ""
		length += len(line)
	}
	return length, kind
}

// fenceOf is the run of marks that opens or closes a code block, "" where a line has none.
func fenceOf(line string) string {
	if !strings.HasPrefix(line, "```") && !strings.HasPrefix(line, "~~~") {
		return ""
	}
	return line[:len(line)-len(strings.TrimLeft(line, line[:1]))]
}

// isRow says whether a line is the row of a table.
func isRow(line string) bool {
	return strings.HasPrefix(line, "|") || strings.Contains(line, " | ")
}
