package main

import (
	"context"
	"os"
	"runtime/debug"
	"sync"

	"github.com/ollama-rag/ollama-rag/internal/embed"
	"github.com/ollama-rag/ollama-rag/internal/gateway"
	"github.com/ollama-rag/ollama-rag/internal/ingest"
	"github.com/ollama-rag/ollama-rag/internal/live"
	"github.com/ollama-rag/ollama-rag/internal/metrics"
	"github.com/ollama-rag/ollama-rag/internal/ollama"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/server"
	"github.com/ollama-rag/ollama-rag/internal/store"
)

// embedders finds the embedder that new passages of a knowledge base get: the one it was built with, else EMBED_MODEL.
type embedders struct {
	store  *store.Store
	ollama *ollama.Client
	locals *locals
	wanted string // EMBED_MODEL
	worths *worths
}

// EmbedderFor implements rag.Embedders for ingest.
func (e *embedders) EmbedderFor(ctx context.Context, db string) (rag.Embedder, rag.EmbedderID, error) {
	embedder, id, err := e.find(ctx, db)
	if err == nil {
		e.worths.measure(ctx, embedder, id)
	}
	return embedder, id, err
}

func (e *embedders) find(ctx context.Context, db string) (rag.Embedder, rag.EmbedderID, error) {
	kb, err := e.store.KnowledgeBase(ctx, db)
	if err != nil {
		return nil, rag.EmbedderID{}, err
	}
	if !kb.Embedder.IsZero() {
		return e.builtWith(ctx, kb)
	}
	return e.named(ctx, e.wanted)
}

// next is the embedder that a knowledge base changes to when its vectors are built anew.
func (e *embedders) next(ctx context.Context) (rag.Embedder, rag.EmbedderID, error) {
	embedder, id, err := e.named(ctx, e.wanted)
	if err == nil {
		e.worths.measure(ctx, embedder, id)
	}
	return embedder, id, err
}

// named finds an embedder by a name of EMBED_MODEL. A program without a model finds by words alone unless told otherwise.
func (e *embedders) named(ctx context.Context, name string) (rag.Embedder, rag.EmbedderID, error) {
	if name == embed.Builtin && !embed.HasBuiltin {
		return nil, rag.EmbedderID{}, nil
	}
	if isLocal(name) {
		return local(e.locals.get(name))
	}
	embedder := e.ollama.Embedder(name)
	id, err := embedder.Identity(ctx)
	return embedder, id, err
}

// local keeps a nil model from becoming an embedder that is not nil.
func local(m *embed.Model, id rag.EmbedderID, err error) (rag.Embedder, rag.EmbedderID, error) {
	if err != nil {
		return nil, id, err
	}
	return m, id, nil
}

// builtWith finds the knowledge base's own embedder, and refuses a model of its name that is another one by now.
func (e *embedders) builtWith(ctx context.Context, kb rag.KnowledgeBase) (rag.Embedder, rag.EmbedderID, error) {
	if isLocal(kb.Embedder.Name) {
		return e.builtWithLocal(kb)
	}
	digest, err := e.ollama.Digest(ctx, kb.Embedder.Name)
	if err != nil {
		return nil, rag.EmbedderID{}, err
	}
	if digest != kb.Embedder.Digest {
		return nil, rag.EmbedderID{}, embedderChanged(kb)
	}
	return e.ollama.Embedder(kb.Embedder.Name), kb.Embedder, nil
}

// builtWithLocal takes the file that EMBED_MODEL names where the knowledge base's own has moved: the digest decides.
func (e *embedders) builtWithLocal(kb rag.KnowledgeBase) (rag.Embedder, rag.EmbedderID, error) {
	m, id, err := e.locals.get(kb.Embedder.Name)
	if (err != nil || id.Digest != kb.Embedder.Digest) && isLocal(e.wanted) && e.wanted != kb.Embedder.Name {
		if other, otherID, otherErr := e.locals.get(e.wanted); otherErr == nil && otherID.Digest == kb.Embedder.Digest {
			return other, kb.Embedder, nil
		}
	}
	switch {
	case err != nil:
		return nil, rag.EmbedderID{}, err
	case id.Digest != kb.Embedder.Digest:
		return nil, rag.EmbedderID{}, embedderChanged(kb)
	}
	return m, kb.Embedder, nil
}

func embedderChanged(kb rag.KnowledgeBase) error {
	return rag.Errorf(rag.Conflict, "embedder_changed", "the embedding model %s has changed since the knowledge base %q was built with it: build its vectors anew with `ollama-rag dbs reindex %s`", kb.Embedder.Name, kb.Name, kb.Name)
}

// offline says whether a knowledge base gets its vectors without a model server.
func (e *embedders) offline(ctx context.Context, db string) bool {
	kb, err := e.store.KnowledgeBase(ctx, db)
	if err != nil {
		return false
	}
	if kb.Embedder.IsZero() {
		return isLocal(e.wanted)
	}
	return isLocal(kb.Embedder.Name)
}

// questionEmbedders finds the embedder for questions: only that which a knowledge base was built with is of use.
type questionEmbedders struct {
	*embedders
	asked func() // told that somebody asks
}

// EmbedderFor implements rag.Embedders for the engine.
func (e questionEmbedders) EmbedderFor(ctx context.Context, db string) (rag.Embedder, rag.EmbedderID, error) {
	e.asked()
	kb, err := e.store.KnowledgeBase(ctx, db)
	if err != nil || kb.Embedder.IsZero() {
		return nil, rag.EmbedderID{}, err
	}
	embedder, id, err := e.builtWith(ctx, kb)
	if err == nil {
		e.worths.measureLater(ctx, embedder, id)
	}
	return embedder, id, err
}

