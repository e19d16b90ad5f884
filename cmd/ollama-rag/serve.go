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
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/text/unicode/norm"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/cache"
	"github.com/ollama-rag/ollama-rag/internal/chunk"
	"github.com/ollama-rag/ollama-rag/internal/config"
	"github.com/ollama-rag/ollama-rag/internal/embed"
	"github.com/ollama-rag/ollama-rag/internal/extract"
	"github.com/ollama-rag/ollama-rag/internal/gateway"
	"github.com/ollama-rag/ollama-rag/internal/ingest"
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

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the page and the API",
		Long: `Serves the page and the API, and ingests what --docs names into the knowledge base "default" first.
Ctrl-C or SIGTERM lets running requests end, for 20 seconds at most.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := settings(cmd)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c)
		},
	}
	addSettingFlag(cmd, "addr", "addr-file", "docs", "insecure")
	return cmd
}

// house is everything wired together.
type house struct {
	config    config.Config
	log       *slog.Logger
	logLevel  *slog.LevelVar
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
	token     string           // what the other commands of the same user send
}

// openHouse opens the data folder and wires the parts. Nothing is sent to a model server.
func openHouse(ctx context.Context, c config.Config, log *slog.Logger) (*house, error) {
	h := &house{config: c, log: log, logLevel: new(slog.LevelVar), token: rand.Text()}
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
	u := upstreamConfig(c, h.log)
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

func upstreamConfig(c config.Config, log *slog.Logger) upstream.Config {
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
	u.OnChange = func(change breaker.Change) {
		log.Warn("circuit breaker", "name", change.Name, "from", change.From.String(), "to", change.To.String())
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

func serve(ctx context.Context, c config.Config) error {
	level := new(slog.LevelVar)
	level.Set(c.LogLevel)
	h, err := openHouse(ctx, c, newLogger(c, level))
	if err != nil {
		return err
	}
	h.logLevel = level
	err = h.listenAndServe(ctx)
	return errors.Join(err, h.close())
}

func (h *house) listenAndServe(ctx context.Context) error {
	c := h.config
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w (choose another address with --addr)", c.Addr, err)
	}
	if !isLoopback(listener.Addr()) && len(c.APIKeys) == 0 && !c.Insecure {
		return errors.Join(usageError{fmt.Errorf("%s is reachable from other machines and no API_KEYS are set: set them, listen on 127.0.0.1, or insist with --insecure", c.Addr)}, listener.Close())
	}
	for _, base := range c.BaseURLs {
		if itself(base, listener.Addr()) {
			return errors.Join(usageError{fmt.Errorf("%s is this server's own address: it would ask itself without end; name Ollama's in OLLAMA_BASE_URL (OLLAMA_HOST stands for it where that is not set)", base)}, listener.Close())
		}
	}
	address := "http://" + listener.Addr().String()
	withdraw, err := h.store.Announce(store.Server{URL: address, Token: h.token})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer withdraw()
	endDebug, err := h.serveDebug()
	if err != nil {
		return errors.Join(usageError{err}, listener.Close())
	}
	defer func() { _ = endDebug() }()
	srv := &http.Server{Handler: h.handler(listener.Addr()), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelWarn)}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()

	if c.AddrFile != "" {
		if err := os.WriteFile(c.AddrFile, []byte(address+"\n"), 0o644); err != nil {
			return errors.Join(fmt.Errorf("write --addr-file: %w", err), srv.Close())
		}
	}
	fmt.Fprintln(os.Stderr, "listening on", address)
	background, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.background(background)
	}()
	defer func() { stop(); <-done }()

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	h.log.Info("stopping; running requests may end", "longest", c.DrainTimeout.String())
	drain, cancel := context.WithTimeout(context.Background(), c.DrainTimeout)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		h.log.Warn("requests were cut", "error", err)
		return srv.Close()
	}
	return nil
}

// saveEvery is how often changed search snapshots are kept, so that a crash costs a rebuild of little.
const saveEvery = 5 * time.Minute

// background ingests what --docs names, loads the index of the default knowledge base, watches open hosts, keeps snapshots.
func (h *house) background(ctx context.Context) {
	h.cleanSpool(ctx)
	if err := h.ingestDocs(ctx); err != nil {
		h.log.Error("--docs", "error", err)
	}
	if _, _, _, err := h.indexes.Values(ctx, h.config.DBName); err != nil && ctx.Err() == nil {
		h.log.Error("load index", "db", h.config.DBName, "error", err)
	}
	h.warmUp(ctx)
	var watching sync.WaitGroup
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

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// itself says whether a host's URL leads back to where this server listens.
func itself(base string, listening net.Addr) bool {
	u, err := url.Parse(base)
	tcp, ok := listening.(*net.TCPAddr)
	if err != nil || !ok {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if port != strconv.Itoa(tcp.Port) {
		return false
	}
	host := net.ParseIP(u.Hostname())
	if strings.EqualFold(u.Hostname(), "localhost") || host != nil && host.IsUnspecified() {
		host = net.IPv4(127, 0, 0, 1)
	}
	return host != nil && (host.Equal(tcp.IP) || host.IsLoopback() && (tcp.IP.IsUnspecified() || tcp.IP.IsLoopback()))
}

func newLogger(c config.Config, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
