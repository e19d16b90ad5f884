package metrics

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/ingest"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/search"
	"github.com/ollama-rag/ollama-rag/internal/upstream"
)

// quiet are parts in which nothing has happened.
func quiet() Parts {
	return Parts{
		Hosts:     func() []upstream.HostStats { return []upstream.HostStats{{Label: "ollama_client"}} },
		Queue:     func() upstream.QueueStats { return upstream.QueueStats{} },
		Cache:     func() rag.CacheStats { return rag.CacheStats{} },
		Calls:     func() rag.CallStats { return rag.CallStats{Hits: 3} },
		Ingest:    func() ingest.Stats { return ingest.Stats{} },
		Indexes:   func() map[string]search.Stats { return nil },
		Documents: func(context.Context) (map[string]int, error) { return nil, nil },
	}
}

func fresh() *Metrics { return New(quiet(), "1.0", "abc", false) }

var sample = regexp.MustCompile(`(?m)^(?:ollama_rag_)?(\w+(?:\{[^}]*\})?) (\S+)$`)

// scrape gives every series, our prefix taken off.
func scrape(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	out := map[string]float64{}
	for _, s := range sample.FindAllStringSubmatch(w.Body.String(), -1) {
		v, err := strconv.ParseFloat(s[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		out[s[1]] = v
	}
	return out
}

func want(t *testing.T, m *Metrics, series map[string]float64) {
	t.Helper()
	have := scrape(t, m)
	for name, v := range series {
		if got, ok := have[name]; !ok || got != v {
			t.Errorf("%s: %g (there: %v), want %g", name, got, ok, v)
		}
	}
}

// writes is a model that writes the same chunks for every prompt, and err after them.
type writes struct {
	chunks []rag.Chunk
	err    error
}

func (w writes) Generate(context.Context, rag.Prompt) iter.Seq2[rag.Chunk, error] {
	return func(yield func(rag.Chunk, error) bool) {
		for _, c := range w.chunks {
			if !yield(c, nil) {
				return
			}
		}
		if w.err != nil {
			yield(rag.Chunk{}, w.err)
		}
	}
}

// drain reads a stream to its end.
func drain[T any](seq iter.Seq2[T, error]) { read(seq, toTheEnd) }

// How long a reader stays.
const (
	toTheEnd = false
	onePiece = true
)

func read[T any](seq iter.Seq2[T, error], leaves bool) {
	for range seq {
		if leaves {
			return
		}
	}
}

func TestWhatBecomesOfAQuestionIsCountedOnce(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	busy := rag.Errorf(rag.Overloaded, rag.CodeQueueFull, "busy")
	for _, c := range []struct {
		name    string
		answer  *rag.Answer
		err     error
		ctx     context.Context
		outcome string
		failure string
	}{
		{"whole", &rag.Answer{}, nil, t.Context(), "answered", ""},
		{"whole, and its client has left", &rag.Answer{}, nil, left, "answered", ""},
		{"quoted", &rag.Answer{Degraded: true}, nil, t.Context(), "degraded", ""},
		{"nothing found", &rag.Answer{DoneReason: "no_passages"}, nil, t.Context(), "refused", ""},
		{"from the cache", &rag.Answer{Cache: rag.CacheInfo{Status: rag.CacheExact}}, nil, t.Context(), "answered", ""},
		{"reader leaves", nil, nil, t.Context(), "abandoned", ""},
		{"client left", nil, context.Canceled, left, "abandoned", ""},
		{"fault", nil, busy, t.Context(), "error", "overloaded"},
		{"deadline of ours", nil, rag.Errorf(rag.Timeout, "", "late"), late, "error", "timeout"},
		{"unnamed fault", nil, errors.New("boom"), t.Context(), "error", "internal"},
		{"kind that nobody knows", nil, rag.Errorf("strange\xff", "", "boom"), t.Context(), "error", "internal"},
	} {
		m := fresh()
		m.Asked(c.ctx, rag.Request{Method: rag.Hybrid}, c.answer, c.err)
		for series, v := range scrape(t, m) {
			expected := 0.0
			if series == fmt.Sprintf(`queries_total{method="hybrid",outcome="%s",provider="ollama"}`, c.outcome) || c.failure != "" && series == fmt.Sprintf(`query_errors_total{error_type="%s"}`, c.failure) {
				expected = 1
			}
			if strings.HasPrefix(series, "quer") && v != expected {
				t.Errorf("%s: %s is %g, want %g", c.name, series, v, expected)
			}
		}
	}
}

func TestAnAnswerLeavesItsFigures(t *testing.T) {
	m := fresh()
	cosine := .42
	a := rag.Answer{
		Hits:      []rag.Hit{{}, {Cosine: &cosine}},
		Citations: []rag.Citation{{Verdict: rag.Supported}, {Verdict: rag.Supported}, {Verdict: rag.Unsupported}, {Verdict: "strange"}},
		Timings:   rag.Timings{Embed: .012, Retrieve: .002},
	}
	m.Asked(t.Context(), rag.Request{Method: rag.BM25}, &a, nil)
	a.Cache, a.Usage = rag.CacheInfo{Status: rag.CacheSemantic, Similarity: .97}, rag.Usage{TotalSeconds: 3, InputTokens: 100, OutputTokens: 20}
	m.Asked(t.Context(), rag.Request{Method: rag.BM25}, &a, nil)
	want(t, m, map[string]float64{
		`retrieved_docs_count`: 2, `retrieved_docs_sum`: 4, `retrieval_top_score_sum`: .84,
		`citations_total{verdict="supported"}`: 4, `citations_total{verdict="unsupported"}`: 2, `citations_total{verdict="quoted"}`: 0,
		`retrieval_seconds_count{stage="embed"}`: 1, `retrieval_seconds_sum{stage="embed"}`: .012, // a hit has none
		`semcache_saved_seconds_total`: 3, `semcache_saved_tokens_total`: 120,
		`queries_total{method="bm25",outcome="answered",provider="ollama"}`: 2,
	})
}

func TestTheCacheIsReadAtTheScrape(t *testing.T) {
	p := quiet()
	p.Cache = func() rag.CacheStats {
		return rag.CacheStats{
			Size: 3, MaxSize: 12, Bytes: 4096, Evicted: 1, Outgrown: 2, Expired: 3, Changed: 4, Cleared: 5,
			Nearest: rag.Spread{Count: 4, Sum: 3.25, Buckets: map[float64]uint64{.5: 1, 1: 4}},
		}
	}
	want(t, New(p, "", "", false), map[string]float64{
		`semcache_size`: 3, `semcache_fill_ratio`: .25, `semcache_bytes`: 4096,
		`semcache_evictions_total{reason="size"}`: 1, `semcache_evictions_total{reason="bytes"}`: 2, `semcache_evictions_total{reason="expired"}`: 3,
		`semcache_evictions_total{reason="changed"}`: 4, `semcache_evictions_total{reason="cleared"}`: 5,
		`semcache_similarity_count`: 4, `semcache_similarity_sum`: 3.25, `semcache_similarity_bucket{le="0.5"}`: 1, `semcache_similarity_bucket{le="1"}`: 4,
	})
}

func TestWhatBecomesOfAModelCallIsCountedOnce(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave()
	text, end := rag.Chunk{Text: "x"}, rag.Chunk{Done: true, Usage: rag.Usage{InputTokens: 10, OutputTokens: 4, OutputSeconds: 2, LoadSeconds: 310}}
	for _, c := range []struct {
		name    string
		model   writes
		ctx     context.Context
		leaves  bool
		outcome string
	}{
		{"whole", writes{chunks: []rag.Chunk{text, text, end}}, t.Context(), toTheEnd, "success"},
		{"reader leaves in mid-stream", writes{chunks: []rag.Chunk{text, end}}, t.Context(), onePiece, "abandoned"},
		{"client left", writes{chunks: []rag.Chunk{text}, err: context.Canceled}, left, toTheEnd, "abandoned"},
		{"fault", writes{err: errors.New("boom")}, t.Context(), toTheEnd, "error"},
		{"fault, and the reader leaves", writes{err: errors.New("boom")}, t.Context(), onePiece, "error"},
		{"no end", writes{chunks: []rag.Chunk{text}}, t.Context(), toTheEnd, "error"},
	} {
		m := fresh()
		read(m.Generator(c.model).Generate(c.ctx, rag.Prompt{Model: "m"}), c.leaves)
		for _, outcome := range []string{"success", "error", "abandoned"} {
			expected := 0.0
			if outcome == c.outcome {
				expected = 1
			}
			if got := scrape(t, m)[fmt.Sprintf(`llm_requests_total{model="m",operation="chat",outcome="%s"}`, outcome)]; got != expected {
				t.Errorf("%s: %s is %g, want %g", c.name, outcome, got, expected)
			}
		}
		if c.outcome == "success" {
			want(t, m, map[string]float64{
				`llm_tokens_total{model="m",type="input"}`: 10, `llm_tokens_total{model="m",type="output"}`: 4, `llm_time_per_output_token_seconds_sum{model="m"}`: .5,
				`llm_time_to_first_token_seconds_count{model="m"}`: 1, `llm_response_seconds_count{model="m"}`: 1,
				`llm_load_duration_seconds_bucket{model="m",le="300"}`: 0, `llm_load_duration_seconds_bucket{model="m",le="600"}`: 1,
			})
		}
	}
}

// A counter panics when something negative is added to it, and stays NaN for ever once NaN is.
func TestFiguresFromOutsideCannotBreakTheRecorder(t *testing.T) {
	m := fresh()
	bad := rag.Usage{InputTokens: math.MinInt, OutputTokens: -5, TotalSeconds: math.Inf(-1), OutputSeconds: math.NaN(), LoadSeconds: -1}
	drain(m.Generator(writes{chunks: []rag.Chunk{{Done: true, Usage: bad}}}).Generate(t.Context(), rag.Prompt{Model: "m"}))
	bad.TotalSeconds = math.NaN()
	m.Asked(t.Context(), rag.Request{Method: rag.Vector}, &rag.Answer{Usage: bad, Cache: rag.CacheInfo{Status: rag.CacheExact}}, nil)
	want(t, m, map[string]float64{`llm_tokens_total{model="m",type="output"}`: 0, `semcache_saved_seconds_total`: 0, `semcache_saved_tokens_total`: 0})
}

func TestRoutesAreCountedByTheStatusThatTheClientGets(t *testing.T) {
	m := fresh()
	for _, c := range []struct {
		code    string
		handler http.HandlerFunc
	}{
		{"200", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }},
		{"404", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			w.WriteHeader(http.StatusOK)
		}},
		{"503", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
		{"499", func(http.ResponseWriter, *http.Request) {}},
		{"500", func(http.ResponseWriter, *http.Request) { panic("boom") }},
		{"206", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPartialContent); panic("boom") }},
	} {
		func() {
			defer func() { _ = recover() }()
			m.Route("POST /"+c.code, c.handler).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
		}()
		want(t, m, map[string]float64{
			fmt.Sprintf(`http_requests_total{code="%s",method="POST",route="/%s"}`, c.code, c.code): 1,
			fmt.Sprintf(`http_request_duration_seconds_count{route="/%s"}`, c.code):                 1,
			`http_requests_in_flight`: 0,
		})
	}
}

