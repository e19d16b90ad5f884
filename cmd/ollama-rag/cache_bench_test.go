package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/cache"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/server"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

const (
	benchClients = 32
	benchRounds  = 9
	benchRound   = time.Second
)

// BenchmarkAnswerCacheExact compares an answer from the exact tier, through the whole server, with a handler that does nothing in the
// same server, in turns: 32 clients that do as little as they can, and 32 of net/http. The log is written, to nowhere. `make bench-cache` runs it.
func BenchmarkAnswerCacheExact(b *testing.B) {
	stub := ollamatest.New(b)
	stub.SetText("The breaker opens after 5 consecutive failures [1]. It stays open for 30 seconds, then lets 3 probes through [1].")
	h := open(b, stub.URL, "EMBED_MODEL=all-minilm")
	for i := range 40 { // as long as real passages are
		text := fmt.Sprintf("# Circuit breaker %d\n\nThe breaker opens after 5 consecutive failures. It stays open for 30 seconds, then lets 3 probes through. %s\n", i, strings.Repeat("Breakers \"trip\" so that callers fail fast. ", 15))
		if r := h.upload("", fmt.Sprintf("breaker%d.md", i), text); r.status != http.StatusOK {
			b.Fatalf("%d %s", r.status, r.body)
		}
	}
	const question = `{"query":"How many failures open the breaker?"}`
	h.send("POST", "/api/query", question)
	kept := h.send("POST", "/api/query", question)
	if !strings.Contains(kept.header.Get("Cache-Status"), "detail=exact") {
		b.Fatalf("%v", kept.header)
	}
	own := []string{"Vary", "X-Request-ID", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy", "Content-Security-Policy"}
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer nowhere.Close()
	c := h.serverConfig(nil)
	c.Log = slog.New(slog.NewTextHandler(nowhere, nil))
	c.Routes = append(c.Routes, server.Route{Pattern: "POST /bench/empty", Role: "read", Serve: func(w http.ResponseWriter, _ *http.Request) error {
		for _, name := range own { // routes of other APIs lose what our own have
			w.Header().Set(name, kept.header.Get(name))
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}})
	srv := httptest.NewServer(server.New(c).Handler())
	defer srv.Close()
	addr := srv.Listener.Addr().String()
	for name, client := range map[string]func(addr, path, body string) (ask func() error, leave func(), err error){"bare clients": bareClient, "net/http clients": httpClient} {
		b.Run(name, func(b *testing.B) {
			measure := func(path string) float64 {
				return load(b, func() (func() error, func(), error) { return client(addr, path, question) })
			}
			measure("/api/query")
			measure("/bench/empty")
			var hits, empties, ratios []float64
			for range benchRounds * b.N {
				x, y := measure("/api/query"), measure("/bench/empty")
				hits, empties, ratios = append(hits, x), append(empties, y), append(ratios, x/y)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(hits), "hits/s")
			b.ReportMetric(median(empties), "empty/s")
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(slices.Min(ratios), "ratio-min")
			b.ReportMetric(slices.Max(ratios), "ratio-max")
			b.ReportMetric(float64(len(kept.body)), "body-bytes")
		})
	}
}

func median[T int | int64 | float64 | time.Duration](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}

// bareClient sends the same bytes on a connection of its own.
func bareClient(addr, path, body string) (ask func() error, leave func(), err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(conn, 32<<10)
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, addr, len(body), body)
	ask = func() error {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		return skipAnswer(r)
	}
	return ask, func() { _ = conn.Close() }, nil
}

// httpClient is the client that programs in Go have.
func httpClient(addr, path, body string) (ask func() error, leave func(), err error) {
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	ask = func() error {
		resp, err := client.Post("http://"+addr+path, "application/json", strings.NewReader(body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s, %w", resp.Status, err)
		}
		return nil
	}
	return ask, transport.CloseIdleConnections, nil
}

// load lets 32 clients ask over and over, and gives the answers a second.
func load(b *testing.B, client func() (func() error, func(), error)) float64 {
	b.Helper()
	var answers atomic.Int64
	var failed atomic.Value
	var clients sync.WaitGroup
	start := time.Now()
	for range benchClients {
		clients.Go(func() {
			ask, leave, err := client()
			if err != nil {
				failed.Store(err)
				return
			}
			defer leave()
			for time.Since(start) < benchRound {
				if err := ask(); err != nil {
					failed.Store(err)
					return
				}
				answers.Add(1)
			}
		})
	}
	clients.Wait()
	if err := failed.Load(); err != nil {
		b.Fatal(err)
	}
	return float64(answers.Load()) / time.Since(start).Seconds()
}

// skipAnswer reads one answer with status 200.
func skipAnswer(r *bufio.Reader) error {
	length, chunked := 0, false
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
			return fmt.Errorf("%s", line)
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(v)); err != nil {
				return err
			}
		}
		chunked = chunked || bytes.HasPrefix(line, []byte("Transfer-Encoding: chunked"))
		if len(line) == 0 {
			break
		}
	}
	if !chunked {
		_, err := r.Discard(length)
		return err
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(textproto.TrimString(string(line)), 16, 32)
		if err != nil {
			return err
		}
		if _, err := r.Discard(int(n) + 2); err != nil || n == 0 {
			return err
		}
	}
}

