package search

import (
	"math"
	"slices"
	"sync"

	"github.com/ollama-rag/ollama-rag/internal/text"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// BM25 is that of S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and Trends
// in Information Retrieval 3(4), 2009, with Lucene's idf, ln(1 + (N - df + 0.5) / (df + 0.5)), which is never negative. A word
// counts as often as the question has it.
const (
	k1 = 1.2  // how soon more of the same word stops helping
	b  = 0.75 // how much longer passages are discounted
)

// scored is a passage and its score by one method.
type scored struct {
	id    int64
	score float64
}

// better orders by score, and like scores by id, so that results never depend on chance.
func better(a, b scored) int {
	switch {
	case a.score > b.score:
		return -1
	case a.score < b.score:
		return 1
	case a.id < b.id:
		return -1
	case a.id > b.id:
		return 1
	}
	return 0
}

// wanted is a term that a question looks for, and how often it has it. Where folded is set, passages that have it are taken for
// passages that have exact.
type wanted struct {
	exact, folded string
	count         int
}

// walk is what a question looks through: for each term the postings of each view.
type walk struct {
	terms  []wanted
	lists  [][]posting // of term i in view j at i*views+j
	keeps  []vec.Bits  // of each view
	scores []float32   // of the rows of the view at hand; all 0 between uses
}

// walks keeps the memory of scores between questions.
var walks = sync.Pool{New: func() any { return new(walk) }}

// byWords gives the best passages by BM25 among those that keep admits, at most top, none with a score of 0.
func (s *snapshot) byWords(question string, keeps []vec.Bits, top int) []scored {
	if s.passages == 0 {
		return nil
	}
	w := walks.Get().(*walk)
	defer walks.Put(w)
	w.keeps = keeps
	w.terms = s.wantedTerms(question)
	w.lists = w.lists[:0]
	weights := make([]float32, len(w.terms))
	for i, term := range w.terms {
		df := 0
		for _, v := range s.views {
			list := v.seg.union(term)
			df += v.count(list)
			w.lists = append(w.lists, list)
		}
		idf := math.Log(1 + (float64(s.passages-df)+0.5)/(float64(df)+0.5))
		weights[i] = float32(float64(term.count) * idf * (k1 + 1))
	}
	best := newBest(top)
	for i, v := range s.views {
		w.score(s, i, weights)
		w.collect(v, i, best)
	}
	clear(w.lists)
	w.terms, w.keeps = nil, nil
	return best.sorted()
}

// score adds up the scores of the rows of view i.
func (w *walk) score(s *snapshot, i int, weights []float32) {
	seg := s.views[i].seg
	w.scores = slices.Grow(w.scores[:0], seg.rows())[:seg.rows()]
	base, slope := float32(k1*(1-b)), float32(k1*b/s.averageLength())
	for t, weight := range weights {
		addScores(w.scores, seg.lengths, w.lists[t*len(s.views)+i], weight, base, slope)
	}
}

// addScores is the inner loop of BM25.
func addScores(scores []float32, lengths []uint32, list []posting, weight, base, slope float32) {
	lengths = lengths[:len(scores)]
	for _, p := range list {
		row, count := p>>8, float32(p&maxCount)
		scores[row] += weight * count / (count + base + slope*float32(lengths[row]))
	}
}

// collect keeps the best rows of view i and sets the scores back to 0.
func (w *walk) collect(v *view, i int, best *best) {
	least, keep := best.least(), w.keeps[i]
	for row, score := range w.scores {
		if score > 0 && score >= least && keep.Has(row) {
			best.add(scored{v.seg.ids[row], float64(score)})
			least = best.least()
		}
	}
	clear(w.scores)
}

// count is the number of live passages in a list.
func (v *view) count(list []posting) int {
	if v.dead == nil {
		return len(list)
	}
	n := 0
	for _, p := range list {
		if !v.dead.Has(int(p >> 8)) {
			n++
		}
	}
	return n
}

// union gives the postings of a term: those of both of its forms, a passage that has both once, with its counts added.
func (s *segment) union(term wanted) []posting {
	exact := s.lookup(term.exact)
	if term.folded == "" {
		return exact
	}
	folded := s.lookup(term.folded)
	switch {
	case len(folded) == 0:
		return exact
	case len(exact) == 0:
		return folded
	}
	both := make([]posting, 0, len(exact)+len(folded))
	for len(exact) > 0 && len(folded) > 0 {
		switch x, y := exact[0], folded[0]; {
		case x>>8 < y>>8:
			both, exact = append(both, x), exact[1:]
		case x>>8 > y>>8:
			both, folded = append(both, y), folded[1:]
		default:
			both = append(both, x&^maxCount|min(x&maxCount+y&maxCount, maxCount))
			exact, folded = exact[1:], folded[1:]
		}
	}
	return append(append(both, exact...), folded...)
}

// wantedTerms gives the terms of a question in every family, in the order of its words.
//
// A word without accents looks for words that are like it but for accents, too. A word with accents means what it says, unless no
// passage has it: then it is looked for without them.
func (s *snapshot) wantedTerms(question string) []wanted {
	var terms []wanted
	for _, word := range text.AppendWords(nil, question) {
		bare := text.Unaccent(word)
		literal := bare != word && s.has(word)
		for f := range family(families) {
			term := wanted{exact: f.exact(bare), folded: f.folded(bare), count: 1}
			if literal {
				term = wanted{exact: f.exact(word), count: 1}
			}
			if term.exact != "" {
				terms = want(terms, term)
			}
		}
	}
	return terms
}

// want adds a term, or counts it once more.
func want(terms []wanted, term wanted) []wanted {
	for i := range terms {
		if terms[i].exact == term.exact && terms[i].folded == term.folded {
			terms[i].count++
			return terms
		}
	}
	return append(terms, term)
}

// has says whether any live passage has the word as it is written.
func (s *snapshot) has(word string) bool {
	for f := range family(families) {
		term := f.exact(word)
		for _, v := range s.views {
			if term != "" && v.count(v.seg.lookup(term)) > 0 {
				return true
			}
		}
	}
	return false
}
