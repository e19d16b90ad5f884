package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Engine answers questions.
type Engine interface {
	Ask(ctx context.Context, req rag.Request) iter.Seq2[rag.Event, error]
	Search(ctx context.Context, req rag.Request) (rag.Found, error)
	Explain(ctx context.Context, req rag.Request) (rag.Explanation, error)
}

// Catalog keeps knowledge bases and documents.
type Catalog interface {
	Ping(ctx context.Context) error
	Bases(ctx context.Context) ([]rag.BaseInfo, error)
	KnowledgeBase(ctx context.Context, name string) (rag.KnowledgeBase, error)
	CreateBase(ctx context.Context, name string) error
	Documents(ctx context.Context, base string) ([]rag.DocumentInfo, error)
	Document(ctx context.Context, base string, id int64) (rag.Document, error)
	Filters(ctx context.Context, base string) (languages, versions []string, err error)
	Setting(ctx context.Context, name string) (string, error)
	SetSetting(ctx context.Context, name, value string) error
}

// Ingest runs jobs.
type Ingest interface {
	Submit(ctx context.Context, req rag.IngestRequest) (rag.Job, error)
	Wait(ctx context.Context, id string) (rag.Job, error)
	Job(ctx context.Context, id string) (rag.Job, error)
	List(ctx context.Context) ([]rag.Job, error)
	Cancel(ctx context.Context, id string) (rag.Job, error)
	Pause(ctx context.Context, id string) (rag.Job, error)
	Resume(ctx context.Context, id string) (rag.Job, error)
	Remove(ctx context.Context, base string, sources []string) ([]string, error)
}

// Cache is the answer cache, as the operator sees it.
type Cache interface {
	Stats() rag.CacheStats
	Config() rag.CacheConfig
	SetConfig(rag.CacheConfig)
	Clear(db string) int
	ClearEntry(id string) bool
}

// Host is a model host's state, as read from the one place that knows it.
type Host struct {
	Label       string
	URL         string // without credentials
	Guarded     bool   // whether a breaker watches it
	Breaker     breaker.Stats
	InFlight    int64
	Requests    uint64
	Connections int // configured
	MaxSize     int // configured
	Block       bool
	Open        int64 // connections
	InUse       int64
	Idle        int64
	Reused      uint64
	Waited      float64 // seconds that calls waited for a connection, all together
	Down        bool    // the last contact came to nothing
	Version     string  // "" while unknown
	LastFailure string  // in words; "": none yet
	Loaded      []string
	Models      []HostModel
}

// HostModel is what is known about a model on a host.
type HostModel struct {
	Name     string
	Breaker  breaker.Stats
	Places   int // calls at once that the host is trusted with
	InUse    int // of these
	Resident bool

	LastFailure string // as a host's
}

// Queue is who waits for a place on a model host.
type Queue struct {
	Waiting  map[string]uint64 // by class
	Rejected map[string]uint64 // by reason
}

// ModelInfo is a model on the model server.
type ModelInfo struct {
	Name         string   `json:"name"`
	Size         int64    `json:"size"` // bytes
	Capabilities []string `json:"capabilities"`
}

// Models tells what the model server has.
type Models interface {
	// Reachable asks the hosts whether they live, within the time of ctx, past the breaker.
	Reachable(ctx context.Context) error
	Models(ctx context.Context) ([]ModelInfo, error)
	ChatModel(ctx context.Context) (string, error)
}

// Route is a route of another API. An error of Serve is answered with Fail, in that API's own shape, as are refusals that come
// before it.
type Route struct {
	Pattern string // as http.ServeMux has it
	Label   string // what figures are kept under; empty: the pattern
	Role    string // that a key must have: read, write or admin
	Serve   func(w http.ResponseWriter, r *http.Request) error
	Fail    func(w http.ResponseWriter, p problem.Problem)
}

// Defaults are what requests that name nothing get.
type Defaults struct {
	DB       string
	Provider string
	Models   map[string]string // of each provider that is set up; empty: the provider's choice
	RRF      bool
	RRFK     float64
}

// Config is everything the server is made of.
type Config struct {
	Engine   Engine
	Catalog  Catalog
	Ingest   Ingest
	Cache    Cache
	Calls    func() rag.CallStats // whole answers of models
	Models   Models
	Hosts    func() []Host
	Queue    func() Queue
	Live     func(ctx context.Context, since time.Time) any // the live page's picture, as JSON
	Drop     func(ctx context.Context, db string) error     // deletes a knowledge base everywhere
	Resolve  func(path string, trusted bool) (string, error)
	Page     fs.FS
	Metrics  http.Handler // nil: METRICS_ENABLED is false
	Observe  func(route string, next http.Handler) http.Handler
	Routes   []Route // of other APIs, served on the same address
	Probe    string  // what / says to clients that take no HTML; empty: the page
	Log      *slog.Logger
	Version  string
	Defaults Defaults

	SpoolDir       string
	MaxBody        int64
	MaxUpload      int64    // a file
	MaxUploadTotal int64    // all files of one upload
	Keys           []string // ROLE:KEY
	LogQuestions   bool     // the log has what was asked
	LocalToken     string   // what the other commands of the same user send; full rights
	CORSOrigins    []string
	Loopback       bool // listening on loopback only: foreign Host names are refused
}

