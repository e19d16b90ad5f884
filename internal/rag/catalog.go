package rag

// BaseInfo is a knowledge base as lists show it.
type BaseInfo struct {
	Name      string     `json:"name"`
	Created   int64      `json:"created"` // Unix seconds
	Documents int        `json:"documents"`
	Passages  int        `json:"passages"`
	Vectors   int        `json:"vectors"`
	Bytes     int64      `json:"bytes"` // of the files it was read from
	Embedder  EmbedderID `json:"embedder"`
	Change    uint64     `json:"change"`
}

// DocumentInfo is a document as lists show it.
type DocumentInfo struct {
	ID        int64  `json:"id"`
	Source    string `json:"source"`
	Title     string `json:"title"`
	MediaType string `json:"media_type"`
	Encoding  string `json:"encoding,omitempty"`
	Version   string `json:"version"`
	Language  string `json:"language"`
	Pages     int    `json:"pages,omitempty"`
	Bytes     int64  `json:"bytes"`
	Added     int64  `json:"added"` // Unix seconds
	Chunks    int    `json:"chunks"`
	Pending   int    `json:"pending,omitempty"` // passages that wait for their vectors
}
