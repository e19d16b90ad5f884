package cache

import (
	"container/list"
	"context"
	"crypto/rand"
	"encoding/json"
	"math"
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

	mu      sync.Mutex
	config  rag.CacheConfig
	entries map[rag.CacheKey]*entry
	byID    map[string]*entry
	made    *list.List          // of *entry, in the order in which they were made: the first one expires first
	spare   *list.List          // those of them that only serve where no model answers, the one that goes first in front
	shelves map[shelfKey]*shelf // of entries with vectors, for the nearest question
	worth   byWorth             // a heap: what is worth least comes first
	floor   float64             // worth of what was evicted last
	uses    uint64              // so far
	bytes   int64               // of all entries
	nearest spread              // similarities of the nearest questions
	changes map[string]uint64   // newest change of each knowledge base that was told
	file    *behind[entry]      // nil: entries end with the process

	contract contract
	chance   func() float64 // 0 to 1: whether a served answer is made again

	exact, semantic, misses, spared           atomic.Uint64
	evicted, outgrown, expired, emptied, gone atomic.Uint64
	stale                                     map[rag.Stale]*atomic.Uint64 // every reason from the start
	guarded                                   map[Guard]*atomic.Uint64     // every guard from the start
}

// New makes an empty cache.
func New(c rag.CacheConfig) *Cache {
	cache := &Cache{
		now: time.Now, chance: mrand.Float64, contract: contract{maxError: c.MaxError}, config: c, entries: map[rag.CacheKey]*entry{}, byID: map[string]*entry{},
		made: list.New(), spare: list.New(), shelves: map[shelfKey]*shelf{}, changes: map[string]uint64{},
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
	c.expire()
	e := c.entries[key]
	if e == nil || c.dead(e) {
		c.mu.Unlock()
		return rag.Recalled{}, false
	}
	c.use(e)
	change := e.change
	c.mu.Unlock()
	return c.serve(e, 1, change), true
}

// RecallNear finds the nearest question of the scope, if it reaches the threshold and no guard tells it from the one asked; vector
// may be nil. Where the nearest is refused the next one is not tried: it is wrong more often than right.
func (c *Cache) RecallNear(key rag.CacheKey, vector []float32) (rag.Recalled, bool) {
	unit := vec.Normalize(vector)
	s, threshold := c.shelf(key, unit)
	if s == nil {
		return rag.Recalled{}, false
	}
	e, similarity := s.nearest(unit)
	if e == nil {
		return rag.Recalled{}, false
	}
	near := similarity >= threshold-spreadOfE5*rounding
	guard := Guard("")
	if near {
		guard = Check(key.Question, e.key.Question)
	}
	c.mu.Lock()
	c.nearest.add(similarity)
	near = near && guard == "" && c.byID[e.id] == e && !c.old(e) // it may have gone meanwhile
	if near {
		c.use(e)
	}
	change := e.change
	c.mu.Unlock()
	if guard != "" {
		c.guarded[guard].Add(1)
	}
	if !near {
		return rag.Recalled{}, false
	}
	r := c.serve(e, similarity, change)
	r.Withheld = c.withholds(similarity)
	return r, true
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

func (c *Cache) serve(e *entry, similarity float64, change uint64) rag.Recalled {
	config, age := c.Config(), c.now().Sub(e.made)
	return rag.Recalled{
		Change: change, Answer: e.copy(form{c, e}), Similarity: similarity, Age: age, Question: e.key.Question, EntryID: e.id,
		Spare: config.StaleIfError > 0, Expired: age > config.TTL,
	}
}

// Remember keeps an answer, in place of an older one of the same key, and says whether it did. The vector may be nil: the entry
// then serves exact look-ups only.
func (c *Cache) Remember(key rag.CacheKey, vector []float32, change uint64, a rag.Answer) bool {
	data, err := json.Marshal(a)
	if err != nil {
		return false // an answer that cannot be kept is made again
	}
	e, err := newEntry(rag.KeptAnswer{ID: rand.Text(), Key: key, Vector: vector, Answer: data}, c.now())
	if err != nil {
		return false
	}
	e.change = change
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.config.Enabled || change < c.changes[key.DB] {
		return false // made from documents that have changed meanwhile
	}
	if !c.add(e) {
		return false
	}
	c.file.later(e.id, e)
	return true
}

// add puts an entry in the place of the older one of its key, unless it is larger than all may be together; it says which.
func (c *Cache) add(e *entry) bool {
	if c.config.Size < 1 || c.outgrows(e.bytes) {
		return false
	}
	if old := c.entries[e.key]; old != nil {
		c.remove(old)
	}
	c.room(1, e.bytes)
	c.entries[e.key], c.byID[e.id] = e, e
	c.bytes += e.bytes
	e.turn = c.made.PushBack(e)
	c.shelve(e)
	c.rank(e)
	return true
}

func (c *Cache) remove(e *entry) {
	delete(c.entries, e.key)
	delete(c.byID, e.id)
	c.bytes -= e.bytes
	c.made.Remove(e.turn) // from the list that it is in
	c.spare.Remove(e.turn)
	c.unshelve(e)
	c.unrank(e)
	c.file.later(e.id, nil)
}

// Apply follows a change of a knowledge base: the entries that show a passage that is gone leave memory, and answers that were
// under way before it are not kept. That they are not served between the change and this is for whoever verifies them.
func (c *Cache) Apply(_ context.Context, db string, u rag.Update) error {
	type passage struct {
		id   int64
		hash string
	}
	gone := make(map[int64]bool, len(u.Remove))
	for _, id := range u.Remove {
		gone[id] = true
	}
	kept := map[passage]bool{} // they only got a vector
	for _, e := range u.Add {
		if gone[e.Passage.ID] {
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
		return e.key.DB == db && slices.ContainsFunc(e.answer.Hits, func(h rag.Hit) bool { return gone[h.Passage.ID] && !kept[passage{h.Passage.ID, h.Passage.Hash}] })
	})))
	return nil
}

