package chunk

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// checkLaws checks what holds for every text.
func checkLaws(t rapid.TB, c *Cutter, x rag.Extracted, passages []rag.Passage) {
	t.Helper()
	at, end := -1, 0
	for i, p := range passages {
		s := p.Span
		if p.Chunk != i || s.Start <= at || s.End <= end {
			t.Fatalf("passage %d has chunk %d and span %v after start %d and end %d", i, p.Chunk, s, at, end)
		}
		if p.Text != x.Text[s.Start:s.End] || p.Text == "" || p.Text != strings.TrimSpace(p.Text) || !utf8.ValidString(p.Text) {
			t.Fatalf("passage %d is %q, the text at %v is %q", i, p.Text, s, x.Text[s.Start:s.End])
		}
		if n := utf8.RuneCountInString(p.Text); n > c.size {
			t.Fatalf("passage %d has %d characters, more than %d", i, n, c.size)
		}
		if s.Start > end && strings.TrimSpace(x.Text[end:s.Start]) != "" {
			t.Fatalf("%q is in no passage", x.Text[end:s.Start])
		}
		if s.Start < end && utf8.RuneCountInString(x.Text[s.Start:end]) > c.overlap {
			t.Fatalf("passage %d shares %q with the one before, overlap %d", i, x.Text[s.Start:end], c.overlap)
		}
		if sum := sha256.Sum256([]byte(p.Text)); p.Hash != hex.EncodeToString(sum[:]) || p.Language == "" {
			t.Fatalf("passage %d: hash %q, language %q", i, p.Hash, p.Language)
		}
		checkCut(t, c, x.Text, s.Start)
		checkCut(t, c, x.Text, s.End)
		at, end = s.Start, s.End
	}
	if strings.TrimSpace(x.Text[end:]) != "" {
		t.Fatalf("%q is in no passage", x.Text[end:])
	}
}

// checkCut checks that no word was cut at a byte of s, save one longer than a passage, or behind a full stop that needs no space.
func checkCut(t rapid.TB, c *Cutter, s string, at int) {
	t.Helper()
	head := s[:at]
	if i := strings.LastIndexFunc(head, unicode.IsSpace); i >= 0 {
		_, size := utf8.DecodeRuneInString(head[i:])
		head = head[i+size:]
	}
	if head == "" {
		return
	}
	tail := s[at:]
	if i := strings.IndexFunc(tail, unicode.IsSpace); i >= 0 {
		tail = tail[:i]
	}
	if tail == "" || strings.ContainsAny(head, "。！？｡।॥۔؟") {
		return
	}
	if utf8.RuneCountInString(head+tail) <= c.size {
		t.Fatalf("the word %q is cut before %q", head+tail, tail)
	}
}

// texts draws documents: lines of words in several scripts, headings, lists, code, tables, odd characters.
func texts() *rapid.Generator[rag.Extracted] {
	word := rapid.OneOf(rapid.StringMatching(`[a-zđàéü]{1,9}[.,!?:]?`), rapid.StringMatching(`[一-十ぁ-ん。、]{1,30}`),
		rapid.SampledFrom([]string{"```", "~~~", "|", "#", "-", "1.", "e\u0301\u0323\u0301", "👩\u200D👩\u200D👧", "\u00A0", "…", "Dr."}), rapid.StringN(1, 12, -1))
	gap := rapid.SampledFrom([]string{" ", " ", " ", "\n", "\n\n", " | ", "\t", "\n\n\n", "\n- ", "\n```\n", "\n| "})
	return rapid.Custom(func(t *rapid.T) rag.Extracted {
		var x rag.Extracted
		var b strings.Builder
		for range rapid.IntRange(0, 60).Draw(t, "words") {
			if rapid.IntRange(0, 9).Draw(t, "heading?") == 0 {
				name := strings.TrimSpace(strings.ToValidUTF8(word.Draw(t, "heading"), ""))
				if name == "" {
					continue
				}
				b.WriteString("\n\n")
				start := b.Len()
				b.WriteString(name)
				x.Headings = append(x.Headings, rag.Heading{Level: rapid.IntRange(1, 4).Draw(t, "level"), Text: name, Span: rag.Span{Start: start, End: b.Len()}})
				b.WriteString("\n\n")
				continue
			}
			b.WriteString(strings.ToValidUTF8(word.Draw(t, "word"), ""))
			b.WriteString(gap.Draw(t, "gap"))
			if rapid.IntRange(0, 19).Draw(t, "page?") == 0 {
				x.Pages = append(x.Pages, b.Len())
			}
		}
		x.Text = b.String()
		return x
	})
}

func TestPassagesAreExactTrimmedBoundedAndCoverTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := texts().Draw(t, "text")
		size := rapid.IntRange(1, 120).Draw(t, "size")
		c := New(size, rapid.IntRange(0, size).Draw(t, "overlap"))
		passages := c.Cut(x)
		checkLaws(t, c, x, passages)
		if again := c.Cut(x); !reflect.DeepEqual(passages, again) {
			t.Fatal("a second cut differs")
		}
	})
}

func FuzzCut(f *testing.F) {
	f.Add("# a\n\nb c. D e.\n\n```\ncode\n```\n\n| a | b |\n| c | d |\n", 10, 3, 0, 3)
	f.Fuzz(func(t *testing.T, s string, size, overlap, from, to int) {
		s = strings.ToValidUTF8(s, "?")
		c := New(size%2000, overlap)
		x := rag.Extracted{Text: s, Headings: []rag.Heading{{Level: 1, Text: "h", Span: rag.Span{Start: from, End: to}}}}
		inWord := from > 0 && from < len(s) || to > 0 && to < len(s)
		if inWord { // a heading is a line
			x.Headings = nil
		}
		checkLaws(t, c, x, c.Cut(x))
	})
}
