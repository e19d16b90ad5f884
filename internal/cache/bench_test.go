package cache

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

const benchEntries, benchDimension = 1000, 384

func randomUnit(r *rand.Rand) []float32 {
	v := make([]float32, benchDimension)
	for i := range v {
		v[i] = float32(r.NormFloat64()) / 19.6 // sqrt(384): length about 1
	}
	return v
}

// spelt is a number without digits, which guards would look at.
func spelt(n int) string {
	return strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprint(n))
}

// keptSample is an answer with passages of 800 bytes, each quoted.
func keptSample(i, passages int) rag.Answer {
	a := rag.Answer{Text: fmt.Sprintf("%0600d", i)}
	for n := range passages {
		score := float64(n)
		a.Hits = append(a.Hits, rag.Hit{Passage: rag.Passage{ID: int64(n), Text: fmt.Sprintf("%0800d", i), Hash: fmt.Sprintf("%064d", n), Source: "a/source.md"}, BM25: &score, Cosine: &score})
		a.Citations = append(a.Citations, rag.Citation{N: n + 1, Quote: fmt.Sprintf("%0100d", i)})
	}
	return a
}

// full is a cache of 1,000 answers with 5 passages of 800 bytes each, in one scope.
func full(b *testing.B) (*Cache, []float32) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	c := New(rag.CacheConfig{Enabled: true, Threshold: .9, Size: benchEntries, TTL: time.Hour})
	var last []float32
	for i := range benchEntries {
		last = randomUnit(r)
		c.Remember(key(spelt(i)), last, 1, keptSample(i, 5))
	}
	return c, last
}

func BenchmarkRecallExact(b *testing.B) {
	c, _ := full(b)
	for b.Loop() {
		if _, ok := c.RecallExact(key(spelt(500))); !ok {
			b.Fatal("a miss")
		}
	}
}

func BenchmarkRecallNear(b *testing.B) {
	c, vector := full(b)
	b.Run("hit", func(b *testing.B) {
		for b.Loop() {
			if _, ok := c.RecallNear(key("new"), vector); !ok {
				b.Fatal("a miss")
			}
		}
	})
	far := randomUnit(rand.New(rand.NewPCG(9, 9)))
	b.Run("miss", func(b *testing.B) {
		for b.Loop() {
			if _, ok := c.RecallNear(key("new"), far); ok {
				b.Fatal("a hit")
			}
		}
	})
}
