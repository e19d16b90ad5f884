package search

import (
	"slices"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/text"
)

// The weights of the two sides where the query names none (docs/adr/0008, docs/quality.md).
const (
	// even is what either side has where both know the language.
	even = 0.5
	// foreignWords is what the words have for a passage in another language than the question's, where the vectors know both: names
	// and numbers still meet.
	foreignWords = 0.05
	// leastVectors is what is left to vectors that are worth nothing in a language: they only order what no word was found in.
	leastVectors = 0.05
)

// weights gives the weights of words and vectors for a passage. They follow what the embedder is worth in the languages of
// question and passage, and whether these are the same; a language that does not show counts as the other's. A passage that has
// no vector yet is judged by its words alone.
func (s *snapshot) weights(q rag.Query) func(id int64) (words, vectors float64) {
	if q.BM25Weight != nil {
		w := min(max(*q.BM25Weight, 0), 1)
		return func(int64) (float64, float64) { return w, 1 - w }
	}
	question := text.Language(q.Text)
	return func(id int64) (float64, float64) {
		passage, embedded := s.known(id)
		if !embedded {
			return 1, 0
		}
		vectors := max(leastVectors, even*min(q.Worth.In(question), q.Worth.In(passage)))
		words := 1 - vectors
		if question != passage && question != text.Unknown && passage != text.Unknown {
			words -= (even - foreignWords) * vectors / even // what the vectors know, words across languages only blur
		}
		return words, vectors
	}
}

// known gives the language of a passage, Unknown where it does not show, and whether it has a vector.
func (s *snapshot) known(id int64) (language string, embedded bool) {
	for _, v := range s.views {
		row, ok := v.seg.find(id)
		if !ok || !v.alive(row) {
			continue
		}
		if language = v.seg.language.of(row); language == "" {
			language = text.Unknown
		}
		return language, v.seg.embedded(row)
	}
	return text.Unknown, false
}

// embedded says whether a row has a vector.
func (s *segment) embedded(row int) bool {
	if len(s.vecRows) == 0 {
		return s.matrix.Dim > 0
	}
	_, ok := slices.BinarySearch(s.vecRows, uint32(row))
	return ok
}
