package cache

import (
	"context"
	"slices"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// shown are the passages that answers show, by knowledge base.
type shown map[string][]int64

// hashes are those of the passages that are in the committed state; a knowledge base that is not there any more has none.
func (s shown) hashes(ctx context.Context, evidence rag.Evidence) (map[string]map[int64]string, error) {
	out := make(map[string]map[int64]string, len(s))
	for db, ids := range s {
		slices.Sort(ids) // most answers show the same few
		_, hashes, err := evidence.Evidence(ctx, db, slices.Compact(ids))
		if err != nil && rag.KindOf(err) != rag.NotFound {
			return nil, err
		}
		out[db] = hashes
	}
	return out, nil
}

// Recheck removes the entries that show what is not in the committed state any more: what went while nobody told the cache, since
// the process was killed meanwhile or the documents are those of a backup. It is called once, after Keep and before the first use.
func (c *Cache) Recheck(ctx context.Context, evidence rag.Evidence) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := shown{}
	for _, e := range c.byID {
		for _, h := range e.answer.Hits {
			all[e.key.DB] = append(all[e.key.DB], h.Passage.ID)
		}
	}
	there, err := all.hashes(ctx, evidence)
	if err != nil {
		return err
	}
	c.emptied.Add(uint64(c.drop(func(e *entry) bool {
		for _, h := range e.answer.Hits {
			if there[e.key.DB][h.Passage.ID] != h.Passage.Hash {
				return true
			}
		}
		return false
	})))
	return nil
}

// Recheck removes the answers for which the model was shown what is not in the committed state any more, as Cache.Recheck does.
func (c *Calls) Recheck(ctx context.Context, evidence rag.Evidence) error {
	all := shown{}
	c.mu.Lock()
	for el := c.recent.Front(); el != nil; el = el.Next() {
		call := el.Value.(rag.KeptCall)
		all[call.DB] = append(all[call.DB], call.Passages...)
	}
	c.mu.Unlock()
	delete(all, "") // what the gateway passed on
	there, err := all.hashes(ctx, evidence)
	if err != nil {
		return err
	}
	c.drop(func(call rag.KeptCall) bool {
		for _, id := range call.Passages { // an id is never given to other words
			if _, ok := there[call.DB][id]; !ok {
				return true
			}
		}
		return false
	})
	return nil
}
