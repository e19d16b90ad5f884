package rag

import (
	"context"
	"strings"
	"unicode"
)

// maxMeant is how many sentences of a passage are compared with the question by what they mean.
const maxMeant = 16

// nearest finds the sentence of a passage whose vector is nearest to the question's, and what stands around it, with the embedder of the answer cache: it
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
		all := sentences(passage)
		var places []int // of texts, in all
		var texts []string
		for i, s := range all {
			text := passage[s.Start:s.End]
			if text[0] == '#' || !strings.ContainsFunc(text, unicode.IsLetter) {
				continue // headings and the lines that part tables say nothing by themselves
			}
			if places, texts = append(places, i), append(texts, text); len(texts) == maxMeant {
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
		return around(all, places, best), true
	}
}

// around is the sentence at places[best] with its neighbours, those after it first, up to what an opening has: which of two
// neighbours means a question is often a close call.
func around(all []Span, places []int, best int) Span {
	from, to := best, best
	for {
		switch {
		case to+1 < len(places) && places[to+1] == places[to]+1 && all[places[to+1]].End-all[places[from]].Start <= openingBytes:
			to++
		case from > 0 && places[from-1] == places[from]-1 && all[places[to]].End-all[places[from-1]].Start <= openingBytes:
			from--
		default:
			return Span{all[places[from]].Start, all[places[to]].End}
		}
	}
}

// product is the cosine of two unit vectors.
func product(a, b []float32) (sum float32) {
	for i := range min(len(a), len(b)) {
		sum += a[i] * b[i]
	}
	return sum
}
