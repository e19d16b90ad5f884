package cache

import (
	"sync"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// rounding is how far the product of two float32 unit vectors may be off.
const rounding = 1e-6

// spreadOfE5 is how much closer together multilingual-e5-small puts questions than the models that thresholds were made for: it gives
// pairs a cosine of .98 that those give .95.
const spreadOfE5 = 2.5

// Similarity is a cosine between vectors of the embedder in the binary on the scale of SEMANTIC_CACHE_THRESHOLD, where .95 is as
// strict as it is with the embedding models people know; 0 to 1.
func Similarity(cosine float64) float64 { return min(max(1-spreadOfE5*(1-cosine), 0), 1) }

// shelfKey says which entries stand together: those whose answers may serve the same questions and whose vectors can be compared.
type shelfKey struct {
	db, scope string
	dimension int
}

// shelf holds the vectors of one scope side by side, one byte a number: a look-up reads them all, so that there is no index to go
// stale. It has a lock of its own, for others not to wait while it is read; Cache.mu is taken before it, never after.
type shelf struct {
	mu   sync.RWMutex
	rows []*entry
	vec.Matrix
}

// shelf finds the shelf for a question, nil where there is none, after what is too old has left it.
func (c *Cache) shelf(key rag.CacheKey, unit []float32) (_ *shelf, threshold float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	return c.shelves[shelfKey{key.DB, key.Scope, len(unit)}], c.config.Threshold
}

func (c *Cache) shelve(e *entry) {
	if e.vector == nil {
		return
	}
	k := shelfKey{e.key.DB, e.key.Scope, len(e.vector)}
	s := c.shelves[k]
	if s == nil {
		s = &shelf{Matrix: vec.Matrix{Dim: len(e.vector)}}
		c.shelves[k] = s
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.shelf, e.row = s, len(s.rows)
	s.Append(e.vector)
	s.rows = append(s.rows, e)
}

func (c *Cache) unshelve(e *entry) {
	s := e.shelf
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.rows) - 1
	s.Swap(e.row)
	s.rows[e.row] = s.rows[last]
	s.rows[e.row].row = e.row
	s.rows[last] = nil
	s.rows = s.rows[:last]
	e.shelf = nil
	if last == 0 {
		delete(c.shelves, shelfKey{e.key.DB, e.key.Scope, len(e.vector)})
	}
}

// nearest is the entry whose vector is nearest to the question's, the one with the least id of those that are equally near: the
// codes find those that may be it, their vectors tell which one is.
func (s *shelf) nearest(unit []float32) (best *entry, similarity float64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	most := float32(-2)
	for _, c := range vec.Contenders(unit, &s.Matrix) {
		if c.Most < most {
			continue
		}
		e := s.rows[c.Row]
		cosine := vec.Dot(e.vector, unit)
		if cosine > most || cosine == most && e.id < best.id {
			best, most = e, cosine
		}
	}
	return best, Similarity(float64(most))
}

// similarityBounds are the upper bounds of the histogram of similarities: what an operator may set as threshold lies above .9.
var similarityBounds = [...]float64{.5, .7, .8, .85, .9, .925, .95, .97, .99, 1}

// spread counts similarities.
type spread struct {
	counts [len(similarityBounds)]uint64 // by the least bound that is not below
	sum    float64
}

func (s *spread) add(v float64) {
	i := 0
	for v > similarityBounds[i] {
		i++
	}
	s.counts[i]++
	s.sum += v
}

func (s *spread) stats() rag.Spread {
	out := rag.Spread{Sum: s.sum, Buckets: make(map[float64]uint64, len(s.counts))}
	for i, n := range s.counts {
		out.Count += n
		out.Buckets[similarityBounds[i]] = out.Count
	}
	return out
}
