package rag

import "context"

// NewDocument is a document to be kept, with its passages and, where an embedder answered, their vectors.
type NewDocument struct {
	Document Document
	Recipe   string // how it was read and cut
	Origin   string // absolute path of its file on this machine, "" for uploads
	Bytes    int64  // size of the file
	Passages []Passage
	Vectors  [][]float32 // nil, or one a passage
	Keys     []string    // nil, or one a vector: what it was made of and by whom, so that it need not be made again
	Embedder EmbedderID
}

// KnownDocument is what is remembered of a document to tell whether it has to be read again.
type KnownDocument struct {
	Digest  string
	Recipe  string
	Version string
	Origin  string
}

// JobRecord is a durable piece of work. Data is the JSON of whoever does it.
type JobRecord struct {
	ID       string
	Data     []byte
	Created  int64 // Unix nanoseconds
	Finished int64 // Unix nanoseconds, 0 until it ended
}

// KeptAnswer is an entry of the answer cache as it outlives a restart. For which change its evidence held is not kept: the
// documents may be those of a backup by then.
type KeptAnswer struct {
	ID     string
	Key    CacheKey
	Vector []float32 // nil: serves the very same question only
	Made   int64     // Unix nanoseconds
	Answer []byte    // JSON of Answer
}

// AnswerKeeper keeps the entries of the answer cache in a file. KeepAnswers is all or nothing.
type AnswerKeeper interface {
	KeptAnswers(ctx context.Context) ([]KeptAnswer, error)
	KeepAnswers(ctx context.Context, put []KeptAnswer, remove []string) error
}
