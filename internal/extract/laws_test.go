package extract

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// checkExtracted checks the laws that every extracted text keeps.
func checkExtracted(t *testing.T, x rag.Extracted) {
	t.Helper()
	if !utf8.ValidString(x.Text) || !norm.NFC.IsNormalString(x.Text) {
		t.Error("the text is not UTF-8 in NFC")
	}
	if i := strings.IndexFunc(x.Text, untidy); i >= 0 {
		t.Errorf("the text holds %q at %d", x.Text[i:min(len(x.Text), i+4)], i)
	}
	if !slices.IsSorted(x.Pages) {
		t.Error("pages do not ascend")
	}
	for _, p := range x.Pages {
		if p < 0 || p > len(x.Text) || p < len(x.Text) && !utf8.RuneStart(x.Text[p]) {
			t.Errorf("page at %d", p)
		}
	}
	last := 0
	for _, h := range x.Headings {
		s := h.Span
		if s.Start < last || s.End <= s.Start || s.End > len(x.Text) || h.Level < 1 || h.Text == "" {
			t.Fatalf("heading %+v after %d", h, last)
		}
		if !utf8.ValidString(x.Text[s.Start:s.End]) {
			t.Errorf("heading %+v cuts a character", h)
		}
		last = s.End
	}
}

func read(t testing.TB, name string, data []byte) (rag.Extracted, error) {
	t.Helper()
	e := New(Config{})
	t.Cleanup(func() { _ = e.Close() })
	return e.Extract(t.Context(), name, data)
}

// checkOutcome checks that a file of a stranger gave text that keeps the laws, or a reason of the right kind.
func checkOutcome(t *testing.T, x rag.Extracted, err error) {
	t.Helper()
	if err == nil {
		checkExtracted(t, x)
		return
	}
	if kind := rag.KindOf(err); kind != rag.Unreadable && kind != rag.TooLarge {
		t.Errorf("kind %q: %v", kind, err)
	}
	if strings.Contains(err.Error(), "panic") {
		t.Errorf("a panic: %v", err)
	}
}

func TestKindsAreToldByExtensionInAnyCase(t *testing.T) {
	e := New(Config{})
	for _, name := range []string{"a.txt", "A.TEXT", "b.log", "c.md", "d.Markdown", "e.mdx", "f.html", "g.HTM", "h.xhtml", "i.PDF", "dir/j.docx"} {
		if !e.Supports(name) {
			t.Errorf("%s is not supported", name)
		}
	}
	for _, name := range []string{"", "txt", ".hidden", "a.doc", "a.pdf.zip", "a.csv", "a.docm"} {
		if e.Supports(name) {
			t.Errorf("%s is supported", name)
		}
		if _, err := e.Extract(t.Context(), name, nil); rag.KindOf(err) != rag.Unreadable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMoreTextThanTheLimitIsRefused(t *testing.T) {
	e := New(Config{MaxTextBytes: 100})
	text := strings.Repeat("word ", 100)
	for name, data := range map[string][]byte{"a.txt": []byte(text), "a.md": []byte(text), "a.html": []byte("<p>" + text), "a.docx": word(t, para("", text), nil)} {
		if _, err := e.Extract(t.Context(), name, data); rag.KindOf(err) != rag.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTidyTextHasOneForm(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb\rc\n": "a\nb\nc\n", "\uFEFFa": "a", "e\u0301": "é", "a\x00b\x07c\u0085d\u2028e": "abc\nd\ne", "a\xFFb": "a\uFFFDb", "co\u00ADop": "coop", "a\tb": "a\tb",
	} {
		if got := tidy(in); got != want {
			t.Errorf("tidy(%q) = %q, want %q", in, got, want)
		}
	}
}
