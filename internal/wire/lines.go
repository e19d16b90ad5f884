package wire

import (
	"bufio"
	"errors"
	"io"
)

// MaxLineBytes bounds one line of a stream. The longest that Ollama sends is the last one of /api/generate, whose
// context array has some seven bytes a token: 4 MiB hold half a million tokens.
const MaxLineBytes = 4 << 20

// ErrLineTooLong ends the reading of a stream whose line passes its limit.
var ErrLineTooLong = errors.New("line longer than the limit")

// LineReader cuts a stream into lines.
type LineReader struct {
	r    *bufio.Reader
	max  int
	line []byte // of a line longer than r's buffer
}

// NewLineReader reads lines of at most maxBytes, their newline not counted.
func NewLineReader(r io.Reader, maxBytes int) *LineReader {
	return &LineReader{r: bufio.NewReaderSize(r, 4096), max: maxBytes}
}

// Next gives the next line that has anything in it, without its newline, good until the following call. A last line
// without newline is given like any other: whether it is whole only its reader can tell. The end is io.EOF, else the
// stream's own error or ErrLineTooLong.
func (l *LineReader) Next() ([]byte, error) {
	for {
		line, err := l.read()
		line = trim(line)
		if len(line) > l.max {
			return nil, ErrLineTooLong
		}
		if len(line) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			return line, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// read gives all up to and including a newline, or up to the end with its error.
func (l *LineReader) read() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	l.line = append(l.line[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(l.line) > l.max+len("\r\n") {
			return l.line, nil
		}
		line, err = l.r.ReadSlice('\n')
		l.line = append(l.line, line...)
	}
	return l.line, err
}

// trim takes the line's end away.
func trim(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}
