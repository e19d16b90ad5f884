package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Builtin is the model that the binary itself answers for.
const Builtin = "builtin"

// endTokens are what the model puts around each text; they are computed like any other.
const endTokens = 2

// ours says whether a request is for the embedder in the binary.
func (g *Gateway) ours(model string) bool {
	return g.Embedder != nil && (model == Builtin || model == Builtin+":latest")
}

// forBuiltin reads a request and, if it is for another model than ours, passes it on; body is then nil.
func (g *Gateway) forBuiltin(w http.ResponseWriter, r *http.Request) (body []byte, err error) {
	if body, err = g.read(w, r); err != nil {
		return nil, err
	}
	if p := peek(body); !g.ours(p.Model) {
		return nil, g.relay(w, r, body, p)
	}
	return body, nil
}

func (g *Gateway) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return read(w, r, g.MaxBody, "GATEWAY_MAX_BODY_BYTES")
}

// embed is POST /api/embed.
func (g *Gateway) embed(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	body, err := g.forBuiltin(w, r)
	if body == nil {
		return err
	}
	var req struct {
		Model      string          `json:"model"`
		Input      json.RawMessage `json:"input"`
		Truncate   *bool           `json:"truncate"`
		Dimensions int             `json:"dimensions"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		native.refuse(w, http.StatusBadRequest, "", err.Error())
		return nil
	}
	texts, err := textsOf(req.Input)
	if err != nil {
		return err
	}
	out := struct {
		Model           string        `json:"model"`
		Embeddings      [][]float32   `json:"embeddings"`
		TotalDuration   time.Duration `json:"total_duration,omitempty"`
		LoadDuration    time.Duration `json:"load_duration,omitempty"`
		PromptEvalCount int           `json:"prompt_eval_count,omitempty"`
	}{Model: req.Model, Embeddings: [][]float32{}}
	if len(texts) > 0 && string(req.Input) != `""` { // one empty text is none, in a list it is one
		out.LoadDuration = time.Since(start) // the model is always there: this is the time to read the request
		whole := req.Truncate != nil && !*req.Truncate
		if out.Embeddings, out.PromptEvalCount, err = g.vectors(r, texts, req.Dimensions, whole); err != nil {
			return err
		}
		out.TotalDuration = time.Since(start)
	}
	write(w, http.StatusOK, jsonType, encode(out))
	return nil
}

// embeddings is POST /api/embeddings, which takes one text and prints its numbers as float64.
func (g *Gateway) embeddings(w http.ResponseWriter, r *http.Request) error {
	body, err := g.forBuiltin(w, r)
	if body == nil {
		return err
	}
	var req struct {
		Prompt string `json:"prompt"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		native.refuse(w, http.StatusBadRequest, "", err.Error())
		return nil
	}
	numbers := []float64{}
	if req.Prompt != "" {
		vectors, _, err := g.vectors(r, []string{req.Prompt}, 0, false)
		if err != nil {
			return err
		}
		for _, v := range vectors[0] {
			numbers = append(numbers, float64(v))
		}
	}
	write(w, http.StatusOK, jsonType, encode(struct {
		Embedding []float64 `json:"embedding"`
	}{numbers}))
	return nil
}

