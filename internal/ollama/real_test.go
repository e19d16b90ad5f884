package ollama

import (
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func cosine(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestRealOllamaAnswersAndEmbeds(t *testing.T) {
	srv := ollamatest.Real(t)
	c := clientTo(t, srv.URL)
	m, err := c.ChatModel(t.Context(), "")
	if err != nil || m.Name != ollamatest.RealChatModel || m.ContextLength == 0 {
		t.Fatalf("chat model %+v, %v", m, err)
	}
	p := rag.Prompt{Model: m.Name, NumCtx: 2048, MaxTokens: 16, Messages: []rag.Message{{Role: "user", Content: "Say hello."}}}
	text, last, err := collect(t.Context(), c, p)
	if err != nil || text == "" || !last.Done || last.Usage.OutputTokens == 0 || last.Usage.OutputTokens > 16 {
		t.Errorf("%q, %+v, %v", text, last, err)
	}
	e := c.Embedder("all-minilm")
	v, err := e.Embed(t.Context(), rag.ForPassage, []string{"the breaker opens after five failures", "when does the breaker open?", "pears"})
	if err != nil {
		t.Fatal(err)
	}
	if near, far := cosine(v[0], v[1]), cosine(v[0], v[2]); near < far+0.2 {
		t.Errorf("near %.2f, far %.2f", near, far)
	}
	id, err := e.Identity(t.Context())
	if err != nil || id.Dimension != 384 || id.Name != "all-minilm:latest" || len(id.Digest) != 64 {
		t.Errorf("%+v, %v", id, err)
	}
	if _, _, err := collect(t.Context(), c, prompt("nope")); rag.CodeOf(err) != rag.CodeModelNotFound {
		t.Errorf("got %v", err)
	}
	if _, _, err := collect(t.Context(), c, prompt("all-minilm")); rag.KindOf(err) != rag.OutOfBounds {
		t.Errorf("got %v", err)
	}
}
