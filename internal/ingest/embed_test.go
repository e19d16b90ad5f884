package ingest

import (
	"context"
	"slices"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// picky refuses every batch that holds a text named bad, with an error of the given kind.
type picky struct {
	kind  rag.Kind
	calls int
}

func (p *picky) Embed(_ context.Context, _ rag.Purpose, texts []string) ([][]float32, error) {
	p.calls++
	if slices.Contains(texts, "bad") {
		return nil, rag.Errorf(p.kind, "", "no")
	}
	out := make([][]float32, len(texts))
	for i := range out {
		out[i] = []float32{1}
	}
	return out, nil
}

func TestRefusedTextsCostTheOthersNothing(t *testing.T) {
	p := &picky{kind: rag.OutOfBounds}
	vectors, err := embedEach(t.Context(), p, []string{"a", "bad", "c", "d", "bad"})
	if err != nil || len(vectors) != 5 {
		t.Fatalf("%v, %v", vectors, err)
	}
	for i, want := range []int{1, 0, 1, 1, 0} {
		if len(vectors[i]) != want {
			t.Errorf("vector %d has length %d, want %d", i, len(vectors[i]), want)
		}
	}
}

func TestEmbedderThatCannotBeAskedIsNotAskedAgainAndAgain(t *testing.T) {
	for _, kind := range []rag.Kind{rag.Unavailable, rag.Timeout, rag.Overloaded, rag.BadUpstream} {
		p := &picky{kind: kind}
		if _, err := embedEach(t.Context(), p, []string{"a", "bad", "c", "d"}); rag.KindOf(err) != kind || p.calls != 1 {
			t.Errorf("%s: %v after %d calls", kind, err, p.calls)
		}
	}
}

func TestEmbedderThatRefusesEverythingHasFailed(t *testing.T) {
	p := &picky{kind: rag.OutOfBounds}
	if _, err := embedEach(t.Context(), p, []string{"bad", "bad"}); rag.KindOf(err) != rag.OutOfBounds {
		t.Errorf("got %v", err)
	}
}
