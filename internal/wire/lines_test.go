package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func readAll(r *LineReader) (lines []string, err error) {
	for {
		line, err := r.Next()
		if err != nil {
			return lines, err
		}
		lines = append(lines, string(line))
	}
}

func TestLinesComeWholeHoweverTheStreamIsCut(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	text := "{\"a\":1}\n\r\n" + long + "\r\n\nlast"
	for name, r := range map[string]io.Reader{
		"at once":     strings.NewReader(text),
		"byte a time": iotest.OneByteReader(strings.NewReader(text)),
		"halves":      iotest.HalfReader(strings.NewReader(text)),
	} {
		lines, err := readAll(NewLineReader(r, MaxLineBytes))
		if err != io.EOF {
			t.Errorf("%s: ended with %v", name, err)
		}
		if want := []string{`{"a":1}`, long, "last"}; strings.Join(lines, "|") != strings.Join(want, "|") {
			t.Errorf("%s: got %d lines, want %d", name, len(lines), len(want))
		}
	}
}

func TestLineBeyondTheLimitIsRefusedWithoutReadingItAll(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("ok\n"), &repeat{'x'})
	r := NewLineReader(endless, 100_000)
	lines, err := readAll(r)
	if len(lines) != 1 || !errors.Is(err, ErrLineTooLong) {
		t.Fatalf("got %d lines, %v; want 1, %v", len(lines), err, ErrLineTooLong)
	}
}

type repeat struct{ c byte }

func (r *repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.c
	}
	return len(p), nil
}

func TestBrokenStreamGivesItsErrorNotItsTornLine(t *testing.T) {
	broken := errors.New("reset")
	r := NewLineReader(io.MultiReader(strings.NewReader("one\ntor"), iotest.ErrReader(broken)), 100)
	lines, err := readAll(r)
	if len(lines) != 1 || !errors.Is(err, broken) {
		t.Fatalf("got %q, %v", lines, err)
	}
}

func FuzzLineReaderAgreesWithSplit(f *testing.F) {
	f.Add([]byte("a\nb\n\nc"), 10)
	f.Add([]byte("\r\n\r\r\n"), 1)
	f.Add(bytes.Repeat([]byte("abcdefg"), 2000), 5000)
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		if limit < 0 || limit > 1<<20 {
			return
		}
		var want []string
		wantErr := io.EOF
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			line = bytes.TrimRight(line, "\r")
			if len(line) > limit {
				wantErr = ErrLineTooLong
				break
			}
			if len(line) > 0 {
				want = append(want, string(line))
			}
		}
		got, err := readAll(NewLineReader(bytes.NewReader(data), limit))
		if !errors.Is(err, wantErr) && !bytes.Contains(data, []byte("\r")) {
			t.Fatalf("ended with %v, want %v", err, wantErr)
		}
		if err == wantErr && strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