func TestTheFirstByteIsTimedWhereAnswersStream(t *testing.T) {
	m := fresh()
	for _, route := range []string{"POST /api/stream_query", "POST /api/query", "gateway_chat"} {
		m.Route(route, http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
	}
	m.Route("gateway_lists", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
	want(t, m, map[string]float64{
		`http_time_to_first_byte_seconds_count{route="/api/stream_query"}`: 1, `http_time_to_first_byte_seconds_count{route="gateway_chat"}`: 1,
		`http_time_to_first_byte_seconds_count{route="gateway_lists"}`: 0,
	})
	if _, ok := scrape(t, m)[`http_time_to_first_byte_seconds_count{route="/api/query"}`]; ok {
		t.Error("a route that does not stream has a first byte of its own")
	}
}

func TestTheSidesOfASearchAndOfTheCacheAreTimed(t *testing.T) {
	m := fresh()
	for method, err := range map[rag.Method]error{rag.Hybrid: nil, rag.Vector: nil, rag.BM25: nil, "": errors.New("no such base")} {
		found := rag.Retrieval{Method: method, Times: rag.RetrievalTimes{Words: time.Millisecond, Vectors: time.Second, Fusion: time.Microsecond}}
		got, gotErr := m.Retriever(retrieves{found, err}).Retrieve(t.Context(), rag.Query{})
		if got.Method != method || gotErr != err {
			t.Errorf("%s: %v %v", method, got, gotErr)
		}
	}
	cache := m.Recaller(remembers{})
	_, _ = cache.RecallExact(rag.CacheKey{})
	_, _ = cache.RecallNear(rag.CacheKey{}, []float32{1})
	_, _ = cache.RecallNear(rag.CacheKey{}, nil)
	want(t, m, map[string]float64{
		`retrieval_seconds_count{stage="bm25"}`: 2, `retrieval_seconds_count{stage="vector"}`: 2, `retrieval_seconds_count{stage="fuse"}`: 1,
		`retrieval_seconds_sum{stage="bm25"}`: .002, `retrieval_seconds_sum{stage="vector"}`: 2,
		`semcache_lookup_duration_seconds_count{type="exact"}`: 1, `semcache_lookup_duration_seconds_count{type="semantic"}`: 1,
	})
}

// retrieves finds the same for every query.
type retrieves struct {
	found rag.Retrieval
	err   error
}

func (r retrieves) Retrieve(context.Context, rag.Query) (rag.Retrieval, error) { return r.found, r.err }

// remembers knows no answer.
type remembers struct{ rag.Recaller }

func (remembers) RecallExact(rag.CacheKey) (rag.Recalled, bool) { return rag.Recalled{}, false }

func (remembers) RecallNear(rag.CacheKey, []float32) (rag.Recalled, bool) {
	return rag.Recalled{}, false
}

func TestRequestsInFlightAreThoseBeingAnswered(t *testing.T) {
	m := fresh()
	m.Route("GET /x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		want(t, m, map[string]float64{`http_requests_in_flight`: 1})
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil))
	want(t, m, map[string]float64{`http_requests_in_flight`: 0})
}

func TestAWrappedAnswerCanStillBeFlushed(t *testing.T) {
	w := httptest.NewRecorder()
	fresh().Route("GET /x", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
	if !w.Flushed {
		t.Error("nothing was flushed")
	}
}

func TestTwentyNamesBecomeLabelsAndTheRestIsOther(t *testing.T) {
	m := fresh()
	var wait sync.WaitGroup
	for i := range 60 {
		wait.Go(func() {
			drain(m.Generator(writes{chunks: []rag.Chunk{{Done: true}}}).Generate(context.Background(), rag.Prompt{Model: fmt.Sprintf("model-%02d", i)}))
		})
	}
	wait.Wait()
	models, calls := 0, 0.0
	for series, v := range scrape(t, m) {
		if strings.HasPrefix(series, "llm_requests_total") && strings.Contains(series, "success") {
			models++
			calls += v
		}
	}
	if models != 21 || calls != 60 {
		t.Errorf("%d label values for %g calls, want 20 and other for 60", models, calls)
	}
	want(t, m, map[string]float64{`llm_requests_total{model="other",operation="chat",outcome="success"}`: 40})
}

func TestKnowledgeBasesBeyondTwentyAreAddedUp(t *testing.T) {
	p := quiet()
	p.Documents = func(context.Context) (map[string]int, error) {
		out := map[string]int{}
		for i := range 30 {
			out[fmt.Sprintf("kb%02d", i)] = i
		}
		return out, nil
	}
	m := New(p, "", "", false)
	want(t, m, map[string]float64{`database_documents{db="kb00"}`: 0, `database_documents{db="kb19"}`: 19, `database_documents{db="other"}`: 245, `scrape_store_error`: 0})
	if _, ok := scrape(t, m)[`database_documents{db="kb20"}`]; ok {
		t.Error("the 21st knowledge base has a label of its own")
	}
}

func TestAStoreThatFailsCostsAScrapeOnlyItsOwnFigures(t *testing.T) {
	p := quiet()
	p.Documents = func(context.Context) (map[string]int, error) { return nil, errors.New("locked") }
	want(t, New(p, "", "", false), map[string]float64{`scrape_store_error`: 1, `semcache_size`: 0, `ollama_healthy`: 1})
}

func TestHostsHaveLabelsOfTheirOwn(t *testing.T) {
	p := quiet()
	p.Hosts = func() []upstream.HostStats {
		a := upstream.HostStats{Label: "ollama_client", Requests: 7, PoolConnections: 10, PoolMaxSize: 20, Retries: []upstream.Count{{Label: "reset", Count: 2}}, Failovers: 1}
		a.Breaker.State, a.Breaker.LastChange = breaker.Open, time.Unix(1_800_000_000, 5e8)
		b := upstream.HostStats{Label: "ollama_client/gpu2:11434", Requests: 3, Retries: []upstream.Count{{Label: "reset", Count: 3}, {Label: "connect", Count: 1}}}
		return []upstream.HostStats{a, b}
	}
	want(t, New(p, "", "", false), map[string]float64{
		`circuit_breaker_state{breaker_name="ollama_client"}`:                       1,
		`circuit_breaker_state{breaker_name="ollama_client/gpu2:11434"}`:            0,
		`circuit_breaker_last_state_change_timestamp{breaker_name="ollama_client"}`: 1_800_000_000.5,
		`connection_pool_requests_total{client_name="ollama_client"}`:               7,
		`connection_pool_requests_total{client_name="ollama_client/gpu2:11434"}`:    3,
		`connection_pool_size{client_name="ollama_client",pool_type="maxsize"}`:     20,
		`retries_total{reason="reset"}`:                                             5, `retries_total{reason="connect"}`: 1, `failovers_total`: 1, `ollama_healthy`: 1,
	})
}

func TestTheHealthOfNoHostIsZero(t *testing.T) {
	p := quiet()
	p.Hosts = func() []upstream.HostStats {
		h := upstream.HostStats{Label: "ollama_client"}
		h.Breaker.State = breaker.Open
		return []upstream.HostStats{h}
	}
	want(t, New(p, "", "", false), map[string]float64{`ollama_healthy`: 0})
}

// A model may have to be loaded from a slow disk first: answers have buckets past that time.
func TestBucketsOfAnswersReachPastAColdModelLoad(t *testing.T) {
	for _, list := range [][]float64{answerBuckets, firstBuckets, stageBuckets, tokenBuckets, lookupBuckets, loadBuckets, byteBuckets, routeBuckets} {
		if !slices.IsSorted(list) {
			t.Errorf("buckets %v are not in order", list)
		}
	}
	m := fresh()
	m.Route("gateway_x", http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil))
	have := scrape(t, m)
	for _, series := range []string{`http_request_duration_seconds_bucket{route="gateway_x",le="600"}`, `http_time_to_first_byte_seconds_bucket{route="gateway_x",le="600"}`, `llm_response_seconds_bucket{model="other",le="600"}`, `llm_time_to_first_token_seconds_bucket{model="other",le="600"}`, `llm_load_duration_seconds_bucket{model="other",le="600"}`} {
		if _, ok := have[series]; !ok {
			t.Errorf("%s is not there", series)
		}
	}
}

// Whatever clients send: the series that may come on top are one a model up to twenty, and one a status.
func TestNothingThatAClientSendsBecomesALabel(t *testing.T) {
	m := fresh()
	route := m.Route("GET /x", http.NotFoundHandler())
	before := slices.Collect(maps.Keys(scrape(t, m)))
	for i := range 1000 {
		strange := fmt.Sprintf("evil-%d\xff\"\n", i)
		req := httptest.NewRequest(http.MethodGet, "/x", nil)
		req.Method, req.URL.Path = strange, strange
		route.ServeHTTP(httptest.NewRecorder(), req)
		m.Asked(t.Context(), rag.Request{Method: rag.Method(strange), DB: strange, Model: strange, Provider: strange}, nil, rag.Errorf(rag.Kind(strange), strange, "%s", strange))
		m.Asked(t.Context(), rag.Request{Method: rag.Method(strange)}, &rag.Answer{Method: rag.Method(strange), DoneReason: strange, Model: strange, Citations: []rag.Citation{{Verdict: rag.Verdict(strange)}}}, nil)
	}
	want(t, m, map[string]float64{`queries_total{method="other",outcome="error",provider="ollama"}`: 1000, `query_errors_total{error_type="internal"}`: 1000})
	for series := range scrape(t, m) {
		if strings.Contains(series, "evil") {
			t.Fatalf("%s came from a client", series)
		}
		if !slices.Contains(before, series) && series != `http_requests_total{code="404",method="GET",route="/x"}` {
			t.Errorf("%s is new", series)
		}
	}
}

// Everything configured and everything used: four hosts, a hundred models and knowledge bases, every route with its usual codes.
func TestSeriesStayBelowTheirBudget(t *testing.T) {
	if n := len(scrape(t, largest(t))); n >= 1500 {
		t.Errorf("%d series", n)
	} else {
		t.Log(n, "series")
	}
}

// routesOfOurs is how many paths the native API has, "other" included. internal/server holds its own test to it.
const routesOfOurs = 35

// largest are the metrics of the largest configuration: four hosts with 30 models each, 100 knowledge bases, 100 chat models, every
// route with three statuses.
func largest(t testing.TB) *Metrics {
	t.Helper()
	p := quiet()
	p.Hosts = func() []upstream.HostStats {
		out := make([]upstream.HostStats, 4)
		for i := range out {
			h := &out[i]
			h.Label = fmt.Sprintf("ollama_client/host%d", i)
			h.Dials, h.Outcomes, h.Retries = make([]upstream.Count, 4), make([]upstream.Count, 3), make([]upstream.Count, 6)
			h.Breaker.Transitions = make([]breaker.Transition, 5)
			for j := range h.Breaker.Transitions {
				h.Breaker.Transitions[j].From, h.Breaker.Transitions[j].To = breaker.State(j/2), breaker.State(j%2)
			}
			for _, list := range [][]upstream.Count{h.Dials, h.Outcomes, h.Retries} {
				for j := range list {
					list[j].Label = strconv.Itoa(j)
				}
			}
			for j := range 30 {
				model := upstream.ModelStats{Name: strconv.Itoa(j), Breaker: h.Breaker}
				model.Breaker.Name = fmt.Sprintf("%s#%d", h.Label, j)
				h.Waits.Buckets = map[float64]uint64{1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0}
				h.Models, h.Loaded = append(h.Models, model), append(h.Loaded, upstream.Loaded{Name: model.Name})
			}
		}
		return out
	}
	p.Queue = func() (q upstream.QueueStats) {
		bounds := map[float64]uint64{}
		for i := range 8 {
			bounds[float64(i)] = 0
		}
		q.Waits = map[string]upstream.Waits{}
		for i := range 3 {
			q.Waiting, q.Rejected = append(q.Waiting, upstream.Count{Label: strconv.Itoa(i)}), append(q.Rejected, upstream.Count{Label: strconv.Itoa(i)})
			q.Waits[strconv.Itoa(i)] = upstream.Waits{Buckets: bounds}
		}
		return q
	}
	p.Cache = func() (s rag.CacheStats) {
		s.Guarded = map[string]uint64{}
		for i := range 8 {
			s.Guarded[strconv.Itoa(i)] = 0
		}
		return s
	}
	p.Ingest = func() (s ingest.Stats) {
		s.Stages = map[string]ingest.Stage{}
		for _, name := range []string{ingest.StageRead, ingest.StageCut, ingest.StageEmbed, ingest.StageStore} {
			s.Stages[name] = ingest.Stage{Buckets: map[float64]uint64{1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0}}
		}
		return s
	}
	p.Documents = func(context.Context) (map[string]int, error) {
		out := map[string]int{}
		for i := range 100 {
			out[strconv.Itoa(i)] = i
		}
		return out, nil
	}
	m := New(p, "", "", false)
	patterns := []string{"gateway_chat", "gateway_embed", "gateway_other", "POST /api/stream_query"}
	for _, route := range watching {
		patterns = append(patterns, "GET "+route)
	}
	for route := range routesOfOurs - len(watching) {
		patterns = append(patterns, fmt.Sprintf("GET /%d", route))
	}
	for _, pattern := range patterns {
		for _, code := range []int{http.StatusOK, http.StatusBadRequest, http.StatusNotFound} {
			h := m.Route(pattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}
	}
	for i := range 100 { // in an encoding that no label may have: names come from the model server
		drain(m.Generator(writes{chunks: []rag.Chunk{{Text: "x"}, {Done: true}}}).Generate(context.Background(), rag.Prompt{Model: fmt.Sprintf("\xff%d", i)}))
	}
	return m
}

func TestModelsOfHostsShareTenNamesTheRestIsOther(t *testing.T) {
	p := quiet()
	p.Hosts = func() []upstream.HostStats {
		hosts := []upstream.HostStats{{Label: "a", Hedges: 5, HedgesWon: 3, Loaded: []upstream.Loaded{{Name: "M-0", VRAM: 7}, {Name: "m-29", VRAM: 9}}}, {Label: "b", Down: true, Version: "0.17.4"}}
		for i := range hosts {
			for m := range 30 {
				name := fmt.Sprintf("m-%d", m)
				hosts[i].Models = append(hosts[i].Models, upstream.ModelStats{Name: name, Limit: 2, Breaker: breaker.Stats{Name: hosts[i].Label + "#" + name, Failures: uint64(m)}})
			}
		}
		return hosts
	}
	p.Queue = func() upstream.QueueStats {
		return upstream.QueueStats{
			Waiting: []upstream.Count{{Label: "chat", Count: 4}}, Rejected: []upstream.Count{{Label: "full", Count: 6}},
			Waits: map[string]upstream.Waits{"chat": {Count: 3, Seconds: 1.5, Buckets: map[float64]uint64{1: 2}}},
		}
	}
	m := New(p, "", "", false)
	want(t, m, map[string]float64{
		`circuit_breaker_calls_total{breaker_name="a#m-9",status="failure"}`: 9,
		`backend_model_places{backend="a",model="m-9"}`:                      2,
		`backend_model_places{backend="a",model="other"}`:                    40,
		`backend_model_places{backend="b",model="other"}`:                    60,
		`backend_model_vram_bytes{backend="a",model="m-0"}`:                  7,
		`backend_model_vram_bytes{backend="a",model="other"}`:                9,
		`backend_up{backend="a"}`:                                            1,
		`backend_up{backend="b"}`:                                            0,
		`backend_info{backend="a",version="unknown"}`:                        1,
		`backend_info{backend="b",version="0.17.4"}`:                         1,
		`backend_loaded_models{backend="a"}`:                                 2,
		`hedges_total{outcome="won"}`:                                        3,
		`hedges_total{outcome="lost"}`:                                       2,
		`queue_depth{class="chat"}`:                                          4,
		`queue_rejected_total{reason="full"}`:                                6,
		`queue_wait_seconds_count{class="chat"}`:                             3,
		`queue_wait_seconds_bucket{class="chat",le="1"}`:                     2,
	})
	for series := range scrape(t, m) {
		if strings.Contains(series, `"a#m-10"`) || strings.Contains(series, `"b#`) {
			t.Errorf("%s is shown", series)
		}
	}
}

func TestOurOwnTimeIsTheWholeWithoutWhatWasWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := fresh()
		ask := func(pattern string, own, away time.Duration) {
			info := &rag.RequestInfo{}
			req := httptest.NewRequestWithContext(rag.WithRequest(t.Context(), info), http.MethodPost, "/", nil)
			m.Route(pattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(own + away)
				info.AddAway(away)
				w.WriteHeader(http.StatusOK)
			})).ServeHTTP(httptest.NewRecorder(), req)
		}
		ask("gateway_chat", 200*time.Microsecond, 10*time.Second)
		ask("gateway_chat", 4*time.Millisecond, time.Second)
		ask("POST /api/query", time.Second, 0)
		want(t, m, map[string]float64{
			`gateway_overhead_seconds_count`: 2, `gateway_overhead_seconds_bucket{le="0.00025"}`: 1, `gateway_overhead_seconds_bucket{le="0.0001"}`: 0,
			`gateway_overhead_seconds_bucket{le="0.005"}`: 2, `gateway_overhead_seconds_bucket{le="0.0025"}`: 1,
		})
	})
}

