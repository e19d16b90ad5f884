package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Probe is what Ollama says to GET and HEAD of /.
const Probe = "Ollama is running"

// Embedder is the embedder in the binary.
type Embedder interface {
	// Embed gives a unit vector a text, in order.
	Embed(ctx context.Context, purpose rag.Purpose, texts []string) ([][]float32, error)
	// CountTokens is how many tokens a text has, without what the model puts around it.
	CountTokens(text string) int
	// MaxTokens is how many tokens a text can have and be embedded in one piece.
	MaxTokens() int
	// Identity names the model.
	Identity() rag.EmbedderID
}

// Config is what a gateway is made of.
type Config struct {
	Upstream http.RoundTripper // takes requests for http://ollama/...
	Embedder Embedder          // answers for the model Builtin; nil: there is none
	MaxBody  int64             // bytes of a request
	MaxTexts int               // texts of a request to Embedder
	Admin    bool              // routes that change the model server are passed on
	Unknown  bool              // so are those that nobody knows

	Kept        Keeper                                                  // nil: no answer is kept
	CacheRoutes []string                                                // paths whose answers are kept unless a request says no
	Sampled     bool                                                    // also those that chance decided
	Digest      func(ctx context.Context, model string) (string, error) // of a model
}

// Gateway serves the routes of Ollama's API.
type Gateway struct {
	Config
	began   time.Time
	flights rag.Flights[flight, part]
}

// New makes a gateway.
func New(c Config) *Gateway { return &Gateway{Config: c, began: time.Now()} }

type serve func(w http.ResponseWriter, r *http.Request) error

// Route is one route. An error of Serve is to be answered with Fail, if nothing was written yet.
type Route struct {
	Pattern string // as http.ServeMux has it
	Label   string // what figures are kept under
	Role    string // that a key must have: read or admin
	Serve   func(w http.ResponseWriter, r *http.Request) error
	Fail    func(w http.ResponseWriter, p problem.Problem) // answers in the shape of the route's API
}

// Routes lists what the gateway serves. A method that a route does not have is passed on too, so that the refusal is the
// model server's own.
func (g *Gateway) Routes() []Route {
	var routes []Route
	add := func(role, pattern, label string, s serve) {
		routes = append(routes, Route{Pattern: pattern, Label: label, Role: role, Serve: s, Fail: apiOf(pathOf(pattern)).fail})
	}
	known := func(label, method, path string, s serve) {
		add("read", method+" "+path, label, s)
		add("read", path, rare, g.pass)
	}
	for _, path := range []string{"/api/generate", "/api/chat", "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"} {
		known(writing, http.MethodPost, path, g.infer)
	}
	known(embedding, http.MethodPost, "/api/embed", g.embed)
	known(embedding, http.MethodPost, "/api/embeddings", g.embeddings)
	known(embedding, http.MethodPost, "/v1/embeddings", g.embeddingsV1)
	known(looking, http.MethodGet, "/api/tags", g.tags)
	known(looking, http.MethodGet, "/v1/models", g.modelsV1)
	known(looking, http.MethodGet, "/v1/models/{model...}", g.modelV1)
	known(looking, http.MethodPost, "/api/show", g.show)
	for _, path := range []string{"/api/ps", "/api/version", "/api/status"} {
		known(looking, http.MethodGet, path, g.pass)
	}

	changing, others := serve(g.refuseChange), serve(g.refuseUnknown)
	if g.Admin {
		changing = g.passUnread
	}
	if g.Unknown {
		others = g.passUnread
		add("admin", "/api/{path...}", rare, others)
	}
	for _, path := range []string{"/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/blobs/{digest}"} {
		add("admin", path, rare, changing)
	}
	add("admin", "/v1/{path...}", rare, others)
	return routes
}

// Figures are kept by what a request is for: a label a path would be hundreds of series.
const (
	writing   = "gateway_chat"
	embedding = "gateway_embed"
	looking   = "gateway_lists"
	rare      = "other"
)

func pathOf(pattern string) string {
	for i := range pattern {
		if pattern[i] == '/' {
			return pattern[i:]
		}
	}
	return pattern
}

// infer is a request that makes a model write.
func (g *Gateway) infer(w http.ResponseWriter, r *http.Request) error {
	body, err := g.read(w, r)
	if err != nil {
		return err
	}
	p := peek(body)
	if g.ours(p.Model) {
		return rag.Errorf(rag.Malformed, "", "%q does not support chat: it embeds", p.Model)
	}
	if g.caches(r) {
		return g.kept(w, r, body, p)
	}
	return g.relay(w, r, body, p)
}

// pass reads a request and passes it on.
func (g *Gateway) pass(w http.ResponseWriter, r *http.Request) error {
	body, err := g.read(w, r)
	if err != nil {
		return err
	}
	return g.relay(w, r, body, peek(body))
}

// passUnread passes a request on whose body may be a model's file.
func (g *Gateway) passUnread(w http.ResponseWriter, r *http.Request) error {
	return g.forward(w, r, r.Body, peeked{})
}

func (g *Gateway) refuseChange(http.ResponseWriter, *http.Request) error {
	return rag.Errorf(rag.Forbidden, "", "this would change the model server: do it there, or set GATEWAY_ADMIN=true here")
}

func (g *Gateway) refuseUnknown(http.ResponseWriter, *http.Request) error {
	return rag.Errorf(rag.NotFound, "unknown_route", "this path is not known here: docs/api.md lists what is; GATEWAY_UNKNOWN=true passes others on")
}
