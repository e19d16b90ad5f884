package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/cache"
	"github.com/ollama-rag/ollama-rag/internal/chunk"
	"github.com/ollama-rag/ollama-rag/internal/config"
	"github.com/ollama-rag/ollama-rag/internal/embed"
	"github.com/ollama-rag/ollama-rag/internal/extract"
	"github.com/ollama-rag/ollama-rag/internal/gateway"
	"github.com/ollama-rag/ollama-rag/internal/ingest"
	"github.com/ollama-rag/ollama-rag/internal/live"
	"github.com/ollama-rag/ollama-rag/internal/metrics"
	"github.com/ollama-rag/ollama-rag/internal/ollama"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/search"
	"github.com/ollama-rag/ollama-rag/internal/server"
	"github.com/ollama-rag/ollama-rag/internal/store"
	"github.com/ollama-rag/ollama-rag/internal/trace"
	"github.com/ollama-rag/ollama-rag/internal/upstream"
	"github.com/ollama-rag/ollama-rag/internal/web"
)

// house is everything wired together.
type house struct {
	config    config.Config
	log       *slog.Logger
	logLevel  *slog.LevelVar // of a server: DEBUG_ADDR can change it
	store     *store.Store
	upstream  *upstream.Client
	ollama    *ollama.Client
	locals    locals
	worths    worths
	indexes   *search.Indexes
	cache     *cache.Cache
	calls     *cache.Calls // whole answers of models
	gateway   *gateway.Gateway
	answers   *store.Answers // the caches' file; nil: it lives in memory alone
	joins     rag.Joins      // identical questions in flight, of every provider
	shadows   []*rag.Shadows // served answers that are made again, by provider
	extractor *extract.Extractor
	ingest    *ingest.Service
	engines   engines          // by provider
	openai    *upstream.Client // nil: no OpenAI-compatible server is set up
	metrics   *metrics.Metrics // nil: switched off
	tracer    *trace.Tracer    // nil: switched off
	live      *live.Recorder
	token     string // what the other commands of the same user send
}

