package rag

import (
	"context"
	"time"
)

// Found is what Search found.
type Found struct {
	Retrieval
	Degraded bool   // the vector side was asked for and did not answer
	Notice   string // why
	Timings  Timings
}

// Search finds passages without asking a chat model.
func (e *Engine) Search(ctx context.Context, req Request) (Found, error) {
	start := time.Now()
	kb, err := e.Bases.KnowledgeBase(ctx, req.DB)
	if err != nil {
		return Found{}, stage("look up knowledge base", err)
	}
	var f Found
	var vector []float32
	var embedErr error
	if req.Method != BM25 {
		vector, f.Timings.Embed, embedErr = e.embed(ctx, req)
	}
	began := time.Now()
	if f.Retrieval, err = e.retrieve(ctx, req, kb, vector); err != nil {
		return Found{}, stage("retrieve", err)
	}
	f.Timings.Retrieve, f.Timings.Total = since(began), since(start)
	if embedErr != nil {
		f.Degraded, f.Notice = true, noVectors+detail(embedErr)
	}
	return f, nil
}

// retrieve finds passages. Where the knowledge base changed its embedder since the question got its vector, or the index is not
// there yet, the words alone say what is comparable.
func (e *Engine) retrieve(ctx context.Context, req Request, kb KnowledgeBase, vector []float32) (Retrieval, error) {
	found, err := e.Retriever.Retrieve(ctx, e.query(ctx, req, kb, vector))
	if vector == nil || err == nil && found.Change == kb.Change || err != nil && KindOf(err) != Conflict {
		return found, err
	}
	now, nowErr := e.Bases.KnowledgeBase(ctx, req.DB)
	if nowErr != nil || err == nil && now.Since == kb.Since && found.Change >= kb.Since {
		return found, err
	}
	return e.Retriever.Retrieve(ctx, e.query(ctx, req, kb, nil))
}

const noVectors = "The embedder did not answer, so passages were found by their words alone: "

// embed gives the question's vector: nil without an error where the knowledge base has none or the method needs none.
func (e *Engine) embed(ctx context.Context, req Request) ([]float32, float64, error) {
	start := time.Now()
	if req.Method == BM25 {
		return nil, 0, nil
	}
	embedder, id, err := e.Embedders.EmbedderFor(ctx, req.DB)
	if err != nil {
		return nil, 0, stage("embed question", err)
	}
	if id.IsZero() {
		return nil, 0, nil
	}
	vector, err := e.embedQuestion(ctx, embedder, id, req.Question)
	return vector, since(start), err
}

func (e *Engine) embedQuestion(ctx context.Context, embedder Embedder, id EmbedderID, question string) ([]float32, error) {
	timed, cancel := context.WithTimeoutCause(ctx, e.embedTimeout(), Errorf(Timeout, "", "the question's vector took longer than OLLAMA_EMBED_TIMEOUT, %s", e.embedTimeout()))
	defer cancel()
	vectors, err := embedder.Embed(timed, ForQuestion, []string{question})
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		err = context.Cause(timed)
	}
	if err == nil && len(vectors) != 1 {
		err = Errorf(BadUpstream, "", "the embedder %s gave %d vectors for one text", id.Name, len(vectors))
	}
	if err != nil {
		return nil, stage("embed question", err)
	}
	return vectors[0], nil
}

// cacheVector gives the question's vector for the answer cache: the one that is there already where the knowledge base has the
// same embedder. Without one the cache knows the very same question only, which is no fault of the question's.
func (e *Engine) cacheVector(ctx context.Context, req Request, kb KnowledgeBase, vector []float32) []float32 {
	if !e.Cache.On() || e.CacheEmbedder == nil || req.NoRecall && req.NoRemember {
		return nil
	}
	embedder, id, err := e.CacheEmbedder.EmbedderFor(ctx, req.DB)
	if err != nil || id.IsZero() {
		return nil
	}
	if vector != nil && id.Digest == kb.Embedder.Digest && id.Prefix == kb.Embedder.Prefix {
		return vector
	}
	vector, err = e.embedQuestion(ctx, embedder, id, req.Question)
	if err != nil {
		return nil
	}
	return vector
}

// defaultEmbedTimeout is how long a question waits for its vector, where nothing else is set.
const defaultEmbedTimeout = 30 * time.Second

func (e *Engine) embedTimeout() time.Duration {
	if e.EmbedTimeout > 0 {
		return e.EmbedTimeout
	}
	return defaultEmbedTimeout
}
