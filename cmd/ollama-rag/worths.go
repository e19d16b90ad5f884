package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/store"
	"github.com/ollama-rag/ollama-rag/internal/worth"
)

// worths remembers what embedders are worth in each language: measured when one first makes vectors for passages, kept in the
// data folder, so that a question never waits for it.
type worths struct {
	store *store.Store
	log   *slog.Logger

	mu     sync.Mutex
	known  map[rag.EmbedderID]rag.Worth // nil where nothing was measured
	failed map[rag.EmbedderID]time.Time // when measuring failed last
	busy   sync.WaitGroup               // measuring in the background
}

// measureAgain is how long an embedder that could not be measured is left alone.
const measureAgain = 10 * time.Minute

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

// settingOf names the setting; the number grows with every change of the probes or of what their ranks are worth.
func settingOf(id rag.EmbedderID) string { return "worth 1 " + id.Digest + " " + id.Prefix }

// due says whether measuring should be tried, and counts it as tried.
func (w *worths) due(id rag.EmbedderID) bool {
	id.Name, id.Dimension = "", 0
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, ok := w.failed[id]; ok && time.Since(last) < measureAgain {
		return false
	}
	if w.failed == nil {
		w.failed = map[rag.EmbedderID]time.Time{}
	}
	w.failed[id] = time.Now() // until it went well
	return true
}

// measureLater measures the embedder of a knowledge base that was built before there were measures, while its question goes on.
func (w *worths) measureLater(ctx context.Context, e rag.Embedder, id rag.EmbedderID) {
	if id.IsZero() || w.of(ctx, id) != nil {
		return
	}
	w.busy.Go(func() {
		timed, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		w.measure(timed, e, id)
	})
}

// measure makes sure that an embedder was measured. One that does not answer now is measured another time.
func (w *worths) measure(ctx context.Context, e rag.Embedder, id rag.EmbedderID) {
	if id.IsZero() || w.of(ctx, id) != nil || !w.due(id) {
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