// openHouse opens the data folder and wires the parts. Nothing is sent to a model server.
func openHouse(ctx context.Context, c config.Config, log *slog.Logger) (*house, error) {
	h := &house{config: c, log: log, token: rand.Text()}
	var err error
	if h.store, err = store.Open(ctx, c.DataDir); err != nil {
		return nil, err
	}
	if err := h.wire(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *house) wire(ctx context.Context) error {
	c := h.config
	if err := h.store.EnsureBase(ctx, c.DBName); err != nil {
		return err
	}
	var err error
	h.tracer = h.newTracer()
	h.live = live.New(h.liveSources())
	u := upstreamConfig(c, h.log, h.live.Changed)
	h.traceUpstream(&u)
	if h.upstream, err = upstream.New(u); err != nil {
		return usageError{err}
	}
	options := ollama.Options{NumThread: c.NumThread}
	if c.NumGPU >= 0 {
		options.NumGPU = &c.NumGPU
	}
	h.ollama = ollama.New(h.upstream, options)
	h.calls = cache.NewCalls(cache.CallsConfig{Enabled: c.CallsEnabled, MaxSize: c.CallsSize, MaxBytes: c.CallsBytes, TTL: c.CallsTTL})
	h.gateway = h.newGateway()
	h.indexes = search.New(h.store, filepath.Join(c.DataDir, "index"))
	h.cache = cache.New(rag.CacheConfig{
		Enabled: c.CacheEnabled, Threshold: c.CacheThreshold, Size: c.CacheSize, Bytes: c.CacheBytes, TTL: c.CacheTTL,
		StaleIfError: c.CacheStale, ShadowRate: c.CacheShadow, MaxError: c.CacheMaxError,
	})
	h.keepAnswers(ctx)
	h.extractor = extract.New(extract.Config{CodeDir: filepath.Join(c.DataDir, "pdfium")})
	if path, file := strings.CutPrefix(c.EmbedModel, embed.FilePrefix); file {
		if path, err = filepath.Abs(path); err != nil {
			return usageError{fmt.Errorf("EMBED_MODEL: %w", err)}
		}
		c.EmbedModel = embed.FilePrefix + path // a knowledge base remembers it, wherever the program is started next
		if _, _, err := h.locals.get(c.EmbedModel); err != nil {
			return usageError{fmt.Errorf("EMBED_MODEL: %w", err)}
		}
	}
	h.worths = worths{store: h.store, log: h.log}
	embedders := &embedders{store: h.store, ollama: h.ollama, locals: &h.locals, wanted: c.EmbedModel, worths: &h.worths}
	h.ingest = &ingest.Service{
		Reader: h.extractor, Cutter: newCutter(c, &h.locals), Documents: h.store, Jobs: h.store,
		Embedders: embedders, Offline: embedders.offline, Next: embedders.next, Followers: []ingest.Follower{h.indexes, h.cache, h.calls}, Log: h.log,
		Config: ingest.Config{MaxFileBytes: c.MaxUpload, MaxFiles: c.MaxFiles},
	}
	if h.openai, err = h.openAIUpstream(); err != nil {
		return usageError{err}
	}
	if c.Metrics {
		h.metrics = metrics.New(metrics.Parts{
			Hosts: h.servers, Queue: h.waiting, Cache: h.seenCache().Stats, Calls: h.callStats, Ingest: h.ingest.Stats, Indexes: h.indexes.Stats, Documents: h.store.DocumentCounts,
		}, version(), revision(), c.MetricsNative)
	}
	h.engines = h.answerers(rag.Engine{
		Bases: h.store, Embedders: questionEmbedders{embedders, h.ingest.Wake}, Retriever: h.indexes, Cache: h.cache, Evidence: h.store, CacheEmbedder: cacheEmbedder{&h.locals}, Joins: &h.joins, Worth: embedders.worths.of,
		Limits: rag.Limits{NumCtx: c.NumCtx, MaxTokens: c.MaxTokens}, EmbedTimeout: c.EmbedTimeout, Normalise: normalise, Sampled: c.CacheSampled,
	})
	return h.ingest.Start(ctx)
}

// contractSetting keeps what the error contract of the answer cache has compared.
const contractSetting = "cache contract 1"

// keepAnswers lets remembered answers outlive the process. A broken file costs them, not the start.
func (h *house) keepAnswers(ctx context.Context) {
	answers, lost, err := h.store.OpenAnswers(ctx)
	if lost {
		h.log.Warn("the file of the answer cache was damaged or of another version: remembered answers are lost")
	}
	if err == nil {
		h.answers = answers
		err = errors.Join(h.cache.Keep(ctx, answers, h.log), h.calls.Keep(ctx, answers, h.log))
		if err := errors.Join(h.cache.Recheck(ctx, h.store), h.calls.Recheck(ctx, h.store)); err != nil {
			h.log.Warn("look whether remembered answers show deleted passages", "error", err)
		}
	}
	state, stateErr := h.store.Setting(ctx, contractSetting)
	if stateErr != nil {
		h.log.Warn("read how often the answer cache was wrong", "error", stateErr)
	}
	h.cache.Contract([]byte(state), func(state []byte) {
		if err := h.store.SetSetting(context.Background(), contractSetting, string(state)); err != nil {
			h.log.Warn("note how often the answer cache was wrong", "error", err)
		}
	}, h.log)
	if err != nil {
		h.log.Warn("the answer cache is not kept: remembered answers end with this process", "error", err)
	}
}

// newCutter cuts texts; where the embedder in the binary is the one that is set, by its tokens too.
func newCutter(c config.Config, l *locals) *chunk.Cutter {
	cutter := chunk.New(c.ChunkSize, c.ChunkOverlap)
	if c.EmbedModel != embed.Builtin || !embed.HasBuiltin {
		return cutter
	}
	return cutter.Bounded(embed.BuiltinTokens, lazy{l}.CountTokens)
}

// seenCache is the answer cache as the operator sees it: its own figures and those of joined questions.
type seenCache struct {
	*cache.Cache
	joins *rag.Joins
	calls *cache.Calls
}

func (h *house) seenCache() seenCache { return seenCache{h.cache, &h.joins, h.calls} }

// Clear removes what models said with the answers, or asking again would give the same.
func (s seenCache) Clear(db string) int {
	s.calls.Clear(db)
	return s.Cache.Clear(db)
}

// ClearEntry removes all that models said to questions: which of it the answer came from is not known.
func (s seenCache) ClearEntry(id string) bool {
	there := s.Cache.ClearEntry(id)
	if there {
		s.calls.ClearPrompts()
	}
	return there
}

// Stats gives the figures of both.
func (s seenCache) Stats() rag.CacheStats {
	stats := s.Cache.Stats()
	stats.Coalesced = s.joins.Coalesced()
	return stats
}

// normalise makes one question of all its spellings: Unicode NFC, trimmed, spaces folded.
func normalise(question string) string {
	return strings.Join(strings.Fields(norm.NFC.String(question)), " ")
}

// upstreamConfig has the settings of calls to model servers; changed is told of every breaker that changes its state, after the log.
func upstreamConfig(c config.Config, log *slog.Logger, changed func(breaker.Change)) upstream.Config {
	var hosts []*url.URL
	for _, base := range c.BaseURLs {
		u, _ := url.Parse(base) // the settings were checked
		hosts = append(hosts, u)
	}
	u := upstream.DefaultConfig(hosts...)
	u.PoolConnections, u.PoolMaxSize, u.PoolBlock = c.PoolConnections, c.PoolMaxSize, c.PoolBlock
	u.ConnectTimeout, u.FirstByteTimeout, u.IdleTimeout = c.ConnectTimeout, c.FirstTokenTimeout, c.ReadTimeout
	u.TotalTimeout, u.QueueSize, u.QueueTimeout, u.MaxPlaces, u.HedgeAfter = c.TotalTimeout, c.QueueSize, c.QueueTimeout, c.MaxConcurrency, c.HedgeAfter
	u.MaxRetries, u.RetryBackoff, u.BreakerEnabled = c.MaxRetries, max(c.RetryBackoff, time.Millisecond), c.BreakerEnabled
	b := &u.Breaker
	b.FailureThreshold, b.SuccessThreshold, b.HalfOpenMaxCalls = c.BreakerFailureThreshold, c.BreakerSuccessThreshold, c.BreakerHalfOpenMaxCalls
	b.OpenTimeout, b.MaxOpenTimeout, b.SlowCall = c.BreakerTimeout, c.BreakerMaxTimeout, c.BreakerSlowCall
	b.WindowSize, b.MinCalls, b.FailureRatio = c.BreakerWindowSize, c.BreakerMinCalls, c.BreakerFailureRatio
	u.OnMixed = func(model, host string) {
		log.Warn("this host has another model under the name, and is not asked for it", "model", model, "host", host)
	}
	u.OnChange = func(change breaker.Change, last upstream.Failure) {
		attrs := []any{"name", change.Name, "from", change.From.String(), "to", change.To.String()}
		if change.To == breaker.Open {
			attrs = append(attrs, "failure", last.Text)
		}
		log.Warn("circuit breaker", attrs...)
		changed(change)
	}
	return u
}

// handler is the API over the house. bound is where it listens, nil inside this process.
func (h *house) handler(bound net.Addr) http.Handler {
	return server.New(h.serverConfig(bound)).Handler()
}

func (h *house) serverConfig(bound net.Addr) server.Config {
	c := h.config
	cfg := server.Config{
		Catalog: h.store, Ingest: h.ingest, Cache: h.seenCache(), Calls: h.callStats, Models: models{h}, Hosts: h.hosts, Queue: h.queue, Drop: h.dropBase, Resolve: h.resolve,
		Page: web.FS(), Log: h.log, Version: version(), SpoolDir: filepath.Join(c.DataDir, "uploads"), MaxBody: c.MaxBody, MaxUpload: c.MaxUpload, MaxUploadTotal: c.MaxUploadTotal,
		Live:         func(ctx context.Context, since time.Time) any { return h.live.View(ctx, since) },
		LogQuestions: c.LogQuestions, Keys: c.APIKeys, LocalToken: h.token, CORSOrigins: c.CORSOrigins, Loopback: bound != nil && isLoopback(bound),
		Defaults: server.Defaults{DB: c.DBName, Provider: c.Provider, Models: h.defaultModels(), RRF: c.RRF, RRFK: c.RRFK},
	}
	if h.metrics != nil {
		cfg.Metrics = h.metrics.Handler()
	}
	cfg.Observe, cfg.Engine = h.observe(h.engines)
	cfg.Probe = gateway.Probe
	for _, r := range h.gateway.Routes() {
		cfg.Routes = append(cfg.Routes, server.Route(r))
	}
	return cfg
}

// close ends the parts in the order in which they depend on each other.
func (h *house) close() error {
	var errs []error
	if h.ingest != nil && h.ingest.Started() {
		h.ingest.Close()
	}
	if h.cache != nil {
		h.cache.Close()
		h.calls.Close()
	}
	if h.answers != nil {
		errs = append(errs, h.answers.Close())
	}
	if h.indexes != nil {
		errs = append(errs, h.indexes.Close())
	}
	if h.extractor != nil {
		errs = append(errs, h.extractor.Close())
	}
	h.closeTracer()
	if h.upstream != nil {
		h.upstream.CloseIdleConnections()
	}
	if h.openai != nil {
		h.openai.CloseIdleConnections()
	}
	h.worths.busy.Wait()
	return errors.Join(append(errs, h.locals.close(), h.store.Close())...)
}
