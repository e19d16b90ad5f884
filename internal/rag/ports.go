package rag

import (
	"context"
	"iter"
	"time"
)

// Purpose tells an embedder what a text is, since some models want different prefixes for the two.
type Purpose int

// The two purposes of an embedding.
const (
	ForPassage Purpose = iota
	ForQuestion
)

// Embedder turns texts into unit vectors, one a text, in order.
type Embedder interface {
	Embed(ctx context.Context, purpose Purpose, texts []string) ([][]float32, error)
}

// Embedders finds the embedder that a knowledge base was built with; a zero id means it has no vectors.
type Embedders interface {
	EmbedderFor(ctx context.Context, db string) (Embedder, EmbedderID, error)
}

// Retriever finds passages in a knowledge base.
type Retriever interface {
	Retrieve(ctx context.Context, q Query) (Retrieval, error)
}

// Generator streams a model's answer to a prompt. The last chunk of a whole answer has Done set; an iteration that ends
// with an error or without Done is a cut answer.
type Generator interface {
	Generate(ctx context.Context, p Prompt) iter.Seq2[Chunk, error]
}

// Models says which chat model will answer: wanted where it is named, else the best that is there. With the error of a server that
// cannot be asked may come the model that it last had: remembered answers go by it.
type Models interface {
	ChatModel(ctx context.Context, wanted string) (Model, error)
}

// Recaller is the answer cache.
//
// RecallExact looks the very same question up; RecallNear the nearest one that the guards let pass, by vector, which may be nil
// where no embedder answered. Together they are one look-up, which ends, and is counted, with Served or Missed: Served says
// for which change of the knowledge base the evidence holds, Missed which answer was refused, if there was one, and why.
// Served also says whether the answer should be made again to see whether it was right. Compared tells what came of that, and of an
// answer that was withheld and then made anyway: the fresh one to the question that was asked.
// Nearest is for explanations: the n nearest of the scope, those below the threshold too, and nothing is counted.
// Remember keeps a whole, good answer, made from documents as of a change, and says whether it did.
type Recaller interface {
	On() bool // whether it takes part at all
	RecallExact(key CacheKey) (Recalled, bool)
	RecallNear(key CacheKey, vector []float32) (Recalled, bool)
	Nearest(key CacheKey, vector []float32, n int) (kept []Recalled, threshold float64)
	Served(r Recalled, status CacheStatus, change uint64) (again bool)
	Compared(served Recalled, fresh Answer)
	Missed(refused *Recalled, why Stale)
	Remember(key CacheKey, vector []float32, change uint64, a Answer) (kept bool)
}

// KnowledgeBases says whether a knowledge base exists and what state it is in.
type KnowledgeBases interface {
	KnowledgeBase(ctx context.Context, name string) (KnowledgeBase, error)
}

// KnowledgeBase is the part of a knowledge base's state that answers depend on.
type KnowledgeBase struct {
	Name     string
	ID       int64  // never given twice
	Change   uint64 // grows with every change of its documents
	Embedder EmbedderID
	Since    uint64 // the change at which Embedder took over
	Empty    bool   // no passage in it
}

// Model is a chat model on a model server.
type Model struct {
	Name          string
	Digest        string
	ContextLength int // tokens; 0 where unknown
}

// Message is one turn of a prompt.
type Message struct {
	Role    string // "system", "user" or "assistant"
	Content string
}

// Prompt is everything a model call depends on.
type Prompt struct {
	Provider    string
	Model       string
	Digest      string // of the model; empty where it is not known
	Messages    []Message
	NumCtx      int // context window in tokens; 0 leaves it to the server
	MaxTokens   int // most tokens to write; 0 leaves it to the server
	Temperature float64
	Seed        *int
	Class       Class // before whom it goes where there is too little room

	// What does not change the answer: what it is made from, as of which change of the knowledge base, and what the request asks of
	// caches, as in Request.
	DB                   string
	Change               uint64
	Passages             []int64
	NoRecall, NoRemember bool
	MaxAge               time.Duration
}

// Chunk is one piece of a streamed answer.
type Chunk struct {
	Text       string
	Done       bool
	DoneReason string // "stop", "length"; set with Done
	Usage      Usage  // set with Done
	Cached     bool   `json:"-"` // the same prompt was answered before; no model was asked
}

// Usage is what a model call cost, by the model server's own figures. Durations are in seconds.
type Usage struct {
	InputTokens   int     `json:"input_tokens"`
	OutputTokens  int     `json:"output_tokens"`
	LoadSeconds   float64 `json:"load_seconds"`
	PromptSeconds float64 `json:"prompt_seconds"`
	OutputSeconds float64 `json:"output_seconds"`
	TotalSeconds  float64 `json:"total_seconds"`
}