// benchHouse is a real store, index, cache and engine over 2,000 passages. Vectors are at hand, so that no embedding is in the figures.
type benchHouse struct {
	*shelf
	*cache.Cache
	vectors map[string][]float32 // by text
	say     string               // by the model
	key     rag.CacheKey         // of the answer that was remembered last
	answer  rag.Answer
}

const (
	benchPassages = 2000
	benchTopics   = 50 // passages that are asked about
)

func (h *benchHouse) EmbedderFor(context.Context, string) (rag.Embedder, rag.EmbedderID, error) {
	return h, benchEmbedder, nil
}

var benchEmbedder = rag.EmbedderID{Name: "e", Dimension: 384}

func (h *benchHouse) Embed(_ context.Context, _ rag.Purpose, texts []string) ([][]float32, error) {
	return [][]float32{h.vectors[texts[0]]}, nil
}

func (h *benchHouse) Generate(context.Context, rag.Prompt) iter.Seq2[rag.Chunk, error] {
	return func(yield func(rag.Chunk, error) bool) {
		_ = yield(rag.Chunk{Text: h.say}, nil) && yield(rag.Chunk{Done: true, DoneReason: "stop"}, nil)
	}
}

func (h *benchHouse) Remember(key rag.CacheKey, vector []float32, change uint64, a rag.Answer) bool {
	h.key, h.answer = key, a
	return h.Cache.Remember(key, vector, change, a)
}

// name is a word of its own for each number.
func name(n int) string {
	s := ""
	for range 4 {
		s += string("bdfgklmnprstvz"[n%14]) + string("aeiou"[n%5])
		n /= 7
	}
	return s
}

// like is a unit vector at about a cosine to another one.
func like(rng *rand.Rand, center []float32, cosine float64) []float32 {
	v := make([]float32, len(center))
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	v = vec.Normalize(v)
	for i := range v {
		v[i] = float32(cosine)*center[i] + float32(math.Sqrt(1-cosine*cosine))*v[i]
	}
	return vec.Normalize(v)
}

func newBenchHouse(b *testing.B, rng *rand.Rand, center []float32) *benchHouse {
	h := &benchHouse{shelf: newShelf(b), vectors: map[string][]float32{}}
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	must(h.open(b.Context()))
	h.Cache = h.cache
	e := h.engine
	e.Cache, e.Embedders, e.CacheEmbedder, e.Models, e.Generator = h, h, h, h, h
	const perDocument = 10
	for d := range benchPassages / perDocument {
		n := rag.NewDocument{Document: rag.Document{Source: name(d), MediaType: "text/plain"}, Embedder: benchEmbedder}
		for i := range perDocument {
			text := benchFact(d*perDocument+i) + " " + strings.Repeat("Whoever runs it reads the plate, writes the reading down and closes the door. ", 8) + "\n"
			at := len(n.Document.Text)
			n.Document.Text += text
			n.Passages = append(n.Passages, rag.Passage{Chunk: i, Span: rag.Span{Start: at, End: at + len(text)}, Language: "en", Hash: fmt.Sprint("h", d, "-", i), Text: text})
			n.Vectors = append(n.Vectors, like(rng, center, .9))
			if p := d*perDocument + i; p < benchTopics {
				h.vectors[benchQuestion(p)] = like(rng, n.Vectors[i], .9)
				h.vectors[benchParaphrase(p)] = like(rng, h.vectors[benchQuestion(p)], .9998)
			}
		}
		_, err := h.store.Put(b.Context(), "kb", n)
		must(err)
	}
	return h
}

