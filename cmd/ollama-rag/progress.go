package main

import (
	"fmt"
	"os"

	"golang.org/x/term"
)

// progressLine is one line on a terminal that is written over and over, on standard error so that results can be piped.
type progressLine struct{ fd int }

// newProgressLine is nil where standard error is no terminal.
func newProgressLine() *progressLine {
	fd := int(os.Stderr.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	return &progressLine{fd}
}

// show writes text in place of what the line said, cut to the terminal's width.
func (l *progressLine) show(text string) {
	width, _, err := term.GetSize(l.fd)
	if err != nil || width < 20 {
		width = 80
	}
	fmt.Fprintf(os.Stderr, "\r\x1b[K%s", oneLine(text, width-2))
}

// clear empties the line.
func (l *progressLine) clear() { fmt.Fprint(os.Stderr, "\r\x1b[K") }

// gauge is a bar of 20 places for a share of 0 to 1.
func gauge(share float64) string {
	full := int(min(max(share, 0), 1) * 20)
	bar := []rune("····················")
	for i := range full {
		bar[i] = '█'
	}
	return string(bar)
}
