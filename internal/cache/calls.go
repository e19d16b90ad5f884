package cache

import (
	"container/list"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// CallsConfig bounds Calls.
type CallsConfig struct {
	Enabled  bool
	MaxSize  int           // entries
	MaxBytes int64         // of all entries together
	TTL      time.Duration // an entry is served while it is at most this old; 0: for ever
}

// callBytes is what an entry costs beside its data and key: list, map and struct.
const callBytes = 256

// Calls keeps whole answers of models under exact keys: whoever keeps one puts everything into its key that can change it. It is
// bounded in entries and bytes; the least recently used goes first, and a hit does not renew the age.
type Calls struct {
	config CallsConfig
	now    func() time.Time

	mu      sync.Mutex
	entries map[string]*list.Element // of rag.KeptCall
	recent  *list.List               // most recently used first
	stats   rag.CallStats            // counters and bytes
	changes map[string]uint64        // newest change of each knowledge base that was told

	file *behind[rag.KeptCall] // nil: entries end with the process
}

// NewCalls makes an empty one.
func NewCalls(c CallsConfig) *Calls {
	return &Calls{config: c, now: time.Now, entries: map[string]*list.Element{}, recent: list.New(), changes: map[string]uint64{}}
}

// Recall gives what is kept under a key and is at most maxAge old (0: any age), how old it is, and how long it will be kept, which
// is negative where there is no end.
func (c *Calls) Recall(key string, maxAge time.Duration) (data []byte, age, left time.Duration, ok bool) {
	if !c.config.Enabled {
		return nil, 0, 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.entries[key]; el != nil {
		call := el.Value.(rag.KeptCall)
		age := c.ageOf(call)
		switch {
		case c.old(call):
			c.remove(el)
			c.stats.Expired++
		case maxAge == 0 || age <= maxAge:
			c.recent.MoveToFront(el)
			c.stats.Hits++
			return call.Data, age, c.config.TTL - age, true
		}
	}
	c.stats.Misses++
	return nil, 0, 0, false
}

func (c *Calls) ageOf(call rag.KeptCall) time.Duration {
	return max(c.now().Sub(time.Unix(0, call.Made)), 0)
}

func (c *Calls) old(call rag.KeptCall) bool { return c.config.TTL > 0 && c.ageOf(call) > c.config.TTL }

// Remember keeps an answer as of now, in place of an older one of its key. One that alone is larger than all may be is not kept.
// It must not be changed afterwards.
func (c *Calls) Remember(call rag.KeptCall) bool {
	if !c.config.Enabled || sizeOf(call) > c.config.MaxBytes {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.Change < c.changes[call.DB] {
		return false // the passages that the model was shown may be gone
	}
	call.Made = c.now().UnixNano()
	c.add(call)
	c.file.later(call.Key, &call)
	return true
}

func sizeOf(call rag.KeptCall) int64 {
	return int64(callBytes + len(call.Key) + len(call.DB) + 8*len(call.Passages) + len(call.Data))
}

func (c *Calls) add(call rag.KeptCall) {
	if old := c.entries[call.Key]; old != nil {
		c.remove(old)
	}
	c.entries[call.Key] = c.recent.PushFront(call)
	c.stats.Bytes += sizeOf(call)
	for c.recent.Len() > c.config.MaxSize || c.stats.Bytes > c.config.MaxBytes {
		c.remove(c.recent.Back())
		c.stats.Evicted++
	}
}

func (c *Calls) remove(el *list.Element) {
	call := c.recent.Remove(el).(rag.KeptCall)
	delete(c.entries, call.Key)
	c.stats.Bytes -= sizeOf(call)
	c.file.later(call.Key, nil)
}

func (c *Calls) drop(match func(rag.KeptCall) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for el := c.recent.Front(); el != nil; {
		next := el.Next()
		if match(el.Value.(rag.KeptCall)) {
			c.remove(el)
			n++
		}
		el = next
	}
	return n
}

// Clear removes the answers that were made from a knowledge base, or all where db is empty, and says how many.
func (c *Calls) Clear(db string) int {
	return c.drop(func(call rag.KeptCall) bool { return db == "" || call.DB == db })
}

// Forget follows the deletion of a knowledge base. Answers that are under way from it are not kept.
func (c *Calls) Forget(db string) {
	c.mu.Lock()
	c.changes[db] = deleted
	c.mu.Unlock()
	c.Clear(db)
}

// ClearPrompts removes the answers that were made from any knowledge base.
func (c *Calls) ClearPrompts() { c.drop(func(call rag.KeptCall) bool { return call.DB != "" }) }

// Apply follows a change of a knowledge base: answers for which the model was shown a passage that is gone can never be asked for
// again, and nothing of the passage may stay.
func (c *Calls) Apply(_ context.Context, db string, u rag.Update) error {
	gone := make(map[int64]bool, len(u.Remove))
	for _, id := range u.Remove {
		gone[id] = true
	}
	for _, e := range u.Add {
		delete(gone, e.Passage.ID) // it only got a vector
	}
	c.mu.Lock()
	c.changes[db] = u.Change
	c.mu.Unlock()
	if len(gone) > 0 {
		c.drop(func(call rag.KeptCall) bool {
			return call.DB == db && slices.ContainsFunc(call.Passages, func(id int64) bool { return gone[id] })
		})
	}
	return nil
}

// Stats gives the figures. Size and bytes are those of all that is held, what is past its time included until it is looked for.
func (c *Calls) Stats() rag.CallStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Enabled, s.Size, s.MaxSize, s.MaxBytes, s.TTL = c.config.Enabled, c.recent.Len(), c.config.MaxSize, c.config.MaxBytes, c.config.TTL
	return s
}

// Keep brings back what a file holds, and keeps it up to date from now on, behind those who ask, until Close. It is called once,
// before the first use.
func (c *Calls) Keep(ctx context.Context, keeper rag.CallKeeper, log *slog.Logger) error {
	kept, err := keeper.KeptCalls(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// What cannot be written is not there after the next start, or once more and past its time.
	c.file = writeBehind(func(put []*rag.KeptCall, remove []string) {
		calls := make([]rag.KeptCall, len(put))
		for i, call := range put {
			calls[i] = *call
		}
		if err := keeper.KeepCalls(context.Background(), calls, remove); err != nil {
			log.Warn("write the file of the generation cache", "error", err)
		}
	})
	for _, call := range kept {
		if !c.config.Enabled || c.old(call) || call.Made > c.now().UnixNano() {
			c.file.later(call.Key, nil)
			continue
		}
		c.add(call)
	}
	c.stats.Evicted = 0
	return nil
}

// Close writes what is not written yet. What is kept from then on ends with the process.
func (c *Calls) Close() { c.file.close() }
