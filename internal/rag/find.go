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
	if _, err := e.Bases.KnowledgeBase(ctx, req.DB); err != nil {
		return Found{}, stage("look up knowledge base", err)
	}
	var f Found
	var vector []float32
	var embedErr error
	if req.Method != BM25 {
		vector, f.Timings.Embed, embedErr = e.embed(ctx, req)
	}
	began := time.Now()
	var err error
	if f.Retrieval, err = e.Retriever.Retrieve(ctx, req.query(vector)); err != nil {
		return Found{}, stage("retrieve", err)
	}
	f.Timings.Retrieve, f.Timings.Total = since(began), since(start)
	if embedErr != nil {
		f.Degraded, f.Notice = true, noVectors+detail(embedErr)
	}
	return f, nil
}

const noVectors = "The embedder did not answer, so passages were found by their words alone: "

// embed gives the question's vector: nil without an error where the knowledge base has none or the method needs none.
func (e *Engine) embed(ctx context.Context, req Request) ([]float32, float64, error) {
	start := time.Now()
	embedder, id, err := e.Embedders.EmbedderFor(ctx, req.DB)
	if err != nil {
		return nil, 0, skipIf(req.Method == BM25, stage("embed question", err))
	}
	if id.IsZero() || (req.Method == BM25 && !e.Cache.On()) {
		return nil, 0, nil
	}
	timed, cancel := context.WithTimeoutCause(ctx, e.embedTimeout(), Errorf(Timeout, "", "the question's vector took longer than OLLAMA_EMBED_TIMEOUT, %s", e.embedTimeout()))
	defer cancel()
	vectors, err := embedder.Embed(timed, ForQuestion, []string{req.Question})
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		err = context.Cause(timed)
	}
	if err == nil && len(vectors) != 1 {
		err = Errorf(BadUpstream, "", "the embedder %s gave %d vectors for one text", id.Name, len(vectors))
	}
	if err != nil {
		return nil, since(start), skipIf(req.Method == BM25, stage("embed question", err))
	}
	return vectors[0], since(start), nil
}

// defaultEmbedTimeout is how long a question waits for its vector, where nothing else is set.
const defaultEmbedTimeout = 30 * time.Second

func (e *Engine) embedTimeout() time.Duration {
	if e.EmbedTimeout > 0 {
		return e.EmbedTimeout
	}
	return defaultEmbedTimeout
}

// skipIf drops an error that does not matter.
func skipIf(unneeded bool, err error) error {
	if unneeded {
		return nil
	}
	return err
}
