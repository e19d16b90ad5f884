//go:build !race

package embed

import (
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// The race detector allocates, so this is checked without it.
func TestNothingIsAllocatedPerText(t *testing.T) {
	for name, toy := range toys {
		m := openBytes(t, packToy(t, toy))
		v := make([]float32, m.weights.Width)
		for _, text := range append(toyTexts, "Nguo\u031b\u0300i cafe\u0301", strings.Repeat("người 中 ", 2000)) {
			if n := testing.AllocsPerRun(10, func() {
				if err := m.EmbedInto(t.Context(), v, rag.ForQuestion, text); err != nil {
					t.Error(err)
				}
			}); n > 0 {
				t.Errorf("%s: %.0f allocations for %.40q", name, n, text)
			}
		}
	}
}
