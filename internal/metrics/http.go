package metrics

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// Route counts and times the requests of one route, whose pattern is "METHOD /path" or a name.
func (m *Metrics) Route(pattern string, next http.Handler) http.Handler {
	method, route, ok := strings.Cut(pattern, " ")
	if !ok {
		method, route = otherName, pattern
	}
	r := &routeMetrics{
		route: route, method: method, requests: m.requests,
		leftByClient: m.leftByClient, leftByUpstream: m.leftByUpstream,
	}
	if !isWatching(route) {
		r.duration = m.duration.WithLabelValues(route)
	}
	if strings.HasPrefix(route, gatewayRoutes) {
		r.overhead, r.drawn = m.overhead, m.wholeAnswer
	}
	if slices.Contains(questionRoutes, route) {
		r.drawn = m.wholeAnswer
	}
	if strings.HasPrefix(route, gatewayRoutes) || route == streamRoute {
		r.firstByte = m.firstByte.WithLabelValues(route)
	}
	r.code(http.StatusOK)
	pool := sync.Pool{New: func() any { return new(watchedWriter) }}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		m.inFlight.Inc()
		ww := pool.Get().(*watchedWriter)
		*ww = watchedWriter{ResponseWriter: w, start: time.Now(), running: true}
		defer func() {
			m.inFlight.Dec()
			r.observe(ww, req)
			ww.ResponseWriter = nil
			pool.Put(ww)
		}()
		next.ServeHTTP(ww, req)
		ww.running = false
	})
}

type routeMetrics struct {
	route, method       string
	requests            *prometheus.CounterVec
	duration            prometheus.Observer // nil: the route only shows state
	firstByte, overhead prometheus.Observer // nil: not of this route
	drawn               prometheus.Observer // as above

	leftByClient, leftByUpstream prometheus.Counter

	codes [600]atomic.Pointer[prometheus.Counter]
}

// code gives a status its counter, made when the status comes for the first time.
func (r *routeMetrics) code(status int) prometheus.Counter {
	if status < 100 || status >= len(r.codes) {
		status = http.StatusInternalServerError
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

// gatewayRoutes begin the names of the routes of Ollama's and OpenAI's API that are counted together.
const gatewayRoutes = "gateway_"

// streamRoute is the route of ours whose answer comes piece by piece: of the others, the first byte comes with the last.
const streamRoute = "/api/stream_query"

func (r *routeMetrics) observe(w *watchedWriter, req *http.Request) {
	took, info := time.Since(w.start), rag.RequestOf(req.Context())
	r.code(w.final()).Inc()
	if r.duration != nil {
		r.time(took, info)
	}
	if r.drawn != nil {
		r.drawn.Observe(took.Seconds())
	}
	if r.overhead != nil && info != nil {
		r.overhead.Observe(max(took-info.Away(), 0).Seconds())
	}
	if w.status == 0 {
		return
	}
	if r.firstByte != nil {
		r.firstByte.Observe(w.first.Seconds())
	}
	switch {
	case w.running || info != nil && info.Broken:
		r.leftByUpstream.Inc()
	case req.Context().Err() != nil && r.duration != nil: // who has seen enough of our state lost no answer
		r.leftByClient.Inc()
	}
}

// time notes how long a request took, with its trace as the exemplar.
func (r *routeMetrics) time(took time.Duration, info *rag.RequestInfo) {
	if e, ok := r.duration.(prometheus.ExemplarObserver); ok && info != nil && info.Trace != "" {
		e.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": info.Trace})
		return
	}
	r.duration.Observe(took.Seconds())
}

// watchedWriter notes the status of an answer and the time of its first byte.
type watchedWriter struct {
	http.ResponseWriter
	start   time.Time
	first   time.Duration
	status  int
	running bool // the handler has not returned
}

// final is the status that the client gets or, where nothing was written, what that means.
func (w *watchedWriter) final() int {
	switch {
	case w.status != 0:
		return w.status
	case w.running: // it panicked: whoever stands around the routes answers for it
		return http.StatusInternalServerError
	}
	return problem.StatusClientGone
}

func (w *watchedWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // those below come before the answer
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
