package ingest

import (
	"context"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Reader turns a file's bytes into text with structure.
type Reader interface {
	// Supports says whether a file of this name is of a kind that can be read.
	Supports(name string) bool
	Extract(ctx context.Context, name string, data []byte) (rag.Extracted, error)
}

// Cutter cuts a text into passages: Chunk, Heading, Page, Span, Language, Text and Hash are set.
type Cutter interface {
	Cut(x rag.Extracted) []rag.Passage
	// Recipe names the way of cutting; documents cut another way are cut again.
	Recipe() string
}

// Documents keeps documents; each call is one durable transaction.
type Documents interface {
	Known(ctx context.Context, base, source string) (rag.KnownDocument, bool, error)
	Put(ctx context.Context, base string, n rag.NewDocument) (rag.Update, error)
	Delete(ctx context.Context, base string, sources []string) ([]string, rag.Update, error)
	Origins(ctx context.Context, base string) (map[string]string, error)
	Pending(ctx context.Context, base string, n int) ([]rag.Passage, error)
	PendingBases(ctx context.Context) ([]string, error)
	SetVectors(ctx context.Context, base string, id rag.EmbedderID, passages []rag.Passage, vectors [][]float32, keys []string) (rag.Update, error)
	KnownVectors(ctx context.Context, keys []string) (map[string][]float32, error)
	CountPassages(ctx context.Context, base string) (int, error)
	AllPassages(ctx context.Context, base string, after int64, n int) ([]rag.Passage, error)
	CountPending(ctx context.Context, base string) (int, error)
	SetAside(ctx context.Context, base string, passages []rag.Passage, vectors [][]float32, keys []string) error
	TakeAside(ctx context.Context, base string, id rag.EmbedderID) (rag.Update, error)
	DropAside(ctx context.Context, base string) error
}

// Jobs keeps jobs.
type Jobs interface {
	PutJob(ctx context.Context, j rag.JobRecord) error
	Job(ctx context.Context, id string) (rag.JobRecord, error)
	Jobs(ctx context.Context, unfinished bool) ([]rag.JobRecord, error)
}

// Follower hears of every change of a knowledge base after it is durable: the index, the answer cache.
type Follower interface {
	Apply(ctx context.Context, base string, u rag.Update) error
}
