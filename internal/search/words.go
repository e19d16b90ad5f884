package search

import (
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/ollama-rag/ollama-rag/internal/text"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// BM25 is that of S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and Trends
// in Information Retrieval 3(4), 2009, with Lucene's idf, ln(1 + (N - df + 0.5) / (df + 0.5)), which is never negative. A word
// counts as often as the question has it.
const (
	k1          = 1.2  // how soon more of the same word stops helping
	lengthShare = 0.75 // b: how much longer passages are discounted
)

// unaccentedWeight is what a word counts that had to give up its accents to be found at all: it may well be another word.
const unaccentedWeight = 0.5

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

// wanted is a word that a question looks for, in every family.
type wanted struct {
	terms  [families]terms
	weight float64 // of each time the question has it
	count  int
}

// terms are the terms of a word in a family. Where folded is set, passages that have it are taken for passages that have exact;
// where both are "", the family leaves the word out.
type terms struct{ exact, folded string }

// walk is what a question looks through: for each word the postings of each view.
type walk struct {
	lists  [][]posting // of family f of word i in view j at (i*views+j)*families+f
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
	words := s.wantedWords(question)
	weights := make([]float32, len(words))
	for i, word := range words {
		df := w.look(s, word)
		idf := math.Log(1 + (float64(s.passages-df)+0.5)/(float64(df)+0.5))
		weights[i] = float32(word.weight * float64(word.count) * idf * (k1 + 1))
	}
	best := newBest(top)
	for i, v := range s.views {
		w.score(s, i, weights)
		w.collect(v, i, best)
	}
	clear(w.lists)
	w.lists, w.keeps = w.lists[:0], nil
	return best.sorted()
}

// look finds the postings of a word and counts the passages that have it, in all families: were each family counted by itself,
// every word would be rare, and so precious, in the few passages of a language that the knowledge base hardly has. For the same
// reason a word that a family leaves out since all its passages have it counts as being in all of them.
func (w *walk) look(s *snapshot, word wanted) (df int) {
	for _, v := range s.views {
		for f, terms := range word.terms {
			list := v.seg.union(terms)
			df += v.count(list)
			w.lists = append(w.lists, list)
			if terms.exact == "" {
				df += v.members[f]
			}
		}
	}
	return df
}

// score adds up the scores of the rows of view i.
func (w *walk) score(s *snapshot, i int, weights []float32) {
	seg := s.views[i].seg
	w.scores = slices.Grow(w.scores[:0], seg.rows())[:seg.rows()]
	base, slope := float32(k1*(1-lengthShare)), float32(k1*lengthShare/s.averageLength())
	for t, weight := range weights {
		for f := range families {
			addScores(w.scores, seg.lengths, w.lists[(t*len(s.views)+i)*families+f], weight, base, slope)
		}
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
	least := best.threshold()
	offer := func(row int) {
		best.add(scored{v.seg.ids[row], float64(w.scores[row])})
		least = best.threshold()
	}
	if w.keeps[i] == nil {
		for row, score := range w.scores {
			if score >= least { // one comparison a row, which the processor guesses right
				offer(row)
			}
		}
	}
	for at, word := range w.keeps[i] {
		for ; word != 0; word &= word - 1 {
			if row := at*64 + bits.TrailingZeros64(word); w.scores[row] >= least {
				offer(row)
			}
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

// union gives the postings of a word in a family: those of both of its terms, a passage that has both once, with its counts added.
func (s *segment) union(term terms) []posting {
	if term.exact == "" {
		return nil
	}
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

// wantedWords gives the different words of a question, in the order in which they first come.
//
// A word without accents looks for words that are like it but for accents, too. A word with accents means what it says, unless no
// passage has it: then it is looked for without them.
func (s *snapshot) wantedWords(question string) []wanted {
	var all []wanted
	places := map[string]int{}
	for _, word := range text.AppendWords(nil, question) {
		if i, ok := places[word]; ok {
			all[i].count++
			continue
		}
		places[word] = len(all)
		all = append(all, s.wanted(word))
	}
	return all
}

func (s *snapshot) wanted(word string) wanted {
	w := wanted{weight: 1, count: 1}
	bare := text.Unaccent(word)
	literal := bare != word && s.has(word)
	if bare != word && !literal {
		w.weight = unaccentedWeight
	}
	for f := range family(families) {
		if literal {
			w.terms[f] = terms{exact: f.exact(word)}
		} else {
			w.terms[f] = terms{exact: f.exact(bare), folded: f.folded(bare)}
		}
	}
	return w
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