// models shows the model server to the API.
type models struct{ h *house }

// Reachable is nil as soon as one host answers.
func (m models) Reachable(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hosts := m.h.upstream.Stats()
	answers := make(chan error, len(hosts))
	for _, host := range hosts {
		go func() {
			_, err := m.h.upstream.Probe(ctx, host.Label)
			answers <- err
		}()
	}
	var first error
	for range hosts {
		err := <-answers
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (m models) Models(ctx context.Context) ([]server.ModelInfo, error) {
	list, err := m.h.ollama.Models(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]server.ModelInfo, len(list))
	for i, model := range list {
		out[i] = server.ModelInfo{Name: model.Name, Size: model.Size, Capabilities: model.Capabilities}
	}
	return out, nil
}

func (m models) ChatModel(ctx context.Context) (string, error) {
	model, err := m.h.ollama.ChatModel(ctx, m.h.config.LLMModel)
	return model.Name, err
}

// newGateway is Ollama's and OpenAI's own API over the same hosts.
func (h *house) newGateway() *gateway.Gateway {
	c := h.config
	g := gateway.Config{
		Upstream: h.upstream, Embedder: h.locals.gateway(), MaxBody: c.GatewayMaxBody, MaxTexts: c.GatewayTexts, Admin: c.GatewayAdmin, Unknown: c.GatewayUnknown,
		CacheRoutes: c.GatewayCache, Sampled: c.CacheSampled, Digest: h.ollama.Digest,
	}
	if c.CallsEnabled {
		g.Kept = h.calls
	}
	return gateway.New(g)
}

// callStats are the figures of what models said, for questions and through the gateway.
func (h *house) callStats() rag.CallStats {
	s := h.calls.Stats()
	s.Coalesced = h.gateway.Coalesced()
	return s
}

// liveSources are what the live page draws.
func (h *house) liveSources() live.Sources {
	s := live.Sources{
		Hosts: h.servers, Queue: h.waiting, Cache: func() rag.CacheStats { return h.seenCache().Stats() }, Ingest: func() ingest.Stats { return h.ingest.Stats() }, Store: h.store.Ping,
	}
	s.Look = func(ctx context.Context) {
		var all sync.WaitGroup
		for _, host := range h.upstream.Stats() {
			all.Go(func() { _, _ = h.upstream.Probe(ctx, host.Label) }) // what came of it stands in Stats
		}
		all.Wait()
	}
	if h.config.Metrics {
		s.Flow = func() metrics.Flow { return h.metrics.Flow() }
	}
	return s
}

func (h *house) hosts() []server.Host {
	stats := h.servers()
	out := make([]server.Host, len(stats))
	for i, s := range stats {
		out[i] = server.Host{
			Label: s.Label, URL: s.URL, Guarded: s.BreakerEnabled, Breaker: s.Breaker, InFlight: s.InFlight, Requests: s.Requests,
			Connections: s.PoolConnections, MaxSize: s.PoolMaxSize, Block: s.PoolBlock, Open: s.Connections, InUse: s.InUse, Idle: s.Idle, Reused: s.Reused,
			Waited: s.Waits.Seconds, Down: s.Down, Version: s.Version, LastFailure: s.LastFailure.Text,
		}
		for _, m := range s.Loaded {
			out[i].Loaded = append(out[i].Loaded, m.Name)
		}
		for _, m := range s.Models {
			out[i].Models = append(out[i].Models, server.HostModel{Name: m.Name, Breaker: m.Breaker, Places: m.Limit, InUse: m.InUse, Resident: m.Resident, LastFailure: m.LastFailure.Text})
		}
	}
	return out
}

func (h *house) queue() server.Queue {
	stats := h.waiting()
	q := server.Queue{Waiting: map[string]uint64{}, Rejected: map[string]uint64{}}
	for _, w := range stats.Waiting {
		q.Waiting[w.Label] = w.Count
	}
	for _, r := range stats.Rejected {
		q.Rejected[r.Label] = r.Count
	}
	return q
}

// dropBase deletes a knowledge base: from the store first, then from memory and disk what derives from it.
func (h *house) dropBase(ctx context.Context, name string) error {
	if name == h.config.DBName {
		return rag.Errorf(rag.Conflict, "db_in_use", "db: %q is the knowledge base of requests that name none (DB_NAME): delete its documents instead", name)
	}
	if err := h.store.DeleteBase(ctx, name); err != nil {
		return err
	}
	h.indexes.Drop(name)
	h.cache.Forget(name)
	h.calls.Forget(name)
	return nil
}

// resolve checks a path that POST /api/ingest was given. The other commands of the same user may name any.
func (h *house) resolve(path string, trusted bool) (string, error) {
	if trusted {
		return ingest.ResolvePath(path, nil)
	}
	roots := append([]string{}, h.config.IngestRoots...)
	roots = append(roots, h.config.Docs...)
	if len(h.config.IngestRoots) == 0 && len(h.config.APIKeys) == 0 {
		roots = append(roots, os.TempDir())
		for _, dir := range []func() (string, error){os.Getwd, os.UserHomeDir} {
			if path, err := dir(); err == nil {
				roots = append(roots, path)
			}
		}
	}
	return ingest.ResolvePath(path, roots)
}

// releaseVersion is set by the linker for releases.
var releaseVersion = "dev"

func version() string { return releaseVersion }

// revision is the commit that this program was built from, as the Go tool wrote it down.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "-dirty"
			}
		}
	}
	return rev[:min(len(rev), 12)] + dirty
}
