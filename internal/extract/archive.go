package extract

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"io"
	"strings"

	"golang.org/x/net/html/charset"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// archive is a zip file whose parts are bounded in what they unpack to, each and together.
type archive struct {
	config Config
	files  map[string]*zip.File
	left   int64 // bytes that may still be unpacked
}

func (e *Extractor) openArchive(data []byte) (*archive, error) {
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		if !bytes.HasPrefix(data, []byte("PK")) {
			return nil, unreadable("is named .docx and is not a Word document: give it the name of what it is").Because(err)
		}
		return nil, unreadable("is damaged: open it in a word processor and save it again").Because(err)
	}
	a := &archive{config: e.config, files: map[string]*zip.File{}, left: e.config.MaxArchiveBytes}
	for _, f := range r.File {
		name := strings.ReplaceAll(f.Name, `\`, "/")
		if f.Flags&1 != 0 {
			return nil, unreadable("is encrypted: remove its password first")
		}
		if a.files[name] == nil {
			a.files[name] = f
		}
	}
	return a, nil
}

// optional opens a part that may be missing: nil then.
func (a *archive) optional(name string) (*input, error) {
	if a.files[name] == nil {
		return nil, nil
	}
	return a.xml(name)
}

// xml opens a part for reading.
func (a *archive) xml(name string) (*input, error) {
	r, err := a.files[name].Open()
	if err != nil {
		return nil, unreadable("is damaged: open it in a word processor and save it again").Because(err)
	}
	in := &input{}
	in.Decoder = xml.NewDecoder(&boundedReader{in: in, archive: a, r: r, left: a.config.MaxEntryBytes})
	in.CharsetReader = charset.NewReaderLabel
	return in, nil
}

// boundedReader ends in a refusal when a part, or all of them, unpack to more than they may.
type boundedReader struct {
	in      *input
	archive *archive
	r       io.Reader
	left    int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 || b.archive.left <= 0 {
		b.in.refused = rag.Errorf(rag.TooLarge, "", "unpacks to more than %d bytes: split it into smaller files", min(b.archive.config.MaxEntryBytes, b.archive.config.MaxArchiveBytes))
		return 0, b.in.refused
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left, b.archive.left)])
	b.left -= int64(n)
	b.archive.left -= int64(n)
	return n, err
}

// input reads XML forward.
type input struct {
	*xml.Decoder
	refused *rag.Error // why the whole file is refused
}

// next gives the next element that begins, or says that the open one ended. Both are empty for everything else.
func (in *input) next() (start *xml.StartElement, end bool, err error) {
	token, err := in.Token()
	if err != nil {
		if in.refused != nil {
			err = in.refused
		}
		return nil, false, err
	}
	switch t := token.(type) {
	case xml.StartElement:
		return &t, false, nil
	case xml.EndElement:
		return nil, true, nil
	case xml.Directive:
		in.refused = unreadable("holds an XML document type, which no Word document does: open it in a word processor and save it again")
		return nil, false, in.refused
	}
	return nil, false, nil
}

// each calls do for the elements inside the open one; do has to read each to its end.
func (in *input) each(do func(*xml.StartElement) error) error {
	for {
		start, end, err := in.next()
		if err != nil || end {
			return err
		}
		if start != nil {
			if err := do(start); err != nil {
				return err
			}
		}
	}
}

// choose reads one branch of an AlternateContent: the first choice, or the fallback where there is none.
func (in *input) choose(read func() error) error {
	chosen := false
	return in.each(func(e *xml.StartElement) error {
		if chosen {
			return in.Skip()
		}
		chosen = true
		return read()
	})
}

// text reads the characters of the open element to its end.
func (in *input) text() (string, error) {
	var b strings.Builder
	for depth := 1; depth > 0; {
		token, err := in.Token()
		if err != nil {
			if in.refused != nil {
				err = in.refused
			}
			return b.String(), err
		}
		switch t := token.(type) {
		case xml.CharData:
			b.Write(t)
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
	return b.String(), nil
}

// space is the short name of an element's namespace, in both dialects of the format: w, m, mc, or "".
func (in *input) space(e *xml.StartElement) string {
	switch ns := e.Name.Space; {
	case strings.HasSuffix(ns, "wordprocessingml/2006/main"), strings.HasSuffix(ns, "ooxml/wordprocessingml/main"):
		return "w"
	case strings.HasSuffix(ns, "officeDocument/2006/math"), strings.HasSuffix(ns, "ooxml/officeDocument/math"):
		return "m"
	case strings.HasSuffix(ns, "markup-compatibility/2006"):
		return "mc"
	}
	return ""
}

func (in *input) is(e *xml.StartElement, space, local string) bool {
	return e.Name.Local == local && in.space(e) == space
}

// attr is the value of an attribute, whatever its namespace.
func attr(e *xml.StartElement, local string) string {
	for _, a := range e.Attr {
		if a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}
