package extract

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Config bounds what a file may cost. A zero field means its default.
type Config struct {
	MaxTextBytes    int           // longest text a file may give, in bytes; 20 MiB
	MaxPages        int           // most pages of a PDF that are read, the rest is left out with a warning; 5000
	MaxPDFMemory    int64         // memory of one PDF reader in bytes; 512 MiB
	MaxPDFReaders   int           // PDFs read at once; 2
	CodeDir         string        // folder for PDFium as machine code, so that the next process need not compile it; "": it is not kept
	PDFIdle         time.Duration // an unused PDF runtime is given back after so long; 1 minute
	MaxEntryBytes   int64         // largest part of a DOCX, unpacked, in bytes; 64 MiB
	MaxArchiveBytes int64         // all parts of a DOCX that are read, unpacked, in bytes; 128 MiB
	MaxDepth        int           // elements inside each other in DOCX and Markdown, deeper ones are left out (HTML: 512, the parser's own); 512
}

func (c Config) withDefaults() Config {
	if c.MaxTextBytes == 0 {
		c.MaxTextBytes = 20 << 20
	}
	if c.MaxPages == 0 {
		c.MaxPages = 5000
	}
	if c.MaxPDFMemory == 0 {
		c.MaxPDFMemory = 512 << 20
	}
	if c.MaxPDFReaders == 0 {
		c.MaxPDFReaders = 2
	}
	if c.PDFIdle == 0 {
		c.PDFIdle = time.Minute
	}
	if c.MaxEntryBytes == 0 {
		c.MaxEntryBytes = 64 << 20
	}
	if c.MaxArchiveBytes == 0 {
		c.MaxArchiveBytes = 128 << 20
	}
	if c.MaxDepth == 0 {
		c.MaxDepth = 512
	}
	return c
}

// Extractor reads files. It is safe for concurrent use.
type Extractor struct {
	config Config
	pdf    *pdfReaders
}

// New makes an Extractor; nothing is started before the first PDF comes.
func New(c Config) *Extractor {
	c = c.withDefaults()
	return &Extractor{config: c, pdf: newPDFReaders(c)}
}

// Close gives the PDF runtime back; reads that still run end with an error.
func (e *Extractor) Close() error { return e.pdf.close() }

type reader func(e *Extractor, ctx context.Context, data []byte) (rag.Extracted, error)

// kindOf gives the media type of files of this name and their reader, nil where there is none.
func kindOf(name string) (string, reader) {
	switch strings.ToLower(path.Ext(name)) {
	case ".txt", ".text", ".log":
		return "text/plain", (*Extractor).plain
	case ".md", ".markdown":
		return "text/markdown", (*Extractor).markdown
	case ".mdx":
		return "text/mdx", (*Extractor).mdx
	case ".html", ".htm", ".xhtml":
		return "text/html", (*Extractor).html
	case ".pdf":
		return "application/pdf", (*Extractor).readPDF
	case ".docx":
		return "application/vnd.openxmlformats-officedocument.wordprocessingml.document", (*Extractor).docx
	}
	return "", nil
}

// Supports says whether a file of this name is of a kind that can be read; the case of its extension does not matter.
func (e *Extractor) Supports(name string) bool {
	_, read := kindOf(name)
	return read != nil
}

// Extract reads a file. Its errors are *rag.Error of kind Unreadable or TooLarge, or the context's.
func (e *Extractor) Extract(ctx context.Context, name string, data []byte) (x rag.Extracted, err error) {
	mediaType, read := kindOf(name)
	if read == nil {
		return rag.Extracted{}, unreadable("is not of a kind that can be read (.txt .md .html .pdf .docx)")
	}
	if err := ctx.Err(); err != nil {
		return rag.Extracted{}, err
	}
	defer func() {
		if r := recover(); r != nil {
			x, err = rag.Extracted{}, unreadable("is damaged, or of a sort this reader does not know").Because(fmt.Errorf("panic: %v", r))
		}
	}()
	if x, err = read(e, ctx, data); err != nil {
		return rag.Extracted{}, err
	}
	if len(x.Text) > e.config.MaxTextBytes {
		return rag.Extracted{}, e.tooMuchText()
	}
	x.MediaType = mediaType
	return x, nil
}

func unreadable(format string, args ...any) *rag.Error {
	return rag.Errorf(rag.Unreadable, "", format, args...)
}

func (e *Extractor) tooMuchText() *rag.Error {
	return rag.Errorf(rag.TooLarge, "", "holds more than %d bytes of text: split it into smaller files", e.config.MaxTextBytes)
}
