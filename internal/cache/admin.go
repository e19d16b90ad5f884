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
	c.mu.RLock()
	threshold, now := c.config.Threshold, c.now()
	for e := range c.scopes[key.Scope] {
		switch {
		case e.key.DB != key.DB || c.oldAt(now, e):
		case e.key == key:
			all = append(all, candidate{e, 1, e.change})
		case len(vector) > 0 && len(e.vector) == len(vector):
			all = append(all, candidate{e, Similarity(float64(vec.Dot(e.vector, vector))), e.change})
		}
	}
	c.mu.RUnlock()
	slices.SortFunc(all, func(a, b candidate) int {
		if exact := a.key == key; exact != (b.key == key) {
			return map[bool]int{true: -1, false: 1}[exact]
		}
		return cmp.Or(cmp.Compare(b.similarity, a.similarity), cmp.Compare(a.id, b.id))
	})
	var out []rag.Recalled
	for _, e := range all[:min(n, len(all))] {
		if r, ok := c.serve(e.entry, e.similarity, e.change); ok {
			if e.key != key {
				r.Guard = string(Check(key.Question, e.key.Question))
				r.Withheld = c.withholds(e.similarity)
			}
			out = append(out, r)
		}
	}
	return out, threshold
}
