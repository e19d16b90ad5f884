package rag

import "time"

// Span is a half-open range of bytes in a document's extracted text.
type Span struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// Document is a source whose text was read into a knowledge base.
type Document struct {
	ID        int64
	Source    string // the path or name it came under; unique in its knowledge base
	Title     string
	MediaType string
	Encoding  string   // character encoding of a plain text file, "" where the format says it
	Version   string   // given by the operator, else the first 8 hex digits of Digest
	Language  string   // ISO 639-1 of most of its passages, "unknown" where none could be told
	Digest    string   // SHA-256 of the file's bytes, hex
	Text      string   // the extracted text, UTF-8 in NFC; spans count its bytes
	Warnings  []string // what could not be read of it; not kept
	Pages     int      // 0 where the format has none
}

// Passage is the unit that is indexed, retrieved and cited: a piece of a document with its exact place in it.
type Passage struct {
	ID       int64
	Document int64
	Source   string
	Title    string
	Heading  string // the headings above it, outermost first, joined by " > "
	Page     int    // 1-based; 0 where the format has no pages
	Chunk    int    // position among the document's passages, from 0
	Span     Span   // its bytes in the document's text: Text == Document.Text[Start:End]
	Version  string
	Language string
	Text     string
	Hash     string // SHA-256 of Text, hex
}

// Filter narrows retrieval. An empty list does not filter; a passage that lacks the field fails an active filter.
type Filter struct {
	Languages []string
	Versions  []string
	Sources   []string
}

// Method is how passages are found.
type Method string

// The three methods of retrieval.
const (
	Vector Method = "vector" // nearest by cosine
	BM25   Method = "bm25"   // best by words
	Hybrid Method = "hybrid" // both, fused
)

// Query is one retrieval.
type Query struct {
	DB         string
	Text       string
	Vector     []float32 // unit length; nil when no embedder answered, then Vector and Hybrid fall back to BM25
	Method     Method
	K          int
	BM25Weight *float64 // share of the word side in the weighted sum, 0 to 1; nil follows Worth and the languages
	Worth      Worth    // of the vectors
	RRF        bool     // fuse by reciprocal ranks instead of the weighted sum
	RRFK       float64  // the constant of reciprocal rank fusion
	Filter     Filter
}

// Hit is a retrieved passage and why it came.
type Hit struct {
	Passage Passage
	Score   float64  // of the method asked for; hits come in falling order of it
	BM25    *float64 // the raw word score, where the word side found it
	Cosine  *float64 // the cosine to the question, where the vector side found it
}

// Retrieval is what a Query found.
type Retrieval struct {
	Hits   []Hit
	Method Method // the method that was really used
	Change uint64 // the knowledge base's change counter that the snapshot stands for
	Times  RetrievalTimes
}

// RetrievalTimes says what each side of a search took, 0 where it took no part.
type RetrievalTimes struct{ Words, Vectors, Fusion time.Duration }

// EmbedderID identifies vectors that can be compared with each other. A knowledge base never mixes two.
type EmbedderID struct {
	Name      string `json:"name"`
	Digest    string `json:"digest"`
	Dimension int    `json:"dimension"`
	Prefix    string `json:"prefix,omitempty"` // the prefixes put before texts, question first, joined by "|"
}

// IsZero says whether there is no embedder at all.
func (id EmbedderID) IsZero() bool { return id == EmbedderID{} }

// Entry is a passage with its vector, nil where it has none: what an index is built from.
type Entry struct {
	Passage Passage
	Vector  []float32
}

// Update is one change of a knowledge base, as its index has to follow it.
type Update struct {
	Change uint64  // the change counter after it
	Remove []int64 // passages that are gone
	Add    []Entry
	// Rebuild says that more changed than the update tells, as all vectors do when the embedder changes: what follows is to be
	// built anew.
	Rebuild bool
}

// Extracted is a file's text with its structure: what an extractor makes and a chunker cuts.
type Extracted struct {
	Text      string // UTF-8 in NFC, line breaks as \n
	Title     string
	MediaType string
	Encoding  string    // character encoding of a plain text file, "" where the format says it
	Pages     []int     // offset in Text where each page starts; nil where the format has none
	Headings  []Heading // in order
	Warnings  []string  // what could not be read, for the person who ingested it
}

// Heading is a heading in an extracted text.
type Heading struct {
	Level int // 1 is the outermost
	Text  string
	Span  Span // its line in the text
}
