package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// saveEvery is how often changed search snapshots are kept, so that a crash costs a rebuild of little.
const saveEvery = 5 * time.Minute

// background ingests what --docs names, loads the index of the default knowledge base, watches open hosts, keeps snapshots
// and samples for the live page.
func (h *house) background(ctx context.Context) {
	var watching sync.WaitGroup
	watching.Go(func() { h.live.Run(ctx) })
	h.cleanSpool(ctx)
	if err := h.ingestDocs(ctx); err != nil {
		h.log.Error("--docs", "error", err)
	}
	if _, _, _, err := h.indexes.Values(ctx, h.config.DBName); err != nil && ctx.Err() == nil {
		h.log.Error("load index", "db", h.config.DBName, "error", err)
	}
	h.warmUp(ctx)
	watching.Go(func() { h.upstream.Watch(ctx) })
	for _, s := range h.shadows {
		watching.Go(func() { s.Run(ctx) })
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := h.indexes.Save(ctx); err != nil && ctx.Err() == nil {
				h.log.Error("keep search snapshots", "error", err)
			}
		case <-ctx.Done():
			watching.Wait()
			return
		}
	}
}

// warmUp opens the default knowledge base's embedder, so that the first question need not wait for it.
func (h *house) warmUp(ctx context.Context) {
	kb, err := h.store.KnowledgeBase(ctx, h.config.DBName)
	if err != nil || !isLocal(kb.Embedder.Name) {
		return
	}
	if _, _, err := h.locals.get(kb.Embedder.Name); err != nil {
		h.log.Warn("open the embedder", "db", kb.Name, "error", err)
	}
}

func (h *house) ingestDocs(ctx context.Context) error {
	if len(h.config.Docs) == 0 {
		return nil
	}
	req := rag.IngestRequest{DB: h.config.DBName}
	for _, path := range h.config.Docs {
		file, err := h.resolve(path, true)
		if err != nil {
			return err
		}
		req.Paths = append(req.Paths, rag.IngestPath{Name: filepath.ToSlash(filepath.Clean(path)), File: file})
	}
	job, err := h.ingest.Submit(ctx, req)
	if err != nil {
		return err
	}
	go func() {
		job, err := h.ingest.Wait(ctx, job.ID)
		if err != nil {
			return // the service or the process ends
		}
		r := job.Report
		h.log.Info("ingested --docs", "state", string(job.State), "added", r.Added, "replaced", r.Replaced, "unchanged", r.Unchanged, "skipped", r.Skipped, "deleted", r.Deleted, "passages", r.Passages, "seconds", r.Seconds)
	}()
	return nil
}

// cleanSpool removes uploads that no unfinished job needs: those whose request broke off in a crash.
func (h *house) cleanSpool(ctx context.Context) {
	needed, err := h.ingest.Spools(ctx)
	if err != nil {
		h.log.Error("look for left-over uploads", "error", err)
		return
	}
	dir := filepath.Join(h.config.DataDir, "uploads")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // no uploads yet
	}
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); !needed[path] && olderThan(path, time.Hour) {
			if err := os.RemoveAll(path); err != nil {
				h.log.Error("remove left-over upload", "error", err)
			}
		}
	}
}

func olderThan(path string, age time.Duration) bool {
	info, err := os.Stat(path)
	return err == nil && time.Since(info.ModTime()) > age
}