func benchFact(n int) string {
	return fmt.Sprintf("The valve of the pump %s opens at the pressure that the plate of %s shows.", name(n), name(n))
}
func benchQuestion(n int) string {
	return fmt.Sprintf("When does the valve of the pump %s open?", name(n))
}
func benchParaphrase(n int) string {
	return fmt.Sprintf("When does the pump %s open the valve?", name(n))
}

// benchRequest asks about a topic; the topics' paraphrases come after their questions.
func benchRequest(n int) rag.Request {
	r := rag.Request{DB: "kb", Question: benchQuestion(n), Method: rag.Hybrid, K: 5}
	if n >= benchTopics {
		r.Question, r.NoRemember = benchParaphrase(n-benchTopics), true
	}
	return r
}

func (h *benchHouse) asks(b *testing.B, n int) rag.CacheStatus {
	b.Helper()
	h.say = benchFact(n%benchTopics) + " [1]"
	for ev, err := range h.engine.Ask(b.Context(), benchRequest(n)) {
		if err != nil {
			b.Fatal(err)
		}
		if ev.Kind == rag.EventDone {
			return ev.Answer.Cache.Status
		}
	}
	return ""
}

// BenchmarkAnswerCacheNear measures an answer from the semantic tier (nearest question, guards, retrieval over 2,000 passages, evidence)
// without the embedding, beside a plain scan of the same vectors as float32, and the memory of an entry. `make bench-cache` runs it.
func BenchmarkAnswerCacheNear(b *testing.B) {
	for _, entries := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			center := like(rng, make([]float32, benchEmbedder.Dimension), 0)
			h := newBenchHouse(b, rng, center)
			h.SetConfig(rag.CacheConfig{Enabled: true, Threshold: .95, Size: entries, TTL: time.Hour})
			for n := range benchTopics {
				h.asks(b, n)
			}
			before := heapInUse()
			plain := make([][]float32, 0, entries)
			for n := range entries - benchTopics {
				key := h.key
				key.Question = "What does " + name(n) + " " + name(n/5) + " weigh?"
				v := like(rng, center, .9)
				plain = append(plain, v)
				h.Cache.Remember(key, v, 1<<40, h.answer)
			}
			took := heapInUse() - before - int64(len(plain)*(384*4+24))
			s := h.Stats()
			if s.Size < entries*99/100 {
				b.Fatalf("%d entries", s.Size)
			}
			var asks, scans []time.Duration
			for range 4 * b.N {
				for n := range benchTopics {
					start := time.Now()
					if status := h.asks(b, benchTopics+n); status != rag.CacheSemantic {
						x, err := h.engine.Explain(b.Context(), benchRequest(benchTopics+n))
						b.Fatalf("%s: %s, %+v, %v", benchParaphrase(n), status, x, err)
					}
					asks = append(asks, time.Since(start))
				}
			}
			for n := range 30 * b.N {
				start := time.Now()
				best, most := 0, float32(-2)
				for i, v := range plain {
					if d := vec.Dot(v, h.vectors[benchParaphrase(n%benchTopics)]); d > most {
						best, most = i, d
					}
				}
				runtime.KeepAlive(best)
				scans = append(scans, time.Since(start))
			}
			near, scan := median(asks), median(scans)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(near.Seconds()*1000, "near-ms")
			b.ReportMetric(scan.Seconds()*1000, "plain-scan-ms")
			b.ReportMetric(scan.Seconds()/near.Seconds(), "ratio")
			b.ReportMetric(float64(took)/float64(len(plain)), "B/entry")
			b.ReportMetric(float64(s.Bytes)/float64(s.Size), "B/entry-counted")
		})
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
