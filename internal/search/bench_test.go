package search

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

const (
	benchPassages = 100_000
	benchWords    = 100 // of a passage
	benchDim      = 384
)

// zipf is a corpus of made-up English whose words are as unevenly common as real ones.
type zipf struct{}

func (zipf) Change(context.Context, string) (uint64, error) { return 1, nil }

func (zipf) Entries(context.Context, string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		rng := rand.New(rand.NewPCG(1, 2))
		next := zipfWords(rng)
		for id := range int64(benchPassages) {
			var b strings.Builder
			for range benchWords {
				b.WriteString(next())
				b.WriteByte(' ')
			}
			e := passage(id, "en", b.String())
			e.Passage.Source = "source" + strconv.Itoa(int(id/20))
			e.Vector = make([]float32, benchDim)
			for i := range e.Vector {
				e.Vector[i] = rng.Float32() - 0.5
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (zipf) Passages(_ context.Context, _ string, ids []int64) ([]rag.Passage, error) {
	found := make([]rag.Passage, len(ids))
	for i, id := range ids {
		found[i].ID = id
	}
	return found, nil
}

func (zipf) Vectors(context.Context, string, []int64) (map[int64][]float32, error) { return nil, nil }

func zipfWords(rng *rand.Rand) func() string {
	z := rand.NewZipf(rng, 1.07, 4, 200_000)
	return func() string {
		n := z.Uint64()
		if n < 10 {
			return []string{"the", "of", "and", "to", "in", "is", "that", "for", "on", "with"}[n]
		}
		return "w" + strconv.FormatUint(n, 36)
	}
}

func BenchmarkIndex(b *testing.B) {
	dir := b.TempDir()
	x := New(zipf{}, dir)
	b.Run("rebuild", func(b *testing.B) {
		for b.Loop() {
			x.Drop("kb")
			if _, err := x.snapshot(b.Context(), "kb"); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(x.Stats()["kb"].Bytes)/1e6, "MB")
	})
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			x.base("kb").file.remove()
			if err := x.Save(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		if err := x.Save(b.Context()); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if x.base("kb").file.read("kb", 1) == nil {
				b.Fatal("not loaded")
			}
		}
	})
	rng := rand.New(rand.NewPCG(3, 4))
	unit := make([]float32, benchDim)
	for i := range unit {
		unit[i] = rng.Float32() - 0.5
	}
	next := zipfWords(rng)
	var questions []string
	for range 200 {
		var words []string
		for range 8 {
			words = append(words, next())
		}
		questions = append(questions, strings.Join(words, " "))
	}
	for _, method := range []rag.Method{rag.BM25, rag.Vector, rag.Hybrid} {
		for name, filter := range map[string]rag.Filter{"all": {}, "filtered": {Languages: []string{"en"}, Sources: []string{"source7", "source8"}}} {
			b.Run(string(method)+"/"+name, func(b *testing.B) {
				var times []time.Duration
				for i := 0; b.Loop(); i++ {
					start := time.Now()
					q := rag.Query{DB: "kb", Text: questions[i%len(questions)], Vector: vec.Normalize(unit), Method: method, K: 10, Filter: filter}
					if _, err := x.Retrieve(b.Context(), q); err != nil {
						b.Fatal(err)
					}
					times = append(times, time.Since(start))
				}
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
			})
		}
	}
}

func BenchmarkApply(b *testing.B) {
	corpus := newMemory()
	x := New(corpus, "")
	retrieve(b, x, rag.Query{Text: "x"})
	next := zipfWords(rand.New(rand.NewPCG(5, 6)))
	id := int64(0)
	for b.Loop() {
		var add []Entry
		for range 10 {
			var t strings.Builder
			for range benchWords {
				t.WriteString(next() + " ")
			}
			id++
			add = append(add, passage(id, "en", t.String()))
		}
		if err := x.Apply(b.Context(), "kb", corpus.commit(nil, add...)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(x.Stats()["kb"].Segments), "segments")
}
