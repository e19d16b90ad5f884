//go:build !nomodel

package embed

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// textOf makes a text of n tokens, prefix and ends included; seed varies it.
func textOf(m *Model, n, seed int) string {
	words := strings.Fields("the cell was seen to grow in a small lab over two days while most of its other parts did not change at all and then died from lack of food")
	n -= 2 + m.CountTokens(m.weights.Passage)
	var b []byte
	for i := 0; ; i++ {
		next := append(b, words[(i*7+seed*3+i/5)%len(words)]...)
		switch k := m.CountTokens(string(next)); {
		case k == n:
			return string(next)
		case k > n:
			return string(append(b, 'a'))
		}
		b = append(next, ' ')
	}
}

// BenchmarkEmbed is one text on one processor, by kernel and number of tokens, and a batch on all processors.
func BenchmarkEmbed(b *testing.B) {
	for _, name := range Kernels() {
		m := openBuiltin(b, WithKernel(name))
		for _, n := range []int{14, 17, 64, 128, 256} {
			var texts []string
			for i := range 16 {
				texts = append(texts, textOf(m, n, i))
			}
			v := make([]float32, m.weights.Width)
			b.Run(fmt.Sprintf("%s/%dtokens/one", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := m.EmbedInto(b.Context(), v, rag.ForPassage, texts[i%16]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
			})
			b.Run(fmt.Sprintf("%s/%dtokens/batch%d", name, n, runtime.GOMAXPROCS(0)), func(b *testing.B) {
				for b.Loop() {
					if _, err := m.Embed(b.Context(), rag.ForPassage, texts); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(16*b.N)/b.Elapsed().Seconds(), "texts/s")
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		m, err := Open(Builtin)
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}

func BenchmarkCountTokens(b *testing.B) {
	m := openBuiltin(b)
	text := strings.Join(samples[:4], " ")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		m.CountTokens(text)
	}
}
