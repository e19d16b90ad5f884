package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klippa-app/go-pdfium"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// pdfOf makes a PDF with one page a content stream; extra objects follow them, catalog goes into the catalog.
func pdfOf(pages []string, catalog string, extra ...string) []byte {
	var kids []string
	for i := range pages {
		kids = append(kids, fmt.Sprintf("%d 0 R", 4+2*i))
	}
	objects := []string{
		"<</Type/Catalog/Pages 2 0 R " + catalog + ">>",
		fmt.Sprintf("<</Type/Pages/Kids[%s]/Count %d>>", strings.Join(kids, " "), len(pages)),
		"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
	}
	for i, content := range pages {
		objects = append(objects, fmt.Sprintf("<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>", 5+2*i),
			fmt.Sprintf("<</Length %d>>stream\n%s\nendstream", len(content), content))
	}
	objects = append(objects, extra...)
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}

// lines is the content of a page with lines of text.
func lines(s ...string) string {
	var b strings.Builder
	b.WriteString("BT /F1 12 Tf 72 720 Td 14 TL\n")
	for _, line := range s {
		fmt.Fprintf(&b, "(%s) Tj T*\n", line)
	}
	b.WriteString("ET")
	return b.String()
}

// shared has the one PDF runtime of all tests: it takes seconds to start.
var shared = sync.OnceValue(func() *Extractor { return New(Config{}) })

func TestPDF(t *testing.T) {
	c := shared().config
	c.MaxPages = 3
	e := &Extractor{config: c, pdf: shared().pdf}

	t.Run("pages are joined and known by where they start", func(t *testing.T) {
		x, err := e.Extract(t.Context(), "a.pdf", pdfOf([]string{lines("First page", "goes on"), lines("Second")}, ""))
		if err != nil || x.Text != "First page\ngoes on\n\nSecond" || len(x.Pages) != 2 || x.Pages[1] != len("First page\ngoes on\n\n") {
			t.Errorf("%q, %v, %v", x.Text, x.Pages, err)
		}
	})
	t.Run("pages without text are counted, pages beyond the limit named", func(t *testing.T) {
		x, err := e.Extract(t.Context(), "a.pdf", pdfOf([]string{"", lines("Second"), "", lines("Fourth")}, ""))
		want := []string{"2 of 3 pages hold no text (scanned?)", "only the first 3 of 4 pages were read"}
		if err != nil || fmt.Sprint(x.Warnings) != fmt.Sprint(want) || x.Text != "Second" {
			t.Errorf("%q, %q, %v", x.Text, x.Warnings, err)
		}
	})
	t.Run("entries of the outline that stand on their page are headings", func(t *testing.T) {
		outline := []string{"<</Type/Outlines/First 9 0 R/Last 9 0 R>>",
			"<</Title(Second  part)/Parent 8 0 R/Dest[6 0 R/Fit]/Next 9 0 R>>"} // a circle
		x, err := e.Extract(t.Context(), "a.pdf", pdfOf([]string{lines("First"), lines("2. Second part", "text")}, "/Outlines 8 0 R", outline...))
		if err != nil || len(x.Headings) != 1 || x.Text[x.Headings[0].Span.Start:x.Headings[0].Span.End] != "2. Second part" {
			t.Errorf("%+v, %v", x.Headings, err)
		}
	})
	t.Run("what cannot be read says why", func(t *testing.T) {
		for says, data := range map[string][]byte{
			"is not a PDF":     []byte("hello"),
			"damaged":          []byte("%PDF-1.4\nhello"),
			"holds only image": pdfOf([]string{"0 0 m 9 9 l S"}, ""),
		} {
			_, err := e.Extract(t.Context(), "a.pdf", data)
			if rag.KindOf(err) != rag.Unreadable || !strings.Contains(err.Error(), says) {
				t.Errorf("want %q, got %v", says, err)
			}
		}
	})
	t.Run("a reader that does not end is killed, the next is well", func(t *testing.T) {
		slow := pdfOf([]string{lines("a") + strings.Repeat("\nBT /F1 12 Tf 72 720 Td (word) Tj ET", 400_000)}, "")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := e.Extract(ctx, "a.pdf", slow); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("ended after %s", took)
		}
		if x, err := e.Extract(t.Context(), "a.pdf", pdfOf([]string{lines("well")}, "")); err != nil || x.Text != "well" {
			t.Errorf("%q, %v", x.Text, err)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				want := fmt.Sprint("file ", i)
				if x, err := e.Extract(t.Context(), "a.pdf", pdfOf([]string{lines(want)}, "")); err != nil || x.Text != want {
					t.Errorf("%q, %v", x.Text, err)
				}
			})
		}
		group.Wait()
	})
}