// Server is the native API.
type Server struct {
	Config
	mux     *http.ServeMux
	keys    []key
	foreign map[string]Route // by pattern
	started time.Time
}

// New makes the server.
func New(c Config) *Server {
	if c.Observe == nil {
		c.Observe = func(_ string, next http.Handler) http.Handler { return next }
	}
	s := &Server{Config: c, mux: http.NewServeMux(), keys: parseKeys(c.Keys, c.LocalToken), foreign: map[string]Route{}, started: time.Now()}
	s.routes()
	return s
}

// Handler is the whole API with everything around it.
func (s *Server) Handler() http.Handler {
	return s.withRequest(s.withSecurity(s.mux))
}

// handler answers a request, or fails with an error that becomes a problem.
type handler func(w http.ResponseWriter, r *http.Request) error

func (s *Server) routes() {
	s.route("POST /api/query", read, s.query)
	s.route("POST /api/stream_query", read, s.streamQuery)
	s.route("POST /api/search", read, s.search)

	s.route("POST /api/ingest", write, s.ingest)
	s.route("POST /api/upload", write, s.upload)
	s.route("GET /api/jobs", read, s.jobs)
	s.route("GET /api/jobs/{id}", read, s.job)
	s.route("DELETE /api/jobs/{id}", write, s.changeJob(Ingest.Cancel))
	s.route("POST /api/jobs/{id}/pause", write, s.changeJob(Ingest.Pause))
	s.route("POST /api/jobs/{id}/resume", write, s.changeJob(Ingest.Resume))
	s.route("GET /api/docs", read, s.docs)
	s.route("GET /api/docs/{id}", read, s.doc)
	s.route("DELETE /api/docs", write, s.deleteDocs)
	s.route("GET /api/filters", read, s.filters)

	s.route("GET /api/dbs", read, s.dbs)
	s.route("POST /api/dbs/create", admin, s.createDB)
	s.route("POST /api/dbs/use", write, s.useDB)
	s.route("DELETE /api/dbs/{name}", admin, s.deleteDB)
	s.route("POST /api/dbs/{name}/reindex", admin, s.reindexDB)

	s.route("GET /health/live", open, s.live)
	s.route("GET /health/ready", open, s.ready)
	s.route("GET /health", read, s.health)
	s.route("GET /api/health", read, s.health)
	s.route("GET /api/models", read, s.models)
	s.route("GET /metrics", read, s.metrics)
	s.route("GET /api/cache-stats", read, s.cacheStats)
	s.route("GET /api/dashboard", read, s.dashboard)
	s.route("GET /api/circuit-breaker/metrics", read, s.breakerMetrics)
	s.route("GET /api/connection-pool/metrics", read, s.poolMetrics)
	s.route("GET /api/semantic-cache/metrics", read, s.semanticCacheMetrics)
	s.route("GET /api/cache/config", read, s.cacheConfig)
	s.route("POST /api/cache/config", admin, s.setCacheConfig)
	s.route("POST /api/cache/clear", admin, s.clearCache)
	s.route("POST /api/cache/explain", admin, s.explain)

	s.route("GET /{$}", open, s.page)
	s.route("GET /dashboard", open, s.dashboardPage)
	s.route("GET /static/{path...}", open, s.static)
	for _, r := range s.Routes {
		s.foreign[r.Pattern] = r
		s.mux.Handle(r.Pattern, s.Observe(cmp.Or(r.Label, r.Pattern), s.serve(roles[r.Role], s.plain(r.Serve))))
	}
	s.mux.Handle("/", s.Observe("other", s.serve(open, s.unknown)))
}

func (s *Server) route(pattern string, need role, h handler) {
	s.mux.Handle(pattern, s.Observe(pattern, s.serve(need, h)))
}

// serve is the one place where an error of a handler becomes an answer.
func (s *Server) serve(need role, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := s.authorise(r, need)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// plain leaves another API's answers without the headers that our own have, unless they were asked for, and keeps our key from
// what is behind it.
func (s *Server) plain(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		for _, own := range ownHeaders {
			h.Del(own.name)
		}
		if h.Get("Access-Control-Allow-Origin") == "" {
			h.Del("Vary")
		}
		if r.Header.Get("X-Request-ID") == "" {
			h.Del("X-Request-ID")
		}
		if given := r.Header.Get("Authorization"); given != "" { // one that is not ours may be the model server's
			sum := sha256.Sum256([]byte(given))
			r = r.WithContext(rag.WithCaller(r.Context(), hex.EncodeToString(sum[:])))
		}
		if have, _ := s.roleOf(r); have != open {
			r.Header.Del("Authorization")
		}
		return next(w, r)
	}
}

// unknown answers paths that nobody has, and known paths with a method they lack.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := s.mux.Handler(probe); pattern != "/" {
			allowed = append(allowed, method)
			if method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	if len(allowed) == 0 {
		return rag.Errorf(rag.NotFound, "unknown_route", "nothing is served at this path; docs/api.md lists the routes")
	}
	return methodNotAllowed(w, r, allowed)
}
