package extract

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// evalFiles are the real files of $OLLAMA_RAG_EVAL_DATA/ingest-docs that can be read by name.
func evalFiles(t *testing.T, e *Extractor) (string, []string) {
	t.Helper()
	data := os.Getenv("OLLAMA_RAG_EVAL_DATA")
	if data == "" {
		t.Skip("OLLAMA_RAG_EVAL_DATA is not set: it names the folder with evaluation data")
	}
	root := filepath.Join(data, "ingest-docs")
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && e.Supports(path) {
			rel, _ := filepath.Rel(root, path)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return root, names
}

func TestRealFilesGiveTextOrAReason(t *testing.T) {
	e := shared()
	root, names := evalFiles(t, e)
	if _, err := e.Extract(t.Context(), "a.pdf", pdfOf([]string{lines("warm up")}, "")); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			start := time.Now()
			x, err := e.Extract(ctx, name, data)
			took := time.Since(start)
			if err != nil {
				t.Logf("%s: refused after %s: %v", name, took.Round(time.Millisecond), err)
				if kind := rag.KindOf(err); kind != rag.Unreadable && kind != rag.TooLarge {
					t.Errorf("kind %q: %v", kind, err)
				}
				if sound(name) {
					t.Errorf("a sound file is refused: %v", err)
				}
				return
			}
			t.Logf("%s: %d bytes, %d pages, %d headings, %s, title %q, %s, %q", name, len(x.Text), len(x.Pages), len(x.Headings), x.Encoding, x.Title, took.Round(time.Millisecond), x.Warnings)
			checkExtracted(t, x)
		})
	}
}

// sound says whether a file must be readable.
func sound(name string) bool {
	for _, part := range []string{"pdf-broken/", "pdf-encrypted/", "pdf-scanned/", "testOCR", "testPDF_twoAuthors"} {
		if strings.Contains(name, part) {
			return false
		}
	}
	return true
}
