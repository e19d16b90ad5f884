package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/store"
	"github.com/ollama-rag/ollama-rag/internal/worth"
)

// worths remembers what embedders are worth in each language: measured when one first makes vectors for passages, kept in the
// data folder, so that a question never waits for it.
type worths struct {
	store *store.Store
	log   *slog.Logger

	mu    sync.Mutex
	known map[rag.EmbedderID]rag.Worth // nil where nothing was measured
}

// of is the worth of an embedder, nil where nobody has measured it yet.
func (w *worths) of(ctx context.Context, id rag.EmbedderID) rag.Worth {
	id.Name, id.Dimension = "", 0
	w.mu.Lock()
	defer w.mu.Unlock()
	if found, ok := w.known[id]; ok {
		return found
	}
	var found rag.Worth
	text, err := w.store.Setting(ctx, settingOf(id))
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &found)
	}
	if err != nil {
		w.log.Warn("read what an embedder is worth", "error", err)
		return nil
	}
	w.keep(id, found)
	return found
}

func (w *worths) keep(id rag.EmbedderID, found rag.Worth) {
	if w.known == nil {
		w.known = map[rag.EmbedderID]rag.Worth{}
	}
	w.known[id] = found
}

func settingOf(id rag.EmbedderID) string { return "worth " + id.Digest + " " + id.Prefix }

// measure makes sure that an embedder was measured. One that does not answer now is measured another time.
func (w *worths) measure(ctx context.Context, e rag.Embedder, id rag.EmbedderID) {
	if id.IsZero() || w.of(ctx, id) != nil {
		return
	}
	found, err := worth.Measure(ctx, e)
	if err != nil {
		return // embedding the passages will say so, too
	}
	data, err := json.Marshal(found)
	if err == nil {
		err = w.store.SetSetting(ctx, settingOf(id), string(data))
	}
	if err != nil {
		w.log.Warn("keep what an embedder is worth", "error", err)
	}
	id.Name, id.Dimension = "", 0
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep(id, found)
}
