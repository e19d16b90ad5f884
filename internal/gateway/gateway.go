package gateway

import (
	"context"
	"net/http"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Embedder is the embedder in the binary.
type Embedder interface {
	// Embed gives a unit vector a text, in order.
	Embed(ctx context.Context, purpose rag.Purpose, texts []string) ([][]float32, error)
	// CountTokens is how many tokens a text has, without what the model puts around it.
	CountTokens(text string) int
	// MaxTokens is how many tokens a text can have and be embedded in one piece.
	MaxTokens() int
}

// Config is what a gateway is made of.
type Config struct {
	Upstream http.RoundTripper // takes requests for http://ollama/...
	Embedder Embedder          // answers for the model Builtin; nil: there is none
	MaxBody  int64             // bytes of a request
	MaxTexts int               // texts of a request to Embedder
}

// Gateway serves the routes of Ollama's API.
type Gateway struct {
	Config
}

// New makes a gateway.
func New(c Config) *Gateway { return &Gateway{Config: c} }

// Route is one route. An error of Serve that comes before anything was written is to be answered with Fail.
type Route struct {
	Pattern string // as http.ServeMux has it
	Role    string // that a key must have: read or admin
	Serve   func(w http.ResponseWriter, r *http.Request) error
	Fail    func(w http.ResponseWriter, p problem.Problem) // answers in the shape of the route's API
}

// Routes lists what the gateway serves. A method that a route does not have is passed on too, so that the refusal is the
// model server's own.
func (g *Gateway) Routes() []Route {
	var routes []Route
	add := func(api *api, path, method string, serve func(http.ResponseWriter, *http.Request) error) {
		routes = append(routes,
			Route{Pattern: method + " " + path, Role: "read", Serve: serve, Fail: api.fail},
			Route{Pattern: path, Role: "read", Serve: g.pass, Fail: api.fail})
	}
	add(native, "/api/embed", http.MethodPost, g.embed)
	add(native, "/api/embeddings", http.MethodPost, g.embeddings)
	add(openai, "/v1/embeddings", http.MethodPost, g.embeddingsV1)
	return routes
}
