package search

import (
	"context"
	"fmt"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

const (
	// fuseDepth is how many passages of each method are fused at least.
	fuseDepth = 100
	// defaultRRFK is the constant of reciprocal rank fusion where the query has none.
	defaultRRFK = 60
)

// Retrieve finds the passages that answer a query, best first. Where the question or the knowledge base has no vectors, Vector
// and Hybrid fall back to BM25, which the result's Method tells. BM25 returns no passage that has none of the question's words;
// the fused score of a passage that is last in one list and not in the other is 0.
//
// Errors: NotFound from the Corpus; Conflict for a vector of another dimension than the knowledge base's; OutOfBounds for a
// query without K or with an unknown method; the context's.
func (x *Indexes) Retrieve(ctx context.Context, q rag.Query) (rag.Retrieval, error) {
	if q.K < 1 {
		return rag.Retrieval{}, rag.Errorf(rag.OutOfBounds, "", "k is %d: ask for at least 1 passage", q.K)
	}
	switch q.Method {
	case "":
		q.Method = rag.Hybrid
	case rag.Vector, rag.BM25, rag.Hybrid:
	default:
		return rag.Retrieval{}, rag.Errorf(rag.OutOfBounds, "", "method is %q: it may be vector, bm25 or hybrid", q.Method)
	}
	s, err := x.snapshot(ctx, q.DB)
	if err != nil {
		return rag.Retrieval{}, err
	}
	unit := vec.Normalize(q.Vector)
	if unit == nil || s.dim == 0 {
		q.Method = rag.BM25
	}
	if q.Method != rag.BM25 && len(unit) != s.dim {
		return rag.Retrieval{}, rag.Errorf(rag.Conflict, "", "the question's vector has %d numbers, those of knowledge base %q have %d: "+
			"ask with the embedding model it was built with, or build it anew with this one", len(unit), q.DB, s.dim)
	}
	found, times, err := s.find(ctx, x.corpus, q, unit)
	if err != nil {
		return rag.Retrieval{}, err
	}
	hits, err := x.hits(ctx, q.DB, found)
	return rag.Retrieval{Hits: hits, Method: q.Method, Change: s.change, Times: times}, err
}

// find gives the best passages of a query, at most K.
func (s *snapshot) find(ctx context.Context, corpus Corpus, q rag.Query, unit []float32) (found []fused, took rag.RetrievalTimes, err error) {
	keeps := make([]vec.Bits, len(s.views))
	for i, v := range s.views {
		keeps[i] = v.keep(q.Filter)
	}
	depth := q.K
	if q.Method == rag.Hybrid {
		depth = max(depth, fuseDepth)
	}
	var words, vectors []scored
	if q.Method != rag.Vector {
		start := time.Now()
		words = s.byWords(q.Text, keeps, depth)
		took.Words = time.Since(start)
	}
	if q.Method != rag.BM25 {
		start := time.Now()
		n := max(rescoredLeast, rescoredEach*q.K, depth)
		if vectors, err = s.byVector(ctx, corpus, q.DB, unit, keeps, n); err != nil {
			return nil, took, fmt.Errorf("read vectors: %w", err)
		}
		vectors = vectors[:min(depth, len(vectors))]
		took.Vectors = time.Since(start)
	}
	start := time.Now()
	found = s.joined(q, words, vectors)
	took.Fusion = time.Since(start)
	return found[:min(q.K, len(found))], took, ctx.Err()
}

// joined fuses what the methods found in the way the query wants.
func (s *snapshot) joined(q rag.Query, words, vectors []scored) []fused {
	whole := func(list []scored) func(int) float64 { return func(i int) float64 { return list[i].score } }
	switch {
	case q.Method != rag.Hybrid:
		return fuse(words, vectors, whole(words), whole(vectors))
	case q.RRF:
		k := q.RRFK
		if k <= 0 {
			k = defaultRRFK
		}
		return fuse(words, vectors, reciprocal(k), reciprocal(k))
	}
	weights := s.weights(q)
	wordWeight := func(id int64) float64 { w, _ := weights(id); return w }
	vectorWeight := func(id int64) float64 { _, v := weights(id); return v }
	return fuse(words, vectors, scaled(words, wordWeight), scaled(vectors, vectorWeight))
}

// hits reads the passages that were found. Those that are gone meanwhile are left out.
func (x *Indexes) hits(ctx context.Context, db string, found []fused) ([]rag.Hit, error) {
	if len(found) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(found))
	for i, f := range found {
		ids[i] = f.id
	}
	passages, err := x.corpus.Passages(ctx, db, ids)
	if err != nil {
		return nil, fmt.Errorf("read passages: %w", err)
	}
	hits := make([]rag.Hit, 0, len(passages))
	for _, f := range found {
		if len(passages) == 0 {
			break
		}
		if passages[0].ID == f.id {
			hits = append(hits, rag.Hit{Passage: passages[0], Score: f.score, BM25: f.words, Cosine: f.cosine})
			passages = passages[1:]
		}
	}
	return hits, nil
}
