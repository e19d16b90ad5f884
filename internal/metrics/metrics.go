package metrics

import (
	"context"
	"iter"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Buckets in seconds. Answers reach past a cold load of a large model; our own stages are milliseconds.
var (
	answerBuckets = []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	stageBuckets  = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	tokenBuckets  = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
)

// Metrics holds the instruments of what flows; Parts holds what is read at a scrape.
type Metrics struct {
	registry *prometheus.Registry

	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	firstByte *prometheus.HistogramVec
	inFlight  prometheus.Gauge

	queries   *prometheus.CounterVec
	errors    *prometheus.CounterVec
	retrieval map[string]prometheus.Observer
	found     prometheus.Observer
	topScore  prometheus.Observer
	cited     map[rag.Verdict]prometheus.Counter
	refused   map[string]prometheus.Counter
	similar   prometheus.Observer
	savedTime prometheus.Counter
	savedOut  prometheus.Counter

	models *names[*model]
}

// model holds one chat model's instruments.
type model struct {
	ok, failed, left prometheus.Counter
	response, first  prometheus.Observer
	perToken, load   prometheus.Observer
	input, output    prometheus.Counter
}

// New makes the instruments and registers everything, every label set that can occur at 0.
func New(parts Parts, version, revision string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(parts, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	info := m.gaugeVec("app_info", "Build of this process; always 1.", "version", "revision", "goversion")
	info.WithLabelValues(version, revision, runtime.Version()).Set(1)
	m.http()
	m.rag()
	m.llm()
	return m
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: nil})
}

func (m *Metrics) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) http() {
	m.requests = m.counterVec("http_requests_total", "HTTP requests, by route.", "route", "method", "code")
	m.duration = m.histogramVec("http_request_duration_seconds", "Time from request to the end of the answer.", answerBuckets, "route")
	m.firstByte = m.histogramVec("http_time_to_first_byte_seconds", "Time from request to the first byte of the answer.", answerBuckets, "route")
	m.inFlight = m.gaugeVec("http_requests_in_flight", "HTTP requests that are being answered.").WithLabelValues()
}

func (m *Metrics) rag() {
	m.queries = m.counterVec("queries_total", "Questions, by method of retrieval, provider and outcome.", "method", "provider", "outcome")
	for _, method := range []rag.Method{rag.Hybrid, rag.Vector, rag.BM25} {
		for _, outcome := range []string{"answered", "degraded", "refused", "error", "abandoned"} {
			m.queries.WithLabelValues(string(method), "ollama", outcome)
		}
	}
	m.errors = m.counterVec("query_errors_total", "Questions that failed, by kind of fault.", "error_type")
	for _, kind := range []rag.Kind{rag.NotFound, rag.OutOfBounds, rag.BadUpstream, rag.Unavailable, rag.Overloaded, rag.Timeout, rag.Internal} {
		m.errors.WithLabelValues(string(kind))
	}
	stages := m.histogramVec("retrieval_seconds", "Time of the stages before the model: embed the question, find passages.", stageBuckets, "stage")
	m.retrieval = map[string]prometheus.Observer{"embed": stages.WithLabelValues("embed"), "retrieve": stages.WithLabelValues("retrieve")}
	m.found = m.histogramVec("retrieved_docs", "Passages shown for a question.", []float64{0, 1, 2, 3, 5, 10, 20, 50}).WithLabelValues()
	m.topScore = m.histogramVec("retrieval_top_score", "Cosine of the best passage that the vector side found.", []float64{.1, .2, .3, .4, .5, .6, .7, .8, .9, 1}).WithLabelValues()
	verdicts := m.counterVec("citations_total", "Citations, by how they hold up against the passage they name.", "verdict")
	m.cited = map[rag.Verdict]prometheus.Counter{}
	for _, v := range []rag.Verdict{rag.Supported, rag.Unsupported, rag.Inferred, rag.Quoted} {
		m.cited[v] = verdicts.WithLabelValues(string(v))
	}
	refusals := m.counterVec("refusals_total", "Questions that no passage answers, by reason.", "reason")
	m.refused = map[string]prometheus.Counter{"no_passages": refusals.WithLabelValues("no_passages")}
	m.similar = m.histogramVec("semcache_similarity", "Similarity of the question that an answer was served for from the cache.", []float64{.9, .92, .94, .95, .96, .97, .98, .99, .995, 1}).WithLabelValues()
	m.savedTime = m.counterVec("semcache_saved_seconds_total", "Model time that served answers had cost when they were made.").WithLabelValues()
	m.savedOut = m.counterVec("semcache_saved_tokens_total", "Tokens that served answers had cost when they were made.").WithLabelValues()
}

