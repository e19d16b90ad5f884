package cache

import (
	"container/list"
	"context"
	"crypto/rand"
	"encoding/json"
	mrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// Cache is the answer cache. It implements rag.Recaller.
type Cache struct {
	now func() time.Time

	mu      sync.RWMutex
	config  rag.CacheConfig
	entries map[rag.CacheKey]*list.Element // of *entry
	byID    map[string]*entry
	recent  *list.List                     // most recently used first
	scopes  map[string]map[*entry]struct{} // by scope, for the nearest question
	changes map[string]uint64              // newest change of each knowledge base that was told
	keep    *keeping                       // nil: entries end with the process

	contract contract
	chance   func() float64 // 0 to 1: whether a served answer is made again

	exact, semantic, misses, spared atomic.Uint64
	evicted, expired, emptied, gone atomic.Uint64
	stale                           map[rag.Stale]*atomic.Uint64 // every reason from the start
	guarded                         map[Guard]*atomic.Uint64     // every guard from the start
}

type entry struct {
	id       string
	key      rag.CacheKey
	vector   []float32
	data     []byte // JSON of the answer: immutable
	passages []passage
	change   uint64 // the change of its knowledge base for which its passages were last found to hold
	made     time.Time
}

// passage is one that the answer shows.
type passage struct {
	id   int64
	hash string
}

// New makes an empty cache.
func New(c rag.CacheConfig) *Cache {
	cache := &Cache{
		now: time.Now, chance: mrand.Float64, contract: contract{maxError: c.MaxError}, config: c, entries: map[rag.CacheKey]*list.Element{}, byID: map[string]*entry{}, recent: list.New(), scopes: map[string]map[*entry]struct{}{}, changes: map[string]uint64{},
		stale: map[rag.Stale]*atomic.Uint64{}, guarded: map[Guard]*atomic.Uint64{},
	}
	for _, guard := range Guards() {
		cache.guarded[guard] = new(atomic.Uint64)
	}
	for _, why := range rag.StaleReasons() {
		cache.stale[why] = new(atomic.Uint64)
	}
	return cache
}

// On says whether the cache takes part at all.
func (c *Cache) On() bool { return c.Config().Enabled }

// RecallExact looks the same question up.
func (c *Cache) RecallExact(key rag.CacheKey) (rag.Recalled, bool) {
	c.mu.Lock()
	e := c.alive(key)
	change := uint64(0)
	if e != nil {
		change = e.change
	}
	c.mu.Unlock()
	if e == nil {
		return rag.Recalled{}, false
	}
	return c.serve(e, 1, change)
}

// alive finds an entry that can be served and marks it as used; an expired one goes.
func (c *Cache) alive(key rag.CacheKey) *entry {
	el := c.entries[key]
	if el == nil {
		return nil
	}
	e := el.Value.(*entry)
	if c.dead(e) {
		c.remove(e)
		c.expired.Add(1)
		return nil
	}
	c.recent.MoveToFront(el)
	return e
}

// dead says whether an entry is too old to be served even where no model answers.
func (c *Cache) dead(e *entry) bool { return c.now().Sub(e.made) > c.config.TTL+c.config.StaleIfError }

func (c *Cache) oldAt(now time.Time, e *entry) bool { return now.Sub(e.made) > c.config.TTL }

// RecallNear finds the nearest question of the scope, if it reaches the threshold and no guard tells it from the one asked; vector
// may be nil. Where the nearest is refused the next one is not tried: it is wrong more often than right.
func (c *Cache) RecallNear(key rag.CacheKey, vector []float32) (rag.Recalled, bool) {
	e, similarity, change := c.nearest(key, vector)
	if e == nil {
		return rag.Recalled{}, false
	}
	if guard := Check(key.Question, e.key.Question); guard != "" {
		c.guarded[guard].Add(1)
		return rag.Recalled{}, false
	}
	r, ok := c.serve(e, similarity, change)
	r.Withheld = ok && c.withholds(similarity)
	return r, ok
}

// withholds says whether the error contract forbids to serve an answer of this similarity.
func (c *Cache) withholds(similarity float64) bool {
	return c.Config().ShadowRate > 0 && !c.contract.allows(similarity)
}

// Served counts a hit, and keeps that the evidence held at a change of the knowledge base. What held for another question says
// nothing about the entry's own.
func (c *Cache) Served(r rag.Recalled, status rag.CacheStatus, change uint64) (again bool) {
	switch status {
	case rag.CacheSemantic:
		c.semantic.Add(1)
		return c.chance() < c.Config().ShadowRate
	case rag.CacheStale:
		c.spared.Add(1)
		return false
	}
	c.exact.Add(1)
	if r.Change == change {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byID[r.EntryID]; e != nil {
		e.change = max(e.change, change)
	}
	return false
}

// Compared keeps whether an answer of the semantic tier was what the model says to the question.
func (c *Cache) Compared(served rag.Recalled, fresh rag.Answer) {
	config := c.Config()
	if config.ShadowRate > 0 {
		c.contract.add(sample{served.Similarity, sameAnswer(served.Answer, fresh)}, config.Threshold)
	}
}

// Missed counts a look-up that served nothing. An answer that can never be served again goes.
func (c *Cache) Missed(refused *rag.Recalled, why rag.Stale) {
	c.misses.Add(1)
	if refused == nil {
		return
	}
	if n := c.stale[why]; n != nil {
		n.Add(1)
	}
	if why != rag.StaleGone {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byID[refused.EntryID]; e != nil {
		c.remove(e)
		c.emptied.Add(1)
	}
}

// rounding is how far the product of two float32 unit vectors may be off.
const rounding = 1e-6

// spread is how much closer together multilingual-e5-small puts questions than the models that thresholds were made for: it gives
// pairs a cosine of .98 that those give .95.
const spread = 2.5

// Similarity is a cosine between vectors of the embedder in the binary on the scale of SEMANTIC_CACHE_THRESHOLD, where .95 is as
// strict as it is with the embedding models people know; 0 to 1.
func Similarity(cosine float64) float64 { return min(max(1-spread*(1-cosine), 0), 1) }

func (c *Cache) nearest(key rag.CacheKey, vector []float32) (_ *entry, similarity float64, change uint64) {
	if len(vector) == 0 {
		return nil, 0, 0
	}
	best, similarity := c.scan(key, vector)
	if best == nil {
		return nil, 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.entries[best.key]
	if el == nil || el.Value.(*entry) != best {
		return nil, 0, 0 // it went meanwhile
	}
	c.recent.MoveToFront(el)
	return best, min(similarity, 1), best.change
}

// scan compares with every question of the scope; look-ups do it side by side.
func (c *Cache) scan(key rag.CacheKey, vector []float32) (best *entry, similarity float64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	now := c.now()
	similarity = c.config.Threshold - spread*rounding
	for e := range c.scopes[key.Scope] {
		if e.key.DB != key.DB || len(e.vector) != len(vector) || c.oldAt(now, e) {
			continue
		}
		s := Similarity(float64(vec.Dot(e.vector, vector)))
		if s > similarity || (s == similarity && (best == nil || e.id < best.id)) {
			best, similarity = e, s
		}
	}
	return best, similarity
}

func (c *Cache) serve(e *entry, similarity float64, change uint64) (rag.Recalled, bool) {
	config := c.Config()
	r := rag.Recalled{Change: change, Similarity: similarity, Age: c.now().Sub(e.made), Question: e.key.Question, EntryID: e.id, Spare: config.StaleIfError > 0}
	r.Expired = r.Age > config.TTL
	if err := json.Unmarshal(e.data, &r.Answer); err != nil {
		return rag.Recalled{}, false
	}
	for i := range r.Answer.Citations { // clients do not see hashes, so JSON does not carry them
		if ct := &r.Answer.Citations[i]; ct.N >= 1 && ct.N <= len(r.Answer.Hits) {
			ct.Hash = r.Answer.Hits[ct.N-1].Passage.Hash
		}
	}
	return r, true
}

// Remember keeps an answer, in place of an older one of the same key. The vector may be nil: the entry then serves exact
// look-ups only.
func (c *Cache) Remember(key rag.CacheKey, vector []float32, change uint64, a rag.Answer) {
	data, err := json.Marshal(a)
	if err != nil {
		return // an answer that cannot be kept is made again
	}
	e := &entry{id: rand.Text(), key: key, vector: slices.Clone(vector), data: data, passages: passagesOf(a), change: change, made: c.now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.config.Enabled || change < c.changes[key.DB] {
		return // made from documents that have changed meanwhile
	}
	c.add(e)
}

func passagesOf(a rag.Answer) []passage {
	out := make([]passage, len(a.Hits))
	for i, h := range a.Hits {
		out[i] = passage{h.Passage.ID, h.Passage.Hash}
	}
	return out
}

// add puts an entry in the place of the older one of its key.
func (c *Cache) add(e *entry) {
	if old := c.entries[e.key]; old != nil {
		c.remove(old.Value.(*entry))
	}
	c.entries[e.key] = c.recent.PushFront(e)
	if c.scopes[e.key.Scope] == nil {
		c.scopes[e.key.Scope] = map[*entry]struct{}{}
	}
	c.byID[e.id] = e
	c.scopes[e.key.Scope][e] = struct{}{}
	c.later(e.id, e)
	c.shrink()
}

// shrink evicts down to the size: first what is too old, then what was used least recently.
func (c *Cache) shrink() {
	if c.recent.Len() <= c.config.Size {
		return
	}
	c.sweep()
	for c.recent.Len() > c.config.Size {
		c.remove(c.recent.Back().Value.(*entry))
		c.evicted.Add(1)
	}
}

func (c *Cache) sweep() {
	for el := c.recent.Front(); el != nil; {
		e := el.Value.(*entry)
		el = el.Next()
		if c.dead(e) {
			c.remove(e)
			c.expired.Add(1)
		}
	}
}

func (c *Cache) remove(e *entry) {
	c.recent.Remove(c.entries[e.key])
	delete(c.entries, e.key)
	delete(c.byID, e.id)
	c.later(e.id, nil)
	delete(c.scopes[e.key.Scope], e)
	if len(c.scopes[e.key.Scope]) == 0 {
		delete(c.scopes, e.key.Scope)
	}
}

// Apply follows a change of a knowledge base: the entries that show a passage that is gone leave memory, and answers that were
// under way before it are not kept. That they are not served between the change and this is for whoever verifies them.
func (c *Cache) Apply(_ context.Context, db string, u rag.Update) error {
	gone := make(map[passage]bool, len(u.Remove))
	for _, id := range u.Remove {
		gone[passage{id: id}] = true
	}
	kept := map[passage]bool{} // they only got a vector
	for _, e := range u.Add {
		if gone[passage{id: e.Passage.ID}] {
			kept[passage{e.Passage.ID, e.Passage.Hash}] = true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes[db] = u.Change
	if len(gone) == 0 {
		return nil
	}
	c.emptied.Add(uint64(c.drop(func(e *entry) bool {
		return e.key.DB == db && slices.ContainsFunc(e.passages, func(p passage) bool { return gone[passage{id: p.id}] && !kept[p] })
	})))
	return nil
}

// Forget follows the deletion of a knowledge base.
func (c *Cache) Forget(db string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.changes, db)
	c.emptied.Add(uint64(c.drop(func(e *entry) bool { return e.key.DB == db })))
}

// Clear removes the entries of one knowledge base, or all where db is empty, and says how many.
func (c *Cache) Clear(db string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.drop(func(e *entry) bool { return db == "" || e.key.DB == db })
	c.gone.Add(uint64(n))
	return n
}

func (c *Cache) drop(match func(*entry) bool) int {
	n := 0
	for el := c.recent.Front(); el != nil; {
		e := el.Value.(*entry)
		el = el.Next()
		if match(e) {
			c.remove(e)
			n++
		}
	}
	return n
}

// Config gives the bounds in force.
func (c *Cache) Config() rag.CacheConfig {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.config
}

// SetConfig changes the bounds; what no longer fits goes at once.
func (c *Cache) SetConfig(config rag.CacheConfig) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = config
	c.contract.promise(config.MaxError, config.Threshold)
	if !config.Enabled {
		c.config.Size = 0
	}
	c.sweep()
	c.shrink()
	c.config.Size = config.Size
}

// Stats gives the figures. Size counts what can still be served: an entry past its time is not in it.
func (c *Cache) Stats() rag.CacheStats {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := rag.CacheStats{
		Enabled: c.config.Enabled,
		Exact:   c.exact.Load(), Semantic: c.semantic.Load(), Misses: c.misses.Load(), MaxSize: c.config.Size, Threshold: c.config.Threshold, TTL: c.config.TTL,
		StaleServed: c.spared.Load(), Contract: c.contract.report(c.config.Threshold),
		Evicted: c.evicted.Load(), Expired: c.expired.Load(), Changed: c.emptied.Load(), Cleared: c.gone.Load(), Stale: map[rag.Stale]uint64{}, Guarded: map[string]uint64{},
	}
	for guard, n := range c.guarded {
		s.Guarded[string(guard)] = n.Load()
	}
	for why, n := range c.stale {
		s.Stale[why] = n.Load()
	}
	now := c.now()
	for el := c.recent.Front(); el != nil; el = el.Next() {
		if !c.oldAt(now, el.Value.(*entry)) {
			s.Size++
		}
	}
	return s
}
