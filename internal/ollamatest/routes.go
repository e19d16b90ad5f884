package ollamatest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// exchange is one request and its answer.
type exchange struct {
	s        *Server
	w        http.ResponseWriter
	r        *http.Request
	body     []byte
	fault    *Fault
	released <-chan struct{}
}

func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

var methods = map[string]string{
	"/": "GET", "/api/version": "GET", "/api/tags": "GET", "/api/ps": "GET", "/api/show": "POST",
	"/api/chat": "POST", "/api/generate": "POST", "/api/embed": "POST", "/api/embeddings": "POST",
}

func (x *exchange) route() {
	method, known := methods[x.r.URL.Path]
	switch {
	case !known:
		x.text(http.StatusNotFound, "404 page not found")
		return
	case x.r.Method != method && !(method == "GET" && x.r.Method == "HEAD"):
		x.w.Header().Set("Allow", method)
		x.text(http.StatusMethodNotAllowed, "405 method not allowed")
		return
	}
	switch x.r.URL.Path {
	case "/":
		x.text(http.StatusOK, "Ollama is running")
	case "/api/version":
		x.value(wire.VersionResponse{Version: Version})
	case "/api/tags":
		x.value(x.tags())
	case "/api/ps":
		x.value(x.ps())
	case "/api/show":
		x.show()
	case "/api/embed":
		x.embed()
	case "/api/embeddings":
		x.embeddings()
	case "/api/chat":
		x.chat()
	case "/api/generate":
		x.generate()
	}
}

func (x *exchange) text(status int, text string) {
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.w.WriteHeader(status)
	_, _ = io.WriteString(x.w, text)
}

func (x *exchange) json(status int, body []byte) {
	x.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body)
}

func (x *exchange) value(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	x.json(http.StatusOK, data)
}

func (x *exchange) fail(status int, format string, args ...any) {
	data, _ := json.Marshal(wire.ErrorResponse{Error: fmt.Sprintf(format, args...)})
	x.json(status, data)
}

// decode reads the request's body; false if it was refused.
func (x *exchange) decode(v any) bool {
	err := json.Unmarshal(x.body, v)
	typed, isType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case len(x.body) == 0:
		x.fail(http.StatusBadRequest, "missing request body")
	case isType:
		x.fail(http.StatusBadRequest, "%s", typed.Error())
	case err != nil && strings.Contains(err.Error(), "unexpected end"):
		x.fail(http.StatusBadRequest, "unexpected EOF")
	case err != nil:
		x.fail(http.StatusBadRequest, "%s", err.Error())
	default:
		return true
	}
	return false
}

func details(m Model) wire.Details {
	return wire.Details{
		Format: "gguf", Family: m.Family, Families: []string{m.Family}, ParameterSize: "8.0B", QuantizationLevel: "Q4_K_M",
	}
}

func (x *exchange) tags() wire.TagsResponse {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	out := wire.TagsResponse{Models: []wire.Tag{}}
	for _, m := range x.s.models {
		out.Models = append(out.Models, wire.Tag{
			Name: m.Name, Model: m.Name, ModifiedAt: m.ModifiedAt, Size: m.Size, Digest: m.Digest, Details: details(m),
		})
	}
	return out
}

func (x *exchange) ps() wire.PsResponse {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	out := wire.PsResponse{Models: []wire.Running{}}
	for _, m := range x.s.models {
		if m.Loaded {
			out.Models = append(out.Models, wire.Running{
				Name: m.Name, Model: m.Name, Size: m.Size, Digest: m.Digest, Details: details(m),
				ExpiresAt: time.Now().Add(5 * time.Minute), ContextLength: min(4096, m.ContextLength),
			})
		}
	}
	return out
}

func (x *exchange) show() {
	var in wire.ShowRequest
	if !x.decode(&in) {
		return
	}
	if in.Model == "" {
		x.fail(http.StatusBadRequest, "model is required")
		return
	}
	m, ok := x.s.model(in.Model)
	if !ok {
		x.fail(http.StatusNotFound, "model '%s' not found", in.Model)
		return
	}
	data, _ := json.Marshal(map[string]any{
		"details":      details(m),
		"capabilities": m.Capabilities,
		"modified_at":  m.ModifiedAt,
		"model_info": map[string]any{
			"general.architecture":         m.Family,
			m.Family + ".context_length":   m.ContextLength,
			m.Family + ".embedding_length": m.Dimension,
		},
	})
	x.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = http.NewResponseController(x.w).Flush() // Ollama sends this one in chunks
	_, _ = x.w.Write(data)
}

// use finds the model for an inference and loads it; false if the request was refused.
func (x *exchange) use(name, capability, verb, notFound string) (Model, bool) {
	m, ok := x.s.model(name)
	switch {
	case !ok:
		x.fail(http.StatusNotFound, notFound, name)
		return m, false
	case capability != "" && !slices.Contains(m.Capabilities, capability):
		x.fail(http.StatusBadRequest, "%q does not support %s", name, verb)
		return m, false
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	for i := range x.s.models {
		if x.s.models[i].Name == m.Name {
			x.s.models = slices.Clone(x.s.models)
			x.s.models[i].Loaded = true
		}
	}
	return m, true
}
