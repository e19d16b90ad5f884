package rag

import "context"

// maxMeant is how many sentences of a passage are compared with the question by what they mean.
const maxMeant = 16

// nearest finds the sentence whose vector is nearest to the question's, and what stands around it, with the embedder of the
// answer cache: it needs no model server, and only quoted answers ask for it. It is nil where there is no such embedder.
func (e *Engine) nearest(ctx context.Context, req Request) nearestOf {
	if e.CacheEmbedder == nil {
		return nil
	}
	embedder, id, err := e.CacheEmbedder.EmbedderFor(ctx, req.DB)
	if err != nil || id.IsZero() {
		return nil
	}
	var question []float32
	return func(passage string, among []quotable) (Span, bool) {
		if question == nil {
			if question, err = e.embedQuestion(ctx, embedder, id, req.Question); err != nil {
				return Span{}, false
			}
		}
		among = among[:min(len(among), maxMeant)]
		texts := make([]string, len(among))
		for i, s := range among {
			texts[i] = passage[s.Start:s.End]
		}
		vectors, err := embedder.Embed(ctx, ForPassage, texts)
		if err != nil || len(vectors) != len(texts) {
			return Span{}, false
		}
		best := 0
		for i := range vectors {
			if product(question, vectors[i]) > product(question, vectors[best]) {
				best = i
			}
		}
		return around(among, best), true
	}
}

// product is the cosine of two unit vectors.
func product(a, b []float32) (sum float32) {
	for i := range min(len(a), len(b)) {
		sum += a[i] * b[i]
	}
	return sum
}