func TestAnswersThatBreakOffAreCountedByWhoBrokeThemOff(t *testing.T) {
	m := fresh()
	of := func(path string, h func(http.ResponseWriter, *rag.RequestInfo, context.CancelFunc)) {
		defer func() { _ = recover() }()
		info := &rag.RequestInfo{}
		ctx, cancel := context.WithCancel(rag.WithRequest(t.Context(), info))
		defer cancel()
		m.Route("GET "+path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { h(w, info, cancel) })).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	}
	ask := func(h func(http.ResponseWriter, *rag.RequestInfo, context.CancelFunc)) { of("/x", h) }
	begun := func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }
	ask(func(w http.ResponseWriter, _ *rag.RequestInfo, _ context.CancelFunc) { begun(w) })
	ask(func(_ http.ResponseWriter, _ *rag.RequestInfo, left context.CancelFunc) { left() }) // before it began
	ask(func(w http.ResponseWriter, _ *rag.RequestInfo, left context.CancelFunc) { begun(w); left() })
	of("/metrics", func(w http.ResponseWriter, _ *rag.RequestInfo, left context.CancelFunc) { begun(w); left() }) // curl | head
	ask(func(w http.ResponseWriter, info *rag.RequestInfo, _ context.CancelFunc) { begun(w); info.Broken = true })
	ask(func(w http.ResponseWriter, _ *rag.RequestInfo, _ context.CancelFunc) {
		begun(w)
		panic(http.ErrAbortHandler)
	})
	want(t, m, map[string]float64{`http_streams_aborted_total{side="client"}`: 1, `http_streams_aborted_total{side="upstream"}`: 2})
}

