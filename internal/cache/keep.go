package cache

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Keep brings the entries back that a file holds, and keeps it up to date from now on, until Close. Their evidence is looked at
// before they are served. It is called once, before the cache is used.
func (c *Cache) Keep(ctx context.Context, keeper rag.AnswerKeeper, log *slog.Logger) error {
	kept, err := keeper.KeptAnswers(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.file = writeBehind(func(put []*entry, remove []string) { writeEntries(keeper, log, put, remove) })
	for _, k := range kept {
		e, err := newEntry(k, time.Unix(0, k.Made))
		if err != nil || e.made.After(c.now()) || !c.config.Enabled || !c.add(e) {
			c.file.later(k.ID, nil)
		}
	}
	c.expire()
	return nil
}

// writeEntries writes to the file. What it cannot write costs the entry's next life, and evidence is looked at before a removed one
// that came back is served.
func writeEntries(keeper rag.AnswerKeeper, log *slog.Logger, entries []*entry, remove []string) {
	var put []rag.KeptAnswer
	for _, e := range entries {
		if data, err := json.Marshal(e.answer); err == nil { // it came from JSON
			put = append(put, rag.KeptAnswer{ID: e.id, Key: e.key, Vector: e.vector, Made: e.made.UnixNano(), Answer: data})
		}
	}
	if err := keeper.KeepAnswers(context.Background(), put, remove); err != nil {
		log.Warn("write the file of the answer cache", "error", err)
	}
}

// Close writes what is not written yet. The cache is not used any more.
func (c *Cache) Close() { c.file.close() }
