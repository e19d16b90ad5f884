package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// maxList bounds a model list that ours is added to; Ollama's has some 350 bytes a model.
const maxList = 16 << 20

// tags is GET /api/tags.
func (g *Gateway) tags(w http.ResponseWriter, r *http.Request) error {
	return g.list(w, r, jsonType, `{"models":`, func() []byte {
		name := Builtin + ":latest"
		return encode(tag{Name: name, Model: name, ModifiedAt: g.began, Digest: g.Embedder.Identity().Digest, Details: builtinDetails})
	})
}

// modelsV1 is GET /v1/models.
func (g *Gateway) modelsV1(w http.ResponseWriter, r *http.Request) error {
	return g.list(w, r, openaiType, `{"object":"list","data":`, func() []byte { return encode(g.entryV1(Builtin + ":latest")) })
}

// modelV1 is GET /v1/models/{model}.
func (g *Gateway) modelV1(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	if !g.ours(name) {
		return g.pass(w, r)
	}
	write(w, http.StatusOK, openaiType, append(encode(g.entryV1(name)), '\n'))
	return nil
}

type tag struct {
	Name       string    `json:"name"`
	Model      string    `json:"model"`
	ModifiedAt time.Time `json:"modified_at"`
	Size       int64     `json:"size"` // 0: it takes no room on the model server
	Digest     string    `json:"digest"`
	Details    details   `json:"details"`
}

type details struct {
	ParentModel   string   `json:"parent_model"`
	Format        string   `json:"format"`
	Family        string   `json:"family"`
	Families      []string `json:"families"`
	ParameterSize string   `json:"parameter_size"`
	Quantization  string   `json:"quantization_level"`
}

var builtinDetails = details{Format: "builtin", Family: "bert", Families: []string{"bert"}}

type modelV1 struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func (g *Gateway) entryV1(name string) modelV1 {
	return modelV1{ID: name, Object: "model", Created: g.began.Unix(), OwnedBy: "ollama-rag"}
}

// list adds our model at the end of a model server's list, whose own bytes stay as they are.
func (g *Gateway) list(w http.ResponseWriter, r *http.Request, contentType, before string, entry func() []byte) error {
	if g.Embedder == nil || r.Method == http.MethodHead {
		return g.pass(w, r)
	}
	out, err := outgoing(r, nil, peeked{})
	if err != nil {
		return err
	}
	resp, err := g.Upstream.RoundTrip(out)
	if rag.KindOf(err) == rag.Unavailable { // no host answers: what works without one is all there is
		write(w, http.StatusOK, contentType, alone(before, entry()))
		return nil
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxList+1))
	if err != nil {
		return err
	}
	if len(body) > maxList {
		return rag.Errorf(rag.BadUpstream, "", "the model server's list of models is larger than %d bytes", maxList)
	}
	if resp.StatusCode == http.StatusOK {
		body = extended(body, before, entry())
	}
	a := newAnswer(w, apiOf(r.URL.Path))
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	a.start(resp)
	if _, err := w.Write(body); err != nil {
		return errLeft
	}
	return nil
}

// alone is the list of our model only.
func alone(before string, entry []byte) []byte {
	end := "]}"
	if strings.HasPrefix(before, `{"object"`) {
		end += "\n" // OpenAI's answers end so
	}
	return fmt.Appendf(nil, "%s[%s%s", before, entry, end)
}

// extended puts an entry at the end of the list that follows before. A body of another form stays as it is.
func extended(body []byte, before string, entry []byte) []byte {
	rest, ok := bytes.CutPrefix(body, []byte(before))
	if !ok {
		return body
	}
	trimmed := bytes.TrimRight(rest, "\n")
	tail := rest[len(trimmed):]
	inner, ok := bytes.CutSuffix(trimmed, []byte("]}"))
	switch {
	case string(trimmed) == "null}":
		return fmt.Appendf(nil, "%s[%s]}%s", before, entry, tail)
	case !ok || len(inner) == 0 || inner[0] != '[':
		return body
	case len(inner) == 1:
		return fmt.Appendf(nil, "%s[%s]}%s", before, entry, tail)
	}
	return fmt.Appendf(nil, "%s%s,%s]}%s", before, inner, entry, tail)
}

// show is POST /api/show.
func (g *Gateway) show(w http.ResponseWriter, r *http.Request) error {
	body, err := g.read(w, r)
	if err != nil {
		return err
	}
	p := peek(body)
	if !g.ours(p.Model) && !(p.Model == "" && g.ours(p.Name)) {
		return g.relay(w, r, body, p)
	}
	id := g.Embedder.Identity()
	write(w, http.StatusOK, jsonType, encode(struct {
		Modelfile    string         `json:"modelfile"`
		Parameters   string         `json:"parameters"`
		Template     string         `json:"template"`
		Details      details        `json:"details"`
		ModelInfo    map[string]any `json:"model_info"`
		Capabilities []string       `json:"capabilities"`
		ModifiedAt   time.Time      `json:"modified_at"`
	}{
		Modelfile: "# " + id.Name + ", in the binary of ollama-rag\n", Details: builtinDetails, Capabilities: []string{"embedding"}, ModifiedAt: g.began,
		ModelInfo: map[string]any{
			"general.architecture": "bert", "general.basename": id.Name, "bert.embedding_length": id.Dimension, "bert.context_length": g.Embedder.MaxTokens(),
		},
	}))
	return nil
}