func (m *Metrics) llm() {
	calls := m.counterVec("llm_requests_total", "Calls of chat models, by outcome.", "model", "operation", "outcome")
	response := m.histogramVec("llm_response_seconds", "Time of a whole answer of a chat model.", answerBuckets, "model")
	first := m.histogramVec("llm_time_to_first_token_seconds", "Time from the call to the first piece of text.", answerBuckets, "model")
	perToken := m.histogramVec("llm_time_per_output_token_seconds", "Time per token written, by the model server's own figures.", tokenBuckets, "model")
	load := m.histogramVec("llm_load_duration_seconds", "Time a call waited for its model to be loaded, by the model server's own figures.", answerBuckets, "model")
	tokens := m.counterVec("llm_tokens_total", "Tokens read and written, by the model server's own figures.", "model", "type")
	m.models = newNames(func(name string) *model {
		return &model{
			ok: calls.WithLabelValues(name, "chat", "success"), failed: calls.WithLabelValues(name, "chat", "error"), left: calls.WithLabelValues(name, "chat", "abandoned"),
			response: response.WithLabelValues(name), first: first.WithLabelValues(name), perToken: perToken.WithLabelValues(name), load: load.WithLabelValues(name),
			input: tokens.WithLabelValues(name, "input"), output: tokens.WithLabelValues(name, "output"),
		}
	})
}

// Route counts and times the requests of one route, whose pattern is "METHOD /path" or a name.
func (m *Metrics) Route(pattern string, next http.Handler) http.Handler {
	method, route, ok := strings.Cut(pattern, " ")
	if !ok {
		method, route = otherName, pattern
	}
	r := &routeMetrics{route: route, method: method, requests: m.requests, duration: m.duration.WithLabelValues(route), firstByte: m.firstByte.WithLabelValues(route)}
	r.code(http.StatusOK)
	pool := sync.Pool{New: func() any { return new(watchedWriter) }}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		m.inFlight.Inc()
		ww := pool.Get().(*watchedWriter)
		*ww = watchedWriter{ResponseWriter: w, start: time.Now()}
		defer func() {
			m.inFlight.Dec()
			r.observe(ww)
			ww.ResponseWriter = nil
			pool.Put(ww)
		}()
		next.ServeHTTP(ww, req)
	})
}

type routeMetrics struct {
	route, method       string
	requests            *prometheus.CounterVec
	duration, firstByte prometheus.Observer
	codes               [600]atomic.Pointer[prometheus.Counter]
}

func (r *routeMetrics) code(status int) prometheus.Counter {
	if status < 100 || status >= len(r.codes) {
		status = problem.StatusClientGone
	}
	if c := r.codes[status].Load(); c != nil {
		return *c
	}
	c := r.requests.WithLabelValues(r.route, r.method, statusText(status))
	r.codes[status].Store(&c)
	return c
}

func statusText(status int) string {
	return string([]byte{byte('0' + status/100), byte('0' + status/10%10), byte('0' + status%10)})
}

func (r *routeMetrics) observe(w *watchedWriter) {
	r.code(w.status).Inc()
	r.duration.Observe(time.Since(w.start).Seconds())
	if w.status != 0 {
		r.firstByte.Observe(w.first.Seconds())
	}
}

