package cache

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// keeping writes what changed to a file, behind those who ask.
type keeping struct {
	keeper  rag.AnswerKeeper
	log     *slog.Logger
	pending map[string]*entry // by id; nil: it is gone. Under Cache.mu.
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

// Keep brings the entries back that a file holds, and keeps it up to date from now on, until Close. Their evidence is looked at
// before they are served. It is called once, before the cache is used.
func (c *Cache) Keep(ctx context.Context, keeper rag.AnswerKeeper, log *slog.Logger) error {
	kept, err := keeper.KeptAnswers(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep = &keeping{keeper: keeper, log: log, pending: map[string]*entry{}, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	for _, k := range kept {
		e, err := newEntry(k, time.Unix(0, k.Made))
		if err != nil || e.made.After(c.now()) || !c.config.Enabled || !c.add(e) {
			c.later(k.ID, nil)
		}
	}
	c.expire()
	c.keep.pending = gone(c.keep.pending) // the others are there already
	go c.write()
	c.keep.nudge()
	return nil
}

// gone leaves those that are to be removed.
func gone(pending map[string]*entry) map[string]*entry {
	out := map[string]*entry{}
	for id, e := range pending {
		if e == nil {
			out[id] = nil
		}
	}
	return out
}

// later notes a change for the file. The caller holds the lock.
func (c *Cache) later(id string, e *entry) {
	if c.keep != nil {
		c.keep.pending[id] = e
		c.keep.nudge()
	}
}

func (k *keeping) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// write writes changes until it is told to stop, the last ones then.
func (c *Cache) write() {
	k := c.keep
	defer close(k.done)
	for {
		select {
		case <-k.wake:
			c.flush()
		case <-k.stop:
			c.flush()
			return
		}
	}
}

// flush writes what has changed since the last time. What cannot be written is not tried again: it costs the entry's next life, and
// evidence is looked at before a removed one that came back is served.
func (c *Cache) flush() {
	k := c.keep
	c.mu.Lock()
	pending := k.pending
	k.pending = map[string]*entry{}
	c.mu.Unlock()
	var put []rag.KeptAnswer
	var remove []string
	for id, e := range pending {
		if e == nil {
			remove = append(remove, id)
			continue
		}
		data, err := json.Marshal(e.answer)
		if err != nil {
			continue // it came from JSON
		}
		put = append(put, rag.KeptAnswer{ID: id, Key: e.key, Vector: e.vector, Made: e.made.UnixNano(), Answer: data})
	}
	if len(pending) == 0 {
		return
	}
	if err := k.keeper.KeepAnswers(context.Background(), put, remove); err != nil {
		k.log.Warn("write the file of the answer cache", "error", err)
	}
}

// Close writes what is not written yet. The cache is not used any more.
func (c *Cache) Close() {
	if c.keep == nil {
		return
	}
	close(c.keep.stop)
	<-c.keep.done
}
