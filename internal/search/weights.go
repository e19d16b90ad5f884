package search

import (
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/text"
)

// The weights of the two sides where the query names none (docs/adr/0008, docs/quality.md).
const (
	// even is what either side has where both know the language.
	even = 0.5
	// foreignWords is what the words have for a passage in another language than the question's: names and numbers still meet.
	foreignWords = 0.05
	// leastVectors is what is left to vectors that are worth nothing in a language: they only order what no word was found in.
	leastVectors = 0.05
)

// weights gives the weights of words and vectors for a passage. They follow what the embedder is worth in the languages of
// question and passage, and whether these are the same; a language that does not show counts as the other's.
func (s *snapshot) weights(q rag.Query) func(id int64) (words, vectors float64) {
	if q.BM25Weight != nil {
		w := min(max(*q.BM25Weight, 0), 1)
		return func(int64) (float64, float64) { return w, 1 - w }
	}
	question := text.Language(q.Text)
	return func(id int64) (float64, float64) {
		passage := s.languageOf(id)
		vectors := max(leastVectors, even*min(q.Worth.In(question), q.Worth.In(passage)))
		if question != passage && question != text.Unknown && passage != text.Unknown {
			return foreignWords, vectors
		}
		return 1 - vectors, vectors
	}
}

// languageOf is the language of a passage, Unknown where it went meanwhile.
func (s *snapshot) languageOf(id int64) string {
	for _, v := range s.views {
		if row, ok := v.seg.find(id); ok && v.alive(row) {
			if l := v.seg.language.of(row); l != "" {
				return l
			}
		}
	}
	return text.Unknown
}
