package search

import (
	"context"
	"iter"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Corpus is where an index comes from and where the texts of hits are read. Package store implements it.
type Corpus interface {
	// Passages reads passages in the order of ids; those that are gone are left out.
	Passages(ctx context.Context, db string, ids []int64) ([]rag.Passage, error)
	// Vectors reads the vectors of those ids that have one.
	Vectors(ctx context.Context, db string, ids []int64) (map[int64][]float32, error)
	// Change is the knowledge base's change counter: 0 while it never had a passage, and one more with each change. A rag.NotFound
	// error if there is no such knowledge base.
	Change(ctx context.Context, db string) (uint64, error)
	// Entries yields every passage with its text, in ascending order of id. It stops at the first error.
	Entries(ctx context.Context, db string) iter.Seq2[Entry, error]
}

// Entry is a passage and its vector, nil where it has none. The vector need not be of unit length.
type Entry = rag.Entry

// Update is one committed change of a knowledge base. Its Change is one more than the one before; passages to remove that
// are not known are passed over; those to add are new, or replace the one of the same id, in any order.
type Update = rag.Update

// Stats is what a knowledge base's index is at this moment.
type Stats struct {
	Loaded    bool   // false until the first question or update; then the other figures are 0
	Change    uint64 // the change counter it stands for
	Passages  int
	Vectors   int
	Dimension int // of the vectors; 0 where there are none
	Terms     int // distinct in each segment, summed
	Segments  int
	Deleted   int   // passages that are gone but still in a segment
	Bytes     int64 // of memory, without what questions use for a moment
}
