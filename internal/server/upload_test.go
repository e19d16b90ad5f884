package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// desk takes ingest jobs and remembers the last.
type desk struct {
	Ingest
	last rag.IngestRequest
	err  error
}

func (d *desk) Submit(_ context.Context, req rag.IngestRequest) (rag.Job, error) {
	d.last = req
	return rag.Job{ID: "j1", State: rag.JobQueued, Request: req}, d.err
}

func uploadLab(t *testing.T) (lab, *desk, *Config) {
	d, kept := &desk{}, &Config{}
	l := newLab(t, func(c *Config) {
		c.Ingest, c.MaxUpload = d, 100
		*kept = *c
	})
	return l, d, kept
}

// form is a multipart body; part adds to it under a whole Content-Disposition.
type form struct {
	bytes.Buffer
	*multipart.Writer
}

func newForm() *form {
	f := &form{}
	f.Writer = multipart.NewWriter(&f.Buffer)
	return f
}

func (f *form) part(disposition, content string) *form {
	w, _ := f.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}})
	_, _ = w.Write([]byte(content))
	return f
}

func (f *form) body() string {
	_ = f.Close()
	return f.String()
}

// left is what lies in the folder of uploads.
func left(t *testing.T, c *Config) int {
	t.Helper()
	entries, err := os.ReadDir(c.SpoolDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(entries)
}

func TestUploadsThatCannotBeTakenLeaveNothingBehind(t *testing.T) {
	file := `form-data; name="files"; filename="a.txt"`
	for _, c := range []struct {
		name string
		form *form
		cut  int
		code int
		says string
	}{
		{"no parts", newForm(), 0, 422, "at least one file"},
		{"fields only", newForm().part(`form-data; name="db"`, "default"), 0, 422, "at least one file"},
		{"no file chosen", newForm().part(`form-data; name="files"; filename=""`, ""), 0, 422, "file name"},
		{"a name of dots", newForm().part(`form-data; name="files"; filename="../.."`, "x"), 0, 422, "file name"},
		{"a name too long", newForm().part(`form-data; name="files"; filename="`+strings.Repeat("x", maxSourceBytes+1)+`"`, "x"), 0, 422, "file name"},
		{"broken disposition", newForm().part(`form-data; name="files`, "x"), 0, 400, "Content-Disposition"},
		{"strange version", newForm().part(file, "x").part(`form-data; name="version"`, "../1"), 0, 422, "version"},
		{"unknown knowledge base", newForm().part(file, "x").part(`form-data; name="db"`, "nope"), 0, 404, ""},
		{"cut in a file", newForm().part(file, strings.Repeat("x", 90)), 100, 400, "broke off"},
		{"cut in a field", newForm().part(`form-data; name="db"`, strings.Repeat("x", 90)), 100, 400, "broke off"},
	} {
		l, _, cfg := uploadLab(t)
		body := c.form.body()
		w := l.send("POST", "/api/upload", body[:len(body)-c.cut], "Content-Type", c.form.FormDataContentType())
		if w.Code != c.code || !strings.Contains(fmt.Sprint(object(t, w)["detail"]), c.says) {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if n := left(t, cfg); n != 0 {
			t.Errorf("%s: %d folders are left", c.name, n)
		}
	}
}

func TestWhatIsNoFormIsRefused(t *testing.T) {
	l, _, _ := uploadLab(t)
	for _, kind := range []string{"", "application/json", "multipart/form-data", "text/plain; boundary=x"} {
		if w := l.send("POST", "/api/upload", "x", "Content-Type", kind); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "files") {
			t.Errorf("%q: %d %s", kind, w.Code, w.Body)
		}
	}
}

func TestAJobThatIsNotTakenLeavesNoUploads(t *testing.T) {
	l, d, cfg := uploadLab(t)
	d.err = rag.Errorf(rag.Overloaded, rag.CodeQueueFull, "busy")
	f := newForm().part(`form-data; name="files"; filename="a.txt"`, "x")
	if w := l.send("POST", "/api/upload", f.body(), "Content-Type", f.FormDataContentType()); w.Code != http.StatusServiceUnavailable || left(t, cfg) != 0 {
		t.Errorf("%d, %d folders are left", w.Code, left(t, cfg))
	}
}

func TestHundredsOfPartsInAnyOrder(t *testing.T) {
	l, d, _ := uploadLab(t)
	f := newForm()
	for i := range 400 {
		f.part(fmt.Sprintf(`form-data; name="files"; filename="dir/%d.txt"`, i), strings.Repeat("x", i))
		f.part(fmt.Sprintf(`form-data; name="strange%d"`, i), strings.Repeat("y", 10_000))
	}
	f.part(`form-data; name="async"`, "true").part(`form-data; name="version"`, "v1")
	w := l.send("POST", "/api/upload", f.body(), "Content-Type", f.FormDataContentType())
	if w.Code != http.StatusAccepted || len(d.last.Paths) != 400 || d.last.Version != "v1" || d.last.DB != "default" {
		t.Fatalf("%d %.200s, %d paths", w.Code, w.Body, len(d.last.Paths))
	}
	for i, p := range d.last.Paths {
		// One byte past the limit shows the job that a file is too large; more is not kept.
		if info, err := os.Stat(p.File); err != nil || info.Size() != min(int64(i), 101) || p.Name != fmt.Sprintf("dir/%d.txt", i) || !p.Upload {
			t.Errorf("file %d: %+v, %v", i, p, err)
		}
	}
}

func TestNamesOfUploadsAreTidied(t *testing.T) {
	for name, want := range map[string]string{
		"a.md": "a.md", "docs/a.md": "docs/a.md", "/etc/passwd": "etc/passwd", `C:\docs\a.md`: "C:/docs/a.md", "../../a.md": "a.md", "a/../../b.md": "b.md",
		".\x00./.\x00./b.md": "b.md", "a\r\nb.md": "ab.md", "été 1.md": "été 1.md", "..": "", "": "", "/": "", "./": "", "a//b/.": "a/b",
	} {
		if got := uploadName(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"./docs/": "docs", "../x/docs": "x/docs", "..": "", ".": "", "/srv/docs": "/srv/docs", "a/../..": "", "a\nb": "ab"} {
		if got := cleanSource(name); got != want {
			t.Errorf("%q is the source %q, want %q", name, got, want)
		}
	}
}

// FuzzNames: whatever a client calls a file, its source is tidy text that leads nowhere.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"a.md", `..\..\a`, "/etc/passwd", ".\x00./x", "a/..\x7f/..", "\xff\xfe/..", "....//", "\u0085..\u0085/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		upload, source := uploadName(name), cleanSource(name)
		for _, got := range []string{upload, source} {
			if strings.ContainsFunc(got, unicode.IsControl) || !utf8.ValidString(got) {
				t.Errorf("%q became %q", name, got)
			}
			for part := range strings.SplitSeq(got, "/") {
				if part == ".." {
					t.Errorf("%q became %q", name, got)
				}
			}
		}
		if path.IsAbs(upload) || strings.Contains(upload, `\`) || uploadName(upload) != upload {
			t.Errorf("%q became %q, and that %q", name, upload, uploadName(upload))
		}
		if cleanSource(source) != source { // a path keeps its root: it is named as the person wrote it
			t.Errorf("%q became %q, and that %q", name, source, cleanSource(source))
		}
	})
}