// fakePool counts; it lends nothing.
type fakePool struct {
	pdfium.Pool
	closed int
}

func (p *fakePool) GetInstanceWithContext(context.Context) (pdfium.Pdfium, error) {
	return nil, errors.New("no instance")
}

func (p *fakePool) Close() error {
	p.closed++
	return nil
}

func TestThePDFRuntimeIsGivenBackWhenItWasIdleForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &fakePool{}
		r := newPDFReaders(Config{PDFIdle: time.Minute}.withDefaults())
		r.pool = pool
		use := func() { _ = r.with(t.Context(), func(pdfium.Pdfium) error { return nil }) }
		for range 5 {
			use()
			time.Sleep(50 * time.Second)
		}
		r.mu.Lock()
		early := pool.closed
		r.mu.Unlock()
		if early != 0 {
			t.Fatal("given back while it is used every 50 seconds")
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if pool.closed != 1 || r.pool != nil {
			t.Errorf("closed %d times after a minute", pool.closed)
		}
	})
}

func TestThePackedPDFiumIsTheModules(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/klippa-app/go-pdfium").Output()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "internal", "pdfium_wasm", "pdfium.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := unpackPDFium()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v: run go run ./internal/extract/internal/packpdfium internal/extract/pdfium/pdfium.wasm.gz", len(got), err)
	}
}

func TestDamagedMachineCodeIsMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pdfium")
	read := func() {
		e := New(Config{CodeDir: dir})
		defer func() { _ = e.Close() }()
		if x, err := e.Extract(t.Context(), "a.pdf", pdfOf([]string{lines("here")}, "")); err != nil || x.Text != "here" {
			t.Errorf("%q, %v", x.Text, err)
		}
	}
	read()
	damaged := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		damaged++
		return os.WriteFile(path, []byte("no machine code"), 0o600)
	})
	if err != nil || damaged == 0 {
		t.Fatalf("%d files kept, %v", damaged, err)
	}
	read()
}

func TestNothingIsReadAfterClose(t *testing.T) {
	e := New(Config{})
	_ = e.Close()
	if _, err := e.Extract(t.Context(), "a.pdf", pdfOf([]string{lines("late")}, "")); rag.KindOf(err) != rag.Unavailable {
		t.Error(err)
	}
}

func TestHyphensAtLineEndsJoinWordsSaveCompounds(t *testing.T) {
	pages := []string{"docu\uE0ADment, well\uE0ADknown, 1\uE0AD2", "a well-known fact"}
	unhyphenate(pages)
	if pages[0] != "document, well-known, 1-2" {
		t.Errorf("%q", pages[0])
	}
}

func TestTitlesThatProgramsGaveAreNone(t *testing.T) {
	for title, none := range map[string]bool{"Untitled": true, "Microsoft Word - x.doc": true, "paper.dvi": true, "12": true, "": true, "Annual Report 2024": false, "Báo cáo": false} {
		if notATitle.MatchString(title) != none {
			t.Errorf("%q", title)
		}
	}
}

func FuzzPDF(f *testing.F) {
	f.Add(pdfOf([]string{lines("a")}, ""))
	f.Add([]byte("%PDF-1.7 trailer<</Root 1 0 R>>"))
	e := shared()
	if _, err := e.Extract(f.Context(), "a.pdf", pdfOf([]string{lines("warm up")}, "")); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		x, err := e.Extract(ctx, "a.pdf", data)
		checkOutcome(t, x, err)
	})
}
