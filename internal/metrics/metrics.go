package metrics

import (
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Buckets in seconds. Answers reach past a cold load of a large model; our own stages are milliseconds.
var (
	routeBuckets  = []float64{.01, .1, .5, 2.5, 10, 60, 600}
	byteBuckets   = []float64{.1, .5, 1, 2.5, 5, 10, 30, 120, 600}
	answerBuckets = []float64{.1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	firstBuckets  = []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	stageBuckets  = []float64{.0005, .001, .0025, .005, .01, .025, .1, .5, 2.5, 10}
	lookupBuckets = []float64{.00001, .0001, .001, .01, .1}
	loadBuckets   = []float64{.1, 1, 5, 15, 60, 300, 600}
	ownBuckets    = []float64{.0001, .00025, .0005, .001, .0025, .005, .01}
	tokenBuckets  = []float64{.0025, .01, .025, .05, .1, .25, .5, 1}
)

// Of native histograms: how much wider a bucket is than the one below, and how many there are at most.
const (
	nativeFactor  = 1.1
	nativeBuckets = 100
)

// Metrics holds the instruments of what flows; Parts holds what is read at a scrape.
type Metrics struct {
	registry *prometheus.Registry
	native   bool

	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	firstByte *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	overhead  prometheus.Observer

	leftByClient, leftByUpstream prometheus.Counter

	questions, tokens *prometheus.CounterVec
	// What the live page draws, finer than what is exposed: a bucket more there is one for each route and model.
	firstWord, wholeAnswer prometheus.Histogram

	queries   map[asking]*outcomes
	errors    map[rag.Kind]prometheus.Counter
	embed     prometheus.Observer
	byVector  prometheus.Observer
	byWords   prometheus.Observer
	fuse      prometheus.Observer
	lookExact prometheus.Observer
	lookNear  prometheus.Observer
	found     prometheus.Observer
	topScore  prometheus.Observer
	cited     map[rag.Verdict]prometheus.Counter
	refused   map[string]prometheus.Counter
	savedTime prometheus.Counter
	savedOut  prometheus.Counter

	models *names[*model]
}

// model holds one chat model's instruments.
type model struct {
	*times
	ok, failed, left prometheus.Counter
	input, output    prometheus.Counter
}

// times are the histograms of one chat model. They are 60 series together, so fewer models have their own.
type times struct{ response, first, perToken, load prometheus.Observer }

// New makes the instruments and registers everything, every label set that can occur at 0.
// native adds Prometheus' native histograms to the classic ones.
func New(parts Parts, version, revision string, native bool) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), native: native, firstWord: fine(), wholeAnswer: fine()}
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
	scrape := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { scrape.ServeHTTP(&plainType{ResponseWriter: w}, r) })
}

// plainType names the exposition format as everybody knows it, without the library's parameter for escaped names: ours need no
// escaping.
type plainType struct {
	http.ResponseWriter
	named bool
}

func (w *plainType) WriteHeader(status int) {
	w.name()
	w.ResponseWriter.WriteHeader(status)
}

func (w *plainType) Write(p []byte) (int, error) {
	w.name()
	return w.ResponseWriter.Write(p)
}

func (w *plainType) name() {
	if !w.named {
		w.named = true
		kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), "; escaping=")
		w.Header().Set("Content-Type", kind)
	}
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
	opts := prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}
	if m.native {
		opts.NativeHistogramBucketFactor, opts.NativeHistogramMaxBucketNumber, opts.NativeHistogramMinResetDuration = nativeFactor, nativeBuckets, time.Hour
	}
	v := prometheus.NewHistogramVec(opts, labels)
	m.registry.MustRegister(v)
	return v
}

// fine is a histogram that is not exposed: from a millisecond up in steps of a quarter, past all that anybody waits for.
func fine() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "drawn_seconds", Help: "Drawn by the live page.", Buckets: prometheus.ExponentialBuckets(.001, 1.25, 62)})
}

func (m *Metrics) http() {
	m.requests = m.counterVec("http_requests_total", "HTTP requests, by route.", "route", "method", "code")
	m.duration = m.histogramVec("http_request_duration_seconds", "Time from request to the end of the answer, of routes that do more than show state.", routeBuckets, "route")
	m.firstByte = m.histogramVec("http_time_to_first_byte_seconds", "Time from request to the first byte of the answer, of routes that stream.", byteBuckets, "route")
	m.inFlight = m.gaugeVec("http_requests_in_flight", "HTTP requests that are being answered.").WithLabelValues()
	m.overhead = m.histogramVec("gateway_overhead_seconds", "Time of a request of Ollama's or OpenAI's API that was not spent on the way to a model server, in its queue, or waiting for its bytes.", ownBuckets).WithLabelValues()
	aborted := m.counterVec("http_streams_aborted_total", "Answers that ended after they had begun and before they were whole, by who broke off; clients that leave routes which only show state are left out.", "side")
	m.leftByClient, m.leftByUpstream = aborted.WithLabelValues("client"), aborted.WithLabelValues("upstream")
}

