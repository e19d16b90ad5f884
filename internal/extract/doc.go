// Package extract turns the bytes of a file into text with structure.
//
//	name, bytes --> kind by extension --> reader --> tidy --> rag.Extracted: text, headings, page starts, warnings
//	                                       |- text      byte order mark, UTF-8, else the encoding is detected and named
//	                                       |- Markdown  the source itself, less front matter; headings from the syntax tree
//	                                       |- HTML      the main part of the page, tables as rows
//	                                       |- DOCX      own reader over zip and XML, both dialects
//	                                       '- PDF       PDFium as WebAssembly: memory-safe, killable, started at the first PDF
//
// Files are written by strangers, so every reader is bounded: in the text it may make (MaxTextBytes), in pages, in what an
// archive may unpack to, in how deep elements may nest, in the memory of a PDF's sandbox; time is the caller's, through the
// context. A file that cannot be read ends in a *rag.Error whose sentence fragment reads well after "FILE: " and says what to do;
// a file that can be read in part gives its text and a warning. A parser that panics is such a file too.
//
// Text comes out as UTF-8 in NFC with \n for line breaks and without control characters or byte order mark. Offsets in
// headings and pages count its bytes. The package knows nothing of folders, jobs, passages or storage.
package extract
