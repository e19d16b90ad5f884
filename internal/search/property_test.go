package search

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/text"
	"github.com/ollama-rag/ollama-rag/internal/vec"
	"pgregory.net/rapid"
)

var vocabulary = []string{
	"the", "of", "cat", "cats", "dog", "running", "run", "timeout", "má", "ma", "mà", "đà", "da", "nẵng", "nang", "thé", "café",
	"cafés", "cafe", "東京都", "max_body_bytes", "2024", "x",
}

func drawText(t *rapid.T, most int) string {
	words := rapid.SliceOfN(rapid.SampledFrom(vocabulary), 0, most).Draw(t, "words")
	out := ""
	for _, w := range words {
		out += w + " "
	}
	return out
}

func drawEntry(t *rapid.T, id int64) Entry {
	e := passage(id, rapid.SampledFrom([]string{"en", "vi", "ja"}).Draw(t, "language"), drawText(t, 12))
	e.Passage.Title = rapid.SampledFrom([]string{"", "Cat", "Đà Nẵng"}).Draw(t, "title")
	e.Passage.Heading = rapid.SampledFrom([]string{"", "Dog > Running"}).Draw(t, "heading")
	e.Passage.Version = rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(t, "version")
	e.Passage.Source = fmt.Sprintf("s%d", id%4)
	if rapid.Bool().Draw(t, "has vector") {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "vector"), 1))
		e.Vector = make([]float32, 8)
		for i := range e.Vector {
			e.Vector[i] = float32(rng.NormFloat64())
		}
	}
	return e
}

func drawFilter(t *rapid.T) rag.Filter {
	return rag.Filter{
		Languages: rapid.SliceOfN(rapid.SampledFrom([]string{"en", "vi", "fr"}), 0, 2).Draw(t, "languages"),
		Versions:  rapid.SliceOfN(rapid.SampledFrom([]string{"", "v1", "v3"}), 0, 2).Draw(t, "versions"),
		Sources:   rapid.SliceOfN(rapid.SampledFrom([]string{"s0", "s1", "s9"}), 0, 2).Draw(t, "sources"),
	}
}

// passes is the filter as it is written down.
func passes(p rag.Passage, f rag.Filter) bool {
	in := func(wanted []string, value string) bool {
		return len(wanted) == 0 || value != "" && slices.Contains(wanted, value)
	}
	return in(f.Languages, p.Language) && in(f.Versions, p.Version) && in(f.Sources, p.Source)
}

// The laws of the whole package: after any updates, merges, saves and loads, words score as in the naive BM25 over what is live,
// vectors as their exact cosine, and filters admit what they say.
func TestResultsAreThoseOfNaiveSearchAfterAnyUpdates(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var first []Entry
		for id := range int64(rapid.IntRange(0, 8).Draw(rt, "passages")) {
			first = append(first, drawEntry(rt, id*3))
		}
		corpus := newMemory(first...)
		x := New(corpus, t.TempDir())
		for range rapid.IntRange(1, 12).Draw(rt, "updates") {
			check(t, rt, x, corpus)
			change(t, rt, x, corpus)
			if rapid.IntRange(0, 5).Draw(rt, "restart") == 0 {
				if err := x.Close(); err != nil {
					rt.Fatal(err)
				}
				x = New(corpus, x.dir)
				corpus.reads = 0
				check(t, rt, x, corpus)
				if corpus.reads != 0 {
					rt.Fatal("a saved index was rebuilt")
				}
			}
		}
		check(t, rt, x, corpus)
		if reads := corpus.reads; reads > 1 {
			rt.Fatalf("rebuilt %d times", reads)
		}
	})
}

func change(t *testing.T, rt *rapid.T, x *Indexes, corpus *memory) {
	remove := rapid.SliceOfN(rapid.Int64Range(0, 30), 0, 3).Draw(rt, "remove")
	ids := rapid.SliceOfNDistinct(rapid.Int64Range(0, 30), 0, 4, rapid.ID).Draw(rt, "add")
	var add []Entry
	for _, id := range ids {
		add = append(add, drawEntry(rt, id))
	}
	if err := x.Apply(t.Context(), "kb", corpus.commit(remove, add...)); err != nil {
		rt.Fatal(err)
	}
}

