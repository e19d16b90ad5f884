package embed

import (
	"os"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// folder gives what a variable names, and skips where it is not set.
func folder(t *testing.T, variable string) string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		t.Skip(variable + " is not set")
	}
	return dir
}

// ids are the tokens of a text, without prefix and ends.
func ids(m *Model, text string) []int32 {
	var c cutting
	var from chunks
	from.start(text)
	for chunk := from.next(); len(chunk) > 0; chunk = from.next() {
		m.weights.tokenizer.feed(&c, chunk)
	}
	m.weights.tokenizer.end(&c)
	return c.ids
}

func embedOne(t testing.TB, m *Model, purpose rag.Purpose, text string) []float32 {
	t.Helper()
	v, err := m.Embed(t.Context(), purpose, []string{text})
	if err != nil {
		t.Fatal(err)
	}
	return v[0]
}
