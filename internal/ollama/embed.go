package ollama

import (
	"context"
	"math"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// One request embeds at most this many texts and bytes. More texts a request gain nothing, Ollama embeds them one
// after the other; smaller requests let questions in between.
const (
	BatchTexts = 32
	BatchBytes = 256 << 10 // a single text beyond it goes alone
)

// Embedder embeds texts with one model. It implements rag.Embedder.
type Embedder struct {
	c     *Client
	model string

	mu        sync.Mutex
	digest    string
	dimension int // 0 until the first embedding
	long      int // bytes of the shortest text that was too long; 0 while none was
}

// Embedder gives the embedder for a model, the same one each time: it learns what it embeds. Nothing is sent before its first
// use.
func (c *Client) Embedder(model string) *Embedder {
	name := FullName(model)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.embedders[name] == nil {
		c.embedders[name] = &Embedder{c: c, model: name}
	}
	return c.embedders[name]
}

// Embed gives one unit vector a text, in order. Ollama's embedding models take questions and passages alike: purpose only says
// which of two calls is served first where there is room for one. Texts longer than the model's window are cut by Ollama. Vectors that cannot be right are an error
// of kind BadUpstream, for all of the texts.
func (e *Embedder) Embed(ctx context.Context, purpose rag.Purpose, texts []string) ([][]float32, error) {
	call := rag.Call{Model: e.model, Class: rag.ClassIngest}
	if purpose == rag.ForQuestion {
		call.Class = rag.ClassEmbedding
	}
	ctx = rag.WithCall(ctx, call)
	vectors := make([][]float32, 0, len(texts))
	for len(texts) > 0 {
		n := e.batch(texts)
		got, err := e.fitting(ctx, texts[:n])
		if err != nil {
			return nil, err
		}
		vectors, texts = append(vectors, got...), texts[n:]
	}
	return vectors, nil
}

// batch is how many of the texts go into the next request. A text as long as one that was too long goes alone: it must not
// make Ollama refuse the others.
func (e *Embedder) batch(texts []string) int {
	e.mu.Lock()
	long := e.long
	e.mu.Unlock()
	size := 0
	for i, t := range texts {
		size += len(t)
		alone := long > 0 && len(t) >= long
		if i == BatchTexts || i > 0 && (alone || size > BatchBytes) {
			return i
		}
		if alone {
			return 1
		}
	}
	return len(texts)
}

// learn remembers the shortest text that was too long.
func (e *Embedder) learn(size int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.long == 0 || size < e.long {
		e.long = size
	}
}

// tooLong is how Ollama says that a text does not fit the model's window. It says so even where it was asked to cut the text:
// what it cuts by tokens and puts together again can come to more tokens than it counted.
const tooLong = "exceeds the context length"

// shorter is the share of a text that is tried after the whole was too long.
const shorter = 0.8

// fitting embeds texts, and cuts those that are still too long after Ollama's own cutting.
func (e *Embedder) fitting(ctx context.Context, texts []string) ([][]float32, error) {
	vectors, err := e.request(ctx, texts)
	if err == nil || !strings.Contains(err.Error(), tooLong) {
		return vectors, err
	}
	if len(texts) > 1 {
		// One by one: those that fit are computed once more, which halving would do five times over.
		vectors = nil
		for _, text := range texts {
			v, err := e.fitting(ctx, []string{text})
			if err != nil {
				return nil, err
			}
			vectors = append(vectors, v...)
		}
		return vectors, nil
	}
	e.learn(len(texts[0]))
	end := int(float64(len(texts[0])) * shorter)
	for end > 0 && !utf8.RuneStart(texts[0][end]) {
		end--
	}
	if end == 0 {
		return nil, err
	}
	return e.fitting(ctx, []string{texts[0][:end]})
}

func (e *Embedder) request(ctx context.Context, texts []string) ([][]float32, error) {
	truncate := true
	in := wire.EmbedRequest{Model: e.model, Input: texts, Truncate: &truncate}
	if o := e.c.opts; o.NumThread > 0 || o.NumGPU != nil {
		in.Options = &wire.Options{NumThread: o.NumThread, NumGPU: o.NumGPU}
	}
	var out wire.EmbedResponse
	if err := e.c.ask(ctx, http.MethodPost, "/api/embed", e.model, in, &out); err != nil {
		return nil, err
	}
	if len(out.Embeddings) != len(texts) {
		return nil, e.fault("%d vectors came for %d texts", len(out.Embeddings), len(texts))
	}
	for i, v := range out.Embeddings {
		if err := e.check(v); err != nil {
			return nil, err
		}
		if !normalise(v) {
			return nil, rag.Errorf(rag.OutOfBounds, "", "the model %s has no vector for text %d: it has no length or is not finite", e.model, i+1)
		}
	}
	return out.Embeddings, nil
}

// check learns the model's dimension from the first vector and holds all others to it.
func (e *Embedder) check(v []float32) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dimension == 0 {
		e.dimension = len(v)
	}
	if len(v) == 0 || len(v) != e.dimension {
		return e.fault("a vector of dimension %d came where %d was expected", len(v), e.dimension)
	}
	return nil
}

func (e *Embedder) fault(format string, args ...any) error {
	args = append([]any{e.model}, args...)
	return rag.Errorf(rag.BadUpstream, "", "embedding with %s went wrong: "+format, args...)
}

// normalise scales v to unit length; false if it has none.
func normalise(v []float32) bool {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	length := math.Sqrt(sum)
	if length == 0 || math.IsInf(length, 0) || math.IsNaN(length) {
		return false
	}
	for i, x := range v {
		v[i] = float32(float64(x) / length)
	}
	return true
}

// Identity says what the embedder's vectors can be compared with: name with tag, digest, and dimension, for which a
// word is embedded if nothing was yet.
func (e *Embedder) Identity(ctx context.Context) (rag.EmbedderID, error) {
	m, err := e.c.find(ctx, e.model)
	if err != nil {
		return rag.EmbedderID{}, err
	}
	e.mu.Lock()
	if e.digest != m.Digest { // another model came under this name
		e.digest, e.dimension, e.long = m.Digest, 0, 0
	}
	dimension := e.dimension
	e.mu.Unlock()
	if dimension == 0 {
		v, err := e.Embed(ctx, rag.ForPassage, []string{"dimension"})
		if err != nil {
			return rag.EmbedderID{}, err
		}
		dimension = len(v[0])
	}
	return rag.EmbedderID{Name: m.Name, Digest: m.Digest, Dimension: dimension}, nil
}