// deleted is the newest change of a knowledge base that was deleted: no answer is as new. The first change of another one of its name
// takes its place.
const deleted = math.MaxUint64

// Forget follows the deletion of a knowledge base. Answers that are under way from it are not kept.
func (c *Cache) Forget(db string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes[db] = deleted
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
	for _, e := range c.byID {
		if match(e) {
			c.remove(e)
			n++
		}
	}
	return n
}

// Config gives the bounds in force.
func (c *Cache) Config() rag.CacheConfig {
	c.mu.Lock()
	defer c.mu.Unlock()
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
	c.renew()
	c.expire()
	c.room(0, 0)
	c.config.Size = config.Size
}

// Stats gives the figures. Size counts what can still be served: an entry past its time is not in it.
func (c *Cache) Stats() rag.CacheStats {
	contract := c.contract.report(c.Config().Threshold)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire()
	s := rag.CacheStats{
		Enabled: c.config.Enabled, Size: c.made.Len(), Bytes: c.bytes,
		Exact: c.exact.Load(), Semantic: c.semantic.Load(), Misses: c.misses.Load(), MaxSize: c.config.Size, MaxBytes: c.config.Bytes, Threshold: c.config.Threshold, TTL: c.config.TTL,
		StaleServed: c.spared.Load(), Contract: contract,
		Evicted: c.evicted.Load(), Outgrown: c.outgrown.Load(), Expired: c.expired.Load(), Changed: c.emptied.Load(), Cleared: c.gone.Load(),
		Stale: map[rag.Stale]uint64{}, Guarded: map[string]uint64{}, Nearest: c.nearest.stats(),
	}
	for guard, n := range c.guarded {
		s.Guarded[string(guard)] = n.Load()
	}
	for why, n := range c.stale {
		s.Stale[why] = n.Load()
	}
	return s
}