// watchedWriter notes the status of an answer and the time of its first byte.
type watchedWriter struct {
	http.ResponseWriter
	start  time.Time
	first  time.Duration
	status int
}

func (w *watchedWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.first = status, time.Since(w.start)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status, w.first = http.StatusOK, time.Since(w.start)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach Flush.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Asker is what Engine wraps.
type Asker interface {
	Ask(ctx context.Context, req rag.Request) iter.Seq2[rag.Event, error]
	Search(ctx context.Context, req rag.Request) (rag.Found, error)
}

// Engine counts questions and what became of them.
func (m *Metrics) Engine(next Asker) Asker { return engine{next, m} }

type engine struct {
	Asker
	m *Metrics
}

func (e engine) Ask(ctx context.Context, req rag.Request) iter.Seq2[rag.Event, error] {
	return func(yield func(rag.Event, error) bool) {
		outcome := "abandoned"
		defer func() { e.m.queries.WithLabelValues(string(req.Method), "ollama", outcome).Inc() }()
		for ev, err := range e.Asker.Ask(ctx, req) {
			switch {
			case err != nil && ctx.Err() == nil:
				outcome = "error"
				e.m.errors.WithLabelValues(string(rag.KindOf(err))).Inc()
			case err == nil && ev.Kind == rag.EventDone:
				outcome = e.m.answered(ev.Answer)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

func (m *Metrics) answered(a *rag.Answer) string {
	m.found.Observe(float64(len(a.Hits)))
	for _, h := range a.Hits {
		if h.Cosine != nil {
			m.topScore.Observe(*h.Cosine)
			break
		}
	}
	for _, c := range a.Citations {
		if counter := m.cited[c.Verdict]; counter != nil {
			counter.Inc()
		}
	}
	if a.Cache.Status == rag.CacheExact || a.Cache.Status == rag.CacheSemantic {
		m.similar.Observe(a.Cache.Similarity)
		m.savedTime.Add(a.Usage.TotalSeconds)
		m.savedOut.Add(float64(a.Usage.InputTokens + a.Usage.OutputTokens))
		return "answered"
	}
	m.retrieval["embed"].Observe(a.Timings.Embed)
	m.retrieval["retrieve"].Observe(a.Timings.Retrieve)
	if c := m.refused[a.DoneReason]; c != nil {
		c.Inc()
		return "refused"
	}
	if a.Degraded {
		return "degraded"
	}
	return "answered"
}

// Generator counts and times the calls of chat models.
func (m *Metrics) Generator(next rag.Generator) rag.Generator { return generator{next, m} }

type generator struct {
	next rag.Generator
	m    *Metrics
}

func (g generator) Generate(ctx context.Context, p rag.Prompt) iter.Seq2[rag.Chunk, error] {
	return func(yield func(rag.Chunk, error) bool) {
		of := g.m.models.get(p.Model)
		start, text := time.Now(), false
		outcome := of.left
		defer func() { outcome.Inc() }()
		for chunk, err := range g.next.Generate(ctx, p) {
			if err != nil && ctx.Err() == nil {
				outcome = of.failed
			}
			if chunk.Text != "" && !text {
				text = true
				of.first.Observe(time.Since(start).Seconds())
			}
			if chunk.Done {
				outcome = of.ok
				of.response.Observe(time.Since(start).Seconds())
				of.usage(chunk.Usage)
			}
			if !yield(chunk, err) {
				return
			}
		}
	}
}

func (m *model) usage(u rag.Usage) {
	m.input.Add(float64(u.InputTokens))
	m.output.Add(float64(u.OutputTokens))
	m.load.Observe(u.LoadSeconds)
	if u.OutputTokens > 0 {
		m.perToken.Observe(u.OutputSeconds / float64(u.OutputTokens))
	}
}