func check(t *testing.T, rt *rapid.T, x *Indexes, corpus *memory) {
	question, filter, live := drawText(rt, 5), drawFilter(rt), corpus.sorted()
	got := retrieve(t, x, rag.Query{Text: question, Method: rag.BM25, Filter: filter})
	scores := naive{live}.scores(question)
	want := map[int64]float64{}
	for _, e := range live {
		if score := scores[e.Passage.ID]; score > 0 && passes(e.Passage, filter) {
			want[e.Passage.ID] = score
		}
	}
	compare(rt, got, want, 1e-5)
	if got.Change != corpus.change {
		rt.Fatalf("change %d, want %d", got.Change, corpus.change)
	}

	unit := vec.Normalize([]float32{1, -2, 3, 1, 0, 1, -1, 2})
	got = retrieve(t, x, rag.Query{Text: question, Vector: unit, Method: rag.Vector, Filter: filter})
	if x.Stats()["kb"].Vectors == 0 {
		if got.Method != rag.BM25 {
			rt.Fatalf("method %s without vectors", got.Method)
		}
		return
	}
	want = map[int64]float64{}
	for _, e := range live {
		if e.Vector != nil && passes(e.Passage, filter) {
			want[e.Passage.ID] = vec.Cosine(unit, e.Vector)
		}
	}
	compare(rt, got, want, 1e-6)
}

func compare(rt *rapid.T, got rag.Retrieval, want map[int64]float64, tolerance float64) {
	if len(got.Hits) != len(want) {
		rt.Fatalf("%s: %d hits %v, want %v", got.Method, len(got.Hits), found(got), want)
	}
	for i, hit := range got.Hits {
		if math.Abs(hit.Score-want[hit.Passage.ID]) > tolerance*max(1, math.Abs(hit.Score)) {
			rt.Fatalf("%s: passage %d has %v, want %v", got.Method, hit.Passage.ID, hit.Score, want[hit.Passage.ID])
		}
		if i > 0 {
			before := got.Hits[i-1]
			if before.Score < hit.Score || before.Score == hit.Score && before.Passage.ID >= hit.Passage.ID {
				rt.Fatalf("%s: out of order at %d: %v", got.Method, i, found(got))
			}
		}
	}
}

func TestHybridIsTheWrittenFormula(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var entries []Entry
		for id := range int64(rapid.IntRange(2, 20).Draw(rt, "passages")) {
			entries = append(entries, drawEntry(rt, id))
		}
		x := New(newMemory(entries...), "")
		q := rag.Query{Text: drawText(rt, 5), Vector: []float32{1, 0, 2, 0, 3, 0, 4, 0}, Worth: rag.Worth{"en": 1, "vi": .2, rag.OtherLanguages: .6}}
		q.Text = rapid.SampledFrom([]string{q.Text, "What is the name of the cat that sat on the mat?", "Con mèo tên là gì và nó ở đâu?"}).Draw(rt, "question")
		if rapid.Bool().Draw(rt, "weighted") {
			weight := rapid.Float64Range(0, 1).Draw(rt, "weight")
			q.BM25Weight = &weight
		}
		// The weights as docs/adr/0008 has them.
		weights := func(p rag.Passage) (words, vectors float64) {
			if q.BM25Weight != nil {
				return *q.BM25Weight, 1 - *q.BM25Weight
			}
			question := text.Language(q.Text)
			if !slices.ContainsFunc(entries, func(e Entry) bool { return e.Passage.ID == p.ID && len(e.Vector) > 0 }) {
				return 1, 0
			}
			vectors = max(.05, .5*min(q.Worth.In(question), q.Worth.In(p.Language)))
			if known := question != text.Unknown && p.Language != "" && p.Language != text.Unknown; known && question != p.Language {
				return 1 - vectors - .9*vectors, vectors
			}
			return 1 - vectors, vectors
		}
		q.RRF, q.RRFK = rapid.Bool().Draw(rt, "rrf"), rapid.SampledFrom([]float64{0, 10}).Draw(rt, "k")
		q.Method = rag.Hybrid
		got := retrieve(t, x, q)
		if got.Method != rag.Hybrid {
			return
		}
		want := map[int64]float64{}
		for _, method := range []rag.Method{rag.BM25, rag.Vector} {
			q.Method = method
			hits := retrieve(t, x, q).Hits
			for rank, hit := range hits {
				low, high, share := hits[len(hits)-1].Score, hits[0].Score, 1.0
				if high > low {
					share = (hit.Score - low) / (high - low)
				}
				words, vectors := weights(hit.Passage)
				if method == rag.BM25 {
					share *= words
				} else {
					share *= vectors
				}
				if q.RRF {
					k := q.RRFK
					if k == 0 {
						k = 60
					}
					share = 1 / (k + float64(rank) + 1)
				}
				want[hit.Passage.ID] += share
			}
		}
		compare(rt, got, want, 1e-9)
	})
}
