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
