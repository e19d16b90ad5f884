package cache

import (
	"cmp"
	"slices"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// ClearEntry removes one entry and says whether it was there.
func (c *Cache) ClearEntry(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byID[id]
	if e == nil {
		return false
	}
	c.remove(e)
	c.gone.Add(1)
	return true
}

// Nearest gives the n entries of the scope that are nearest to a question, whether they reach the threshold or not, and the
// threshold. The very same question comes first, with or without a vector. No entry counts as used by it.
func (c *Cache) Nearest(key rag.CacheKey, vector []float32, n int) ([]rag.Recalled, float64) {
	type candidate struct {
		*entry
		similarity float64
		change     uint64
	}
	var all []candidate
	unit := vec.Normalize(vector)
	shelf, threshold := c.shelf(key, unit)
	if shelf != nil {
		shelf.mu.RLock()
		for _, e := range shelf.rows {
			if e.key != key {
				all = append(all, candidate{entry: e, similarity: Similarity(float64(vec.Dot(e.vector, unit)))})
			}
		}
		shelf.mu.RUnlock()
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.similarity, a.similarity), cmp.Compare(a.id, b.id))
	})
	c.mu.Lock()
	if e := c.entries[key]; e != nil && !c.old(e) {
		all = slices.Insert(all, 0, candidate{entry: e, similarity: 1})
	}
	all = all[:min(n, len(all))]
	for i, e := range all {
		all[i].change = e.entry.change
	}
	c.mu.Unlock()
	var out []rag.Recalled
	for _, e := range all {
		r := c.serve(e.entry, e.similarity, e.change)
		if e.key != key {
			r.Guard = string(Check(key.Question, e.key.Question))
			r.Withheld = c.withholds(e.similarity)
		}
		out = append(out, r)
	}
	return out, threshold
}