// embeddingsV1 is POST /v1/embeddings.
func (g *Gateway) embeddingsV1(w http.ResponseWriter, r *http.Request) error {
	body, err := g.forBuiltin(w, r)
	if body == nil {
		return err
	}
	var req struct {
		Model          string          `json:"model"`
		Input          json.RawMessage `json:"input"`
		Dimensions     int             `json:"dimensions"`
		EncodingFormat string          `json:"encoding_format"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		openai.refuse(w, http.StatusBadRequest, "", err.Error())
		return nil
	}
	base := strings.EqualFold(req.EncodingFormat, "base64")
	if !base && req.EncodingFormat != "" && !strings.EqualFold(req.EncodingFormat, "float") {
		return rag.Errorf(rag.Malformed, "", "Invalid value for 'encoding_format' = %s. Supported values: ['float', 'base64'].", req.EncodingFormat)
	}
	texts, err := textsOf(req.Input)
	if err == nil && len(texts) == 0 {
		err = rag.Errorf(rag.Malformed, "", "invalid input")
	}
	if err != nil {
		return err
	}
	vectors, tokens, err := g.vectors(r, texts, req.Dimensions, false)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, openaiType, append(encode(listOf(req.Model, vectors, tokens, base)), '\n'))
	return nil
}

type embeddingList struct {
	Object string           `json:"object"`
	Data   []embeddingEntry `json:"data"`
	Model  string           `json:"model"`
	Usage  struct {
		PromptTokens int `json:"prompt_tokens"`
		TotalTokens  int `json:"total_tokens"`
	} `json:"usage"`
}

type embeddingEntry struct {
	Object    string `json:"object"`
	Embedding any    `json:"embedding"` // []float32, or these bytes, little end first, in base64
	Index     int    `json:"index"`
}

func listOf(model string, vectors [][]float32, tokens int, base bool) embeddingList {
	list := embeddingList{Object: "list", Model: model}
	list.Usage.PromptTokens, list.Usage.TotalTokens = tokens, tokens
	for i, v := range vectors {
		e := embeddingEntry{Object: "embedding", Embedding: v, Index: i}
		if base {
			raw := make([]byte, 0, 4*len(v))
			for _, x := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
			}
			e.Embedding = base64.StdEncoding.EncodeToString(raw)
		}
		list.Data = append(list.Data, e)
	}
	return list
}

// textsOf reads an input: a text or a list of texts, none where it is left out.
func textsOf(input json.RawMessage) ([]string, error) {
	input = bytes.TrimSpace(input)
	if len(input) == 0 || string(input) == "null" {
		return nil, nil
	}
	var one string
	if json.Unmarshal(input, &one) == nil {
		return []string{one}, nil
	}
	var many []*string
	if json.Unmarshal(input, &many) == nil {
		texts := make([]string, len(many))
		for i, text := range many {
			if text == nil {
				return nil, rag.Errorf(rag.Malformed, "", "invalid input type")
			}
			texts[i] = *text
		}
		return texts, nil
	}
	var tokens []json.RawMessage
	if json.Unmarshal(input, &tokens) == nil && len(tokens) > 0 && bytes.IndexByte([]byte("-0123456789["), tokens[0][0]) >= 0 {
		return nil, rag.Errorf(rag.Malformed, "", "invalid input type: the input is a list of token numbers, and the model %s has a vocabulary of its own: send text", Builtin)
	}
	return nil, rag.Errorf(rag.Malformed, "", "invalid input type")
}

// vectors embeds texts and counts their tokens. A text longer than the model reads at once is embedded piece by piece, unless
// whole is set: then it is refused.
func (g *Gateway) vectors(r *http.Request, texts []string, dimensions int, whole bool) ([][]float32, int, error) {
	if len(texts) > g.MaxTexts {
		return nil, 0, rag.Errorf(rag.Malformed, "", "%d texts in one request: at most %d are taken (GATEWAY_MAX_TEXTS)", len(texts), g.MaxTexts)
	}
	total := 0
	var groups [2]struct {
		texts []string
		at    []int
	}
	for i, text := range texts {
		purpose, rest := purposeOf(text)
		n := g.Embedder.CountTokens(rest)
		if whole && n > g.Embedder.MaxTokens() {
			return nil, 0, rag.Errorf(rag.Malformed, "", "the input length exceeds the context length")
		}
		total += n + endTokens
		group := &groups[purpose]
		group.texts, group.at = append(group.texts, rest), append(group.at, i)
	}
	out := make([][]float32, len(texts))
	for purpose, group := range groups {
		if len(group.texts) == 0 {
			continue
		}
		vectors, err := g.Embedder.Embed(r.Context(), rag.Purpose(purpose), group.texts)
		if err != nil {
			return nil, 0, fmt.Errorf("embed with %s: %w", Builtin, err)
		}
		for i, v := range vectors {
			out[group.at[i]] = shortened(v, dimensions)
		}
	}
	return out, total, nil
}

// purposeOf lets a text's own prefix say what it is for. The model's prefix is put before it again by the embedder.
func purposeOf(text string) (rag.Purpose, string) {
	if rest, ok := strings.CutPrefix(text, "query: "); ok {
		return rag.ForQuestion, rest
	}
	return rag.ForPassage, strings.TrimPrefix(text, "passage: ")
}

// shortened is the first numbers of a vector, brought to length 1 again; all of it where dimensions are 0 or too many.
func shortened(v []float32, dimensions int) []float32 {
	if dimensions <= 0 || dimensions >= len(v) {
		return v
	}
	v = v[:dimensions]
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	f := float32(1 / max(math.Sqrt(sum), 1e-12))
	for i := range v {
		v[i] *= f
	}
	return v
}
