package metrics

import (
	"context"
	"iter"
	"net/http"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// sink is an http.ResponseWriter that costs nothing.
type sink struct{ header http.Header }

func (s sink) Header() http.Header         { return s.header }
func (s sink) Write(p []byte) (int, error) { return len(p), nil }
func (s sink) WriteHeader(int)             {}

// typical is what one question leaves behind: five passages, two citations, 50 pieces of text.
func typical() (*rag.Answer, []rag.Chunk) {
	cosine := .7
	a := &rag.Answer{
		Hits:      []rag.Hit{{Cosine: &cosine}, {}, {}, {}, {}},
		Citations: []rag.Citation{{Verdict: rag.Supported}, {Verdict: rag.Unsupported}},
		Timings:   rag.Timings{Embed: .01, Retrieve: .002},
	}
	var chunks []rag.Chunk
	for range 50 {
		chunks = append(chunks, rag.Chunk{Text: "x"})
	}
	return a, append(chunks, rag.Chunk{Done: true, Usage: rag.Usage{InputTokens: 600, OutputTokens: 50, OutputSeconds: 1}})
}

func TestRecordingAllocatesNothing(t *testing.T) {
	m := fresh()
	answer, chunks := typical()
	usage := chunks[len(chunks)-1].Usage
	hit := *answer
	hit.Cache.Status = rag.CacheExact
	of := m.models.get("m")
	for i := range 100 {
		m.models.get(string(rune('a' + i)))
	}
	r := &routeMetrics{route: "/x", method: "GET", requests: m.requests, duration: m.duration.WithLabelValues("/x"), firstByte: m.firstByte.WithLabelValues("/x")}
	w := &watchedWriter{status: http.StatusOK}
	odd := rag.Errorf("strange", "", "boom")
	ctx := context.Background()
	route := m.Route("GET /x", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	var out http.ResponseWriter = sink{}
	req, _ := http.NewRequest(http.MethodGet, "/x", nil)
	search, cache := m.Retriever(retrieves{found: rag.Retrieval{Method: rag.Hybrid}}), m.Recaller(remembers{})
	vector := []float32{1}
	for name, f := range map[string]func(){
		"Retriever":                 func() { _, _ = search.Retrieve(ctx, rag.Query{}) },
		"Recaller":                  func() { _, _ = cache.RecallExact(rag.CacheKey{}); _, _ = cache.RecallNear(rag.CacheKey{}, vector) },
		"Route":                     func() { route.ServeHTTP(out, req) },
		"Route.observe":             func() { r.observe(w, req) },
		"model.usage":               func() { of.usage(usage) },
		"answered":                  func() { m.answered(answer) },
		"answered from the cache":   func() { m.answered(&hit) },
		"Asked":                     func() { m.Asked(ctx, rag.Request{Method: rag.Hybrid}, answer, nil) },
		"Asked, strange kind":       func() { m.Asked(ctx, rag.Request{Method: rag.Hybrid}, nil, odd) },
		"Asked, strange method":     func() { m.Asked(ctx, rag.Request{Method: "strange"}, nil, odd) },
		"names.get of a known one":  func() { m.models.get("m") },
		"names.get of one too many": func() { m.models.get("the hundred and first") },
	} {
		f() // what the first time makes stays
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s allocates %g times", name, n)
		}
	}
}

// BenchmarkInstrumentsOfARoute is what counting and timing adds to one HTTP request.
func BenchmarkInstrumentsOfARoute(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	req, _ := http.NewRequest(http.MethodGet, "/x", nil)
	var w http.ResponseWriter = sink{}
	run := func(h http.Handler) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, req)
			}
		}
	}
	route := fresh().Route("GET /x", handler)
	b.Run("bare", run(handler))
	b.Run("route", run(route))
	b.Run("route, parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				route.ServeHTTP(w, req)
			}
		})
	})
}

// BenchmarkInstrumentsOfAQuestion is what counting adds to one question.
func BenchmarkInstrumentsOfAQuestion(b *testing.B) {
	m := fresh()
	a, _ := typical()
	b.ReportAllocs()
	for b.Loop() {
		m.Asked(b.Context(), rag.Request{Method: rag.Hybrid}, a, nil)
	}
}

// BenchmarkInstrumentsOfAModelCall is what counting and timing adds to one model call of 50 tokens.
func BenchmarkInstrumentsOfAModelCall(b *testing.B) {
	_, chunks := typical()
	var bare rag.Generator = writes{chunks: chunks}
	run := func(g rag.Generator) func(*testing.B) {
		return func(b *testing.B) {
			each(b, func() iter.Seq2[rag.Chunk, error] { return g.Generate(b.Context(), rag.Prompt{Model: "m"}) })
		}
	}
	b.Run("bare", run(bare))
	b.Run("counted", run(fresh().Generator(bare)))
}

func each[T any](b *testing.B, seq func() iter.Seq2[T, error]) {
	b.ReportAllocs()
	for b.Loop() {
		drain(seq())
	}
}

// BenchmarkScrape is what Prometheus's visit costs.
func BenchmarkScrape(b *testing.B) {
	for name, m := range map[string]*Metrics{"fresh": fresh(), "largest": largest(b)} {
		h := m.Handler()
		req, _ := http.NewRequest(http.MethodGet, "/metrics", nil)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(sink{http.Header{}}, req)
			}
		})
	}
}