func TestARequestThatIsTracedIsAnExemplar(t *testing.T) {
	m := fresh()
	for _, id := range []string{"", "4bf92f3577b34da6a3ce929d0e0e4736"} {
		req := httptest.NewRequestWithContext(rag.WithRequest(t.Context(), &rag.RequestInfo{Trace: id}), http.MethodGet, "/x", nil)
		m.Route("GET /x", http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), req)
	}
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, req)
	if n := strings.Count(w.Body.String(), `# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"}`); n != 1 || !strings.HasSuffix(w.Body.String(), "# EOF\n") {
		t.Errorf("%d exemplars", n)
	}
}

func TestNativeHistogramsStandBesideTheClassicOnes(t *testing.T) {
	for _, native := range []bool{false, true} {
		m := New(quiet(), "", "", native)
		m.Route("GET /x", http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil))
		families, err := m.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "ollama_rag_http_request_duration_seconds" {
				if h := f.Metric[0].Histogram; (h.Schema != nil) != native || len(h.Bucket) != len(routeBuckets) {
					t.Errorf("native %v: %v", native, h)
				}
			}
		}
	}
}

func TestTheLivePageDoesNotCallAClientsFaultAFailure(t *testing.T) {
	m := fresh()
	for _, err := range []error{rag.Errorf(rag.NotFound, "", "no such base"), rag.Errorf(rag.OutOfBounds, "", "k"), rag.Errorf(rag.Unavailable, "", "gone"), errors.New("boom")} {
		m.Asked(t.Context(), rag.Request{}, nil, err)
	}
	if got := m.Flow().Questions["error"]; got != 2 {
		t.Errorf("%g failures are drawn", got)
	}
	want(t, m, map[string]float64{`queries_total{method="other",outcome="error",provider="ollama"}`: 4})
}
