package ollama

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// DefaultChatModel answers where no model is set and this one is there.
const DefaultChatModel = "llama3.1:8b"

// Capabilities by Ollama's names.
const (
	Completion = "completion" // writes text: a chat model
	Embedding  = "embedding"
)

// Model is one model on the server.
type Model struct {
	Name          string // with tag
	Digest        string
	Size          int64 // bytes on disk
	ModifiedAt    time.Time
	Loaded        bool     // in memory now
	Capabilities  []string // nil where not known
	ContextLength int      // tokens the model was made for; 0 where not known
}

// Can says whether the model is known to have the capability.
func (m Model) Can(capability string) bool { return slices.Contains(m.Capabilities, capability) }

// FullName is a model's name with its tag, as Ollama lists it: "latest" where none is given.
func FullName(name string) string { return wire.FullName(name) }

// shown is what /api/show says about the model of one digest. It never changes.
type shown struct {
	capabilities  []string
	contextLength int
}

// Models lists what is on the server, the newest first, with what is known of each.
func (c *Client) Models(ctx context.Context) ([]Model, error) {
	models, err := c.catalogue.get(ctx)
	return slices.Clone(models), err
}

// Loaded lists the models in memory.
func (c *Client) Loaded(ctx context.Context) ([]wire.Running, error) {
	var ps wire.PsResponse
	err := c.ask(ctx, http.MethodGet, "/api/ps", "", nil, &ps)
	return ps.Models, err
}

// Has says whether the server has the model, with or without ":latest".
func (c *Client) Has(ctx context.Context, model string) (bool, error) {
	models, err := c.catalogue.get(ctx)
	return find(models, model) >= 0, err
}

// Digest gives the digest of a model; NotFound where the server lacks it.
func (c *Client) Digest(ctx context.Context, model string) (string, error) {
	m, err := c.find(ctx, model)
	return m.Digest, err
}

// find gives the model by name, or the fault that lists what is there instead.
func (c *Client) find(ctx context.Context, name string) (Model, error) {
	models, err := c.catalogue.get(ctx)
	if err != nil {
		return Model{}, err
	}
	if i := find(models, name); i >= 0 {
		return models[i], nil
	}
	return Model{}, missing(name, models)
}

func find(models []Model, name string) int {
	name = FullName(name)
	return slices.IndexFunc(models, func(m Model) bool { return strings.EqualFold(m.Name, name) })
}

func missing(name string, models []Model) error {
	there := "nothing"
	if len(models) > 0 {
		var list []string
		for _, m := range models {
			list = append(list, m.Name)
		}
		there = strings.Join(list, ", ")
	}
	return rag.Errorf(rag.NotFound, rag.CodeModelNotFound, "Ollama has no model %q, it has %s: get it with `ollama pull %s`",
		name, there, name)
}

// ChatModel says which model answers: wanted if it is named; else llama3.1:8b if it is there, else a chat model that is
// in memory, else the newest one. The fault is NotFound: model_not_found for a wanted model, no_model if there is no
// chat model at all.
func (c *Client) ChatModel(ctx context.Context, wanted string) (rag.Model, error) {
	if wanted != "" {
		m, err := c.find(ctx, wanted)
		return ragModel(m), err
	}
	models, err := c.catalogue.get(ctx)
	if err != nil {
		return rag.Model{}, err
	}
	if i := find(models, DefaultChatModel); i >= 0 {
		return ragModel(models[i]), nil
	}
	can := func(m Model) bool { return m.Can(Completion) }
	if i := slices.IndexFunc(models, func(m Model) bool { return m.Loaded && can(m) }); i >= 0 {
		return ragModel(models[i]), nil
	}
	if i := slices.IndexFunc(models, can); i >= 0 {
		return ragModel(models[i]), nil
	}
	return rag.Model{}, rag.Errorf(rag.NotFound, rag.CodeNoModel, "Ollama has no chat model: get one with `ollama pull %s`",
		DefaultChatModel)
}

func ragModel(m Model) rag.Model {
	return rag.Model{Name: m.Name, Digest: m.Digest, ContextLength: m.ContextLength}
}

// lookUp asks the server what is there: the list, what is in memory, and once a digest what the model is.
func (c *Client) lookUp(ctx context.Context) ([]Model, error) {
	var tags wire.TagsResponse
	if err := c.ask(ctx, http.MethodGet, "/api/tags", "", nil, &tags); err != nil {
		return nil, err
	}
	running, err := c.Loaded(ctx)
	if err != nil && !lacking(err) {
		return nil, err
	}
	models := make([]Model, 0, len(tags.Models))
	for _, t := range tags.Models {
		m := Model{Name: t.Name, Digest: t.Digest, Size: t.Size, ModifiedAt: t.ModifiedAt}
		m.Loaded = slices.ContainsFunc(running, func(r wire.Running) bool { return r.Name == t.Name })
		s, err := c.show(ctx, t)
		if err != nil && !lacking(err) && rag.KindOf(err) != rag.OutOfBounds {
			return nil, err
		}
		m.Capabilities, m.ContextLength = s.capabilities, s.contextLength
		models = append(models, m)
	}
	slices.SortStableFunc(models, func(a, b Model) int { return b.ModifiedAt.Compare(a.ModifiedAt) })
	return models, nil
}

// lacking says that an error leaves a gap and no more: a model that is broken or was deleted meanwhile, or a server in
// Ollama's stead that has no such route.
func lacking(err error) bool {
	return rag.KindOf(err) == rag.NotFound || rag.KindOf(err) == rag.BadUpstream
}

// show asks for what a model is, once a digest.
func (c *Client) show(ctx context.Context, t wire.Tag) (shown, error) {
	if s, ok := c.catalogue.known(t.Digest); ok {
		return s, nil
	}
	var out wire.ShowResponse
	if err := c.ask(ctx, http.MethodPost, "/api/show", t.Name, wire.ShowRequest{Model: t.Name}, &out); err != nil {
		return shown{capabilities: guessed(t)}, err
	}
	s := shown{capabilities: out.Capabilities, contextLength: contextLength(out.ModelInfo)}
	if len(s.capabilities) == 0 { // servers before 0.6 do not say
		s.capabilities = guessed(t)
	}
	c.catalogue.learn(t.Digest, s)
	return s, nil
}

// guessed is what a model most likely can, by its family and name.
func guessed(t wire.Tag) []string {
	if strings.Contains(t.Details.Family, "bert") || strings.Contains(t.Name, "embed") {
		return []string{Embedding}
	}
	return []string{Completion}
}

// contextLength finds the architecture's context length, "llama.context_length" and the like.
func contextLength(info map[string]json.RawMessage) int {
	for key, value := range info {
		var n int
		if strings.HasSuffix(key, ".context_length") && json.Unmarshal(value, &n) == nil {
			return n
		}
	}
	return 0
}