func (m *Metrics) rag() {
	m.questions = m.counterVec("queries_total", "Questions, by method of retrieval, provider and outcome.", "method", "provider", "outcome")
	m.queries = map[asking]*outcomes{}
	for method, label := range map[rag.Method]string{rag.Hybrid: "hybrid", rag.Vector: "vector", rag.BM25: "bm25", "": otherName} {
		for _, provider := range providers {
			of := new(outcomes)
			for i, name := range outcomeNames {
				of[i] = m.questions.WithLabelValues(label, provider, name)
			}
			m.queries[asking{method, provider}] = of
		}
	}
	failures := m.counterVec("query_errors_total", "Questions that failed, by kind of fault.", "error_type")
	m.errors = map[rag.Kind]prometheus.Counter{}
	for _, kind := range []rag.Kind{rag.NotFound, rag.Conflict, rag.TooLarge, rag.OutOfBounds, rag.RateLimited, rag.BadUpstream, rag.Unavailable, rag.Overloaded, rag.Timeout, rag.Internal} {
		m.errors[kind] = failures.WithLabelValues(string(kind))
	}
	stages := m.histogramVec("retrieval_seconds", "Time of the stages before the model: embed the question, find passages by vectors and by words (bm25), fuse both.", stageBuckets, "stage")
	m.embed, m.byVector, m.byWords, m.fuse = stages.WithLabelValues("embed"), stages.WithLabelValues("vector"), stages.WithLabelValues("bm25"), stages.WithLabelValues("fuse")
	lookups := m.histogramVec("semcache_lookup_duration_seconds", "Time to look a question up in the answer cache: the very same, and the nearest by its vector.", lookupBuckets, "type")
	m.lookExact, m.lookNear = lookups.WithLabelValues("exact"), lookups.WithLabelValues("semantic")
	m.found = m.histogramVec("retrieved_docs", "Passages shown for a question.", []float64{0, 1, 2, 3, 5, 10, 20, 50}).WithLabelValues()
	m.topScore = m.histogramVec("retrieval_top_score", "Cosine of the best passage that the vector side found.", []float64{.1, .2, .3, .4, .5, .6, .7, .8, .9, 1}).WithLabelValues()
	verdicts := m.counterVec("citations_total", "Citations, by how they hold up against the passage they name.", "verdict")
	m.cited = map[rag.Verdict]prometheus.Counter{}
	for _, v := range []rag.Verdict{rag.Supported, rag.Unsupported, rag.Inferred, rag.Quoted} {
		m.cited[v] = verdicts.WithLabelValues(string(v))
	}
	refusals := m.counterVec("refusals_total", "Questions that no passage answers, by reason.", "reason")
	m.refused = map[string]prometheus.Counter{"no_passages": refusals.WithLabelValues("no_passages")}
	m.savedTime = m.counterVec("semcache_saved_seconds_total", "Model time that served answers had cost when they were made.").WithLabelValues()
	m.savedOut = m.counterVec("semcache_saved_tokens_total", "Tokens that served answers had cost when they were made.").WithLabelValues()
}

func (m *Metrics) llm() {
	calls := m.counterVec("llm_requests_total", "Calls of chat models, by outcome.", "model", "operation", "outcome")
	response := m.histogramVec("llm_response_seconds", "Time of a whole answer of a chat model.", answerBuckets, "model")
	first := m.histogramVec("llm_time_to_first_token_seconds", "Time from the call to the first piece of text.", firstBuckets, "model")
	perToken := m.histogramVec("llm_time_per_output_token_seconds", "Time per token written, by the model server's own figures.", tokenBuckets, "model")
	load := m.histogramVec("llm_load_duration_seconds", "Time a call waited for its model to be loaded, by the model server's own figures.", loadBuckets, "model")
	m.tokens = m.counterVec("llm_tokens_total", "Tokens read and written, by the model server's own figures.", "model", "type")
	own := newNames(maxTimed, func(name string) *times {
		return &times{response: response.WithLabelValues(name), first: first.WithLabelValues(name), perToken: perToken.WithLabelValues(name), load: load.WithLabelValues(name)}
	})
	m.models = newNames(maxNames, func(name string) *model {
		return &model{
			times: own.get(name),
			ok:    calls.WithLabelValues(name, "chat", "success"), failed: calls.WithLabelValues(name, "chat", "error"), left: calls.WithLabelValues(name, "chat", "abandoned"),
			input: m.tokens.WithLabelValues(name, "input"), output: m.tokens.WithLabelValues(name, "output"),
		}
	})
}
