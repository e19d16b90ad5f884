package rag

import (
	"context"
	"strings"
	"unicode"
)

// maxMeant is how many sentences of a passage are compared with the question by what they mean.
const maxMeant = 16

// nearest finds the sentence of a passage whose vector is nearest to the question's, with the embedder of the answer cache: it
// needs no model server, and only quoted answers ask for it. It is nil where there is no such embedder.
func (e *Engine) nearest(ctx context.Context, req Request) func(passage string) (Span, bool) {
	if e.CacheEmbedder == nil {
		return nil
	}
	embedder, id, err := e.CacheEmbedder.EmbedderFor(ctx, req.DB)
	if err != nil || id.IsZero() {
		return nil
	}
	var question []float32
	return func(passage string) (Span, bool) {
		if question == nil {
			if question, err = e.embedQuestion(ctx, embedder, id, req.Question); err != nil {
				return Span{}, false
			}
		}
		var spans []Span
		var texts []string
		for _, s := range sentences(passage) {
			text := passage[s.Start:s.End]
			if text[0] == '#' || !strings.ContainsFunc(text, unicode.IsLetter) {
				continue // headings and the lines that part tables say nothing by themselves
			}
			if spans, texts = append(spans, s), append(texts, text); len(texts) == maxMeant {
				break
			}
		}
		if len(texts) == 0 {
			return Span{}, false
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
		return spans[best], true
	}
}

// product is the cosine of two unit vectors.
func product(a, b []float32) (sum float32) {
	for i := range min(len(a), len(b)) {
		sum += a[i] * b[i]
	}
	return sum
}
