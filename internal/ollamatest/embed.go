package ollamatest

import (
	"encoding/json"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/ollama-rag/ollama-rag/internal/wire"
)

const tryPulling = "model %q not found, try pulling it first"

func (x *exchange) embed() {
	var in struct {
		Model string
		Input json.RawMessage
	}
	if !x.decode(&in) {
		return
	}
	m, ok := x.use(in.Model, "", "", tryPulling)
	if !ok {
		return
	}
	texts, ok := inputs(in.Input)
	if !ok {
		x.fail(http.StatusBadRequest, "invalid input type")
		return
	}
	out := wire.EmbedResponse{Model: in.Model, Embeddings: [][]float32{}}
	for _, text := range texts {
		out.Embeddings = append(out.Embeddings, x.vector(text, m.Dimension))
		out.PromptEvalCount += len(strings.Fields(text)) + 2
	}
	if len(texts) > 0 {
		out.TotalDuration, out.LoadDuration = 2402127*time.Nanosecond, 1470569*time.Nanosecond
	}
	x.value(out)
}

// inputs reads a text or a list of texts. One empty text is none, as with Ollama.
func inputs(raw json.RawMessage) ([]string, bool) {
	var one string
	var many []string
	switch {
	case len(raw) == 0:
		return nil, true
	case json.Unmarshal(raw, &one) == nil:
		if one == "" {
			return nil, true
		}
		return []string{one}, true
	case json.Unmarshal(raw, &many) == nil:
		return many, true
	}
	return nil, false
}

func (x *exchange) embeddings() {
	var in wire.EmbeddingsRequest
	if !x.decode(&in) {
		return
	}
	m, ok := x.use(in.Model, "", "", tryPulling)
	if !ok {
		return
	}
	out := wire.EmbeddingsResponse{Embedding: []float64{}}
	if in.Prompt != "" {
		for _, v := range x.vector(in.Prompt, m.Dimension) {
			out.Embedding = append(out.Embedding, float64(v))
		}
	}
	x.value(out)
}

func (x *exchange) vector(text string, dimension int) []float32 {
	x.s.mu.Lock()
	vector := x.s.vector
	x.s.mu.Unlock()
	return vector(text, dimension)
}

// WordVector is the sum of one random direction a word, of unit length: the same for the same text always, and close
// for texts that share words.
func WordVector(text string, dimension int) []float32 {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) == 0 {
		words = []string{""}
	}
	sum := make([]float64, dimension)
	for _, w := range words {
		h := fnv.New64a()
		_, _ = h.Write([]byte(w))
		direction := rand.New(rand.NewPCG(h.Sum64(), 1))
		for i := range sum {
			sum[i] += direction.NormFloat64()
		}
	}
	var length float64
	for _, v := range sum {
		length += v * v
	}
	length = math.Sqrt(length)
	out := make([]float32, dimension)
	for i, v := range sum {
		out[i] = float32(v / length)
	}
	return out
}
