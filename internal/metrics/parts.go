package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/ingest"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/search"
	"github.com/ollama-rag/ollama-rag/internal/upstream"
)

// namespace is the prefix of every family but go_* and process_*.
const namespace = "ollama_rag"

// Parts are the parts whose state is read at each scrape.
type Parts struct {
	Hosts     func() []upstream.HostStats
	Cache     func() rag.CacheStats
	Ingest    func() ingest.Stats
	Indexes   func() map[string]search.Stats
	Documents func(ctx context.Context) (map[string]int, error) // by knowledge base
}

// scrapeTimeout bounds what a scrape waits for the store.
const scrapeTimeout = 2 * time.Second

type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) family {
	return family{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) family {
	return family{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), prometheus.CounterValue}
}

func (f family) send(ch chan<- prometheus.Metric, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(f.desc, f.kind, v, labels...)
}

var (
	breakerState       = gauge("circuit_breaker_state", "Current circuit breaker state: 0 closed, 1 open, 2 half-open.", "breaker_name")
	breakerCalls       = counter("circuit_breaker_calls_total", "Calls that asked the circuit breaker for leave and were decided.", "breaker_name", "status")
	breakerTransitions = counter("circuit_breaker_transitions_total", "Changes of the circuit breaker's state.", "breaker_name", "from_state", "to_state")
	breakerFailures    = gauge("circuit_breaker_consecutive_failures", "Current run of failures; 0 after a success.", "breaker_name")
	breakerChanged     = gauge("circuit_breaker_last_state_change_timestamp", "Unix time of the last change of state, in seconds; of the start before the first.", "breaker_name")

	poolRequests    = counter("connection_pool_requests_total", "HTTP requests sent to a model server, retries and health checks included.", "client_name")
	poolSize        = gauge("connection_pool_size", "Configured size of the connection pool.", "client_name", "pool_type")
	poolConnections = gauge("connection_pool_connections", "Open connections to a model server.", "client_name", "state")
	poolReused      = counter("connection_pool_reused_total", "Requests that got a connection that was open already.", "client_name")
	poolDials       = counter("connection_pool_dials_total", "Connections dialled to a model server.", "client_name", "result")
	retries         = counter("retries_total", "Attempts that were repeated, by what went wrong.", "reason")
	failovers       = counter("failovers_total", "Attempts that were repeated on another host.")
	inFlight        = gauge("backend_requests_in_flight", "Calls whose answers are not read to their end yet.", "backend")
	backendOutcomes = counter("backend_requests_total", "Attempts on a model server, by outcome.", "backend", "outcome")

	cacheHits      = counter("semcache_hits_total", "Answers served from the answer cache.", "type")
	cacheMisses    = counter("semcache_misses_total", "Look-ups in the answer cache that found nothing that could be served.")
	cacheSize      = gauge("semcache_size", "Answers in the cache that can still be served.")
	cacheFill      = gauge("semcache_fill_ratio", "Size of the answer cache over its largest size, 0 to 1.")
	cacheEvictions = counter("semcache_evictions_total", "Answers that left the cache, by reason.", "reason")

	ingested       = counter("documents_ingested_total", "Files that ingest jobs were given, by what became of them.", "status")
	chunks         = counter("chunks_created_total", "Passages made by ingest.")
	ingestTime     = counter("ingestion_stage_seconds_total", "Time spent in each stage of ingest.", "stage")
	ingestDepth    = gauge("ingest_queue_depth", "Ingest jobs that wait.")
	ingestOldest   = gauge("ingest_queue_oldest_seconds", "Age of the oldest ingest job that waits; 0 where none does.")
	ingestRunning  = gauge("ingest_jobs_running", "Ingest jobs at work.")
	documents      = gauge("database_documents", "Documents in a knowledge base.", "db")
	indexSize      = gauge("index_size_bytes", "Memory of the loaded search indexes.")
	indexPassages  = gauge("index_passages", "Passages in the loaded search indexes.")
	ollamaHealthy  = gauge("ollama_healthy", "1 if at least one model host is not kept from calls by its breaker.")
	scrapeFailures = gauge("scrape_store_error", "1 if the store did not answer this scrape.")
)

// Describe makes the collector an unchecked one: its families are pinned by the golden file of the tests.
func (p Parts) Describe(chan<- *prometheus.Desc) {}

// Collect reads every part once.
func (p Parts) Collect(ch chan<- prometheus.Metric) {
	p.collectHosts(ch)
	p.collectCache(ch)
	p.collectIngest(ch)
	p.collectStore(ch)
}

func (p Parts) collectHosts(ch chan<- prometheus.Metric) {
	healthy := 0.0
	byReason, moved := map[string]uint64{}, uint64(0)
	for _, h := range p.Hosts() {
		b := h.Breaker
		breakerState.send(ch, float64(b.State), h.Label)
		breakerCalls.send(ch, float64(b.Successes), h.Label, "success")
		breakerCalls.send(ch, float64(b.Failures), h.Label, "failure")
		breakerCalls.send(ch, float64(b.Rejected), h.Label, "rejected")
		for _, t := range b.Transitions {
			breakerTransitions.send(ch, float64(t.Count), h.Label, t.From.String(), t.To.String())
		}
		breakerFailures.send(ch, float64(b.ConsecutiveFailures), h.Label)
		breakerChanged.send(ch, float64(b.LastChange.UnixNano())/1e9, h.Label)
		if b.State != breaker.Open {
			healthy = 1
		}
		poolRequests.send(ch, float64(h.Requests), h.Label)
		poolSize.send(ch, float64(h.PoolConnections), h.Label, "connections")
		poolSize.send(ch, float64(h.PoolMaxSize), h.Label, "maxsize")
		poolConnections.send(ch, float64(h.InUse), h.Label, "in_use")
		poolConnections.send(ch, float64(h.Idle), h.Label, "idle")
		poolReused.send(ch, float64(h.Reused), h.Label)
		for _, d := range h.Dials {
			poolDials.send(ch, float64(d.Count), h.Label, d.Label)
		}
		for _, o := range h.Outcomes {
			backendOutcomes.send(ch, float64(o.Count), h.Label, o.Label)
		}
		inFlight.send(ch, float64(h.InFlight), h.Label)
		for _, r := range h.Retries {
			byReason[r.Label] += r.Count
		}
		moved += h.Failovers
	}
	for reason, n := range byReason {
		retries.send(ch, float64(n), reason)
	}
	failovers.send(ch, float64(moved))
	ollamaHealthy.send(ch, healthy)
}

func (p Parts) collectCache(ch chan<- prometheus.Metric) {
	c := p.Cache()
	cacheHits.send(ch, float64(c.Exact), "exact")
	cacheHits.send(ch, float64(c.Semantic), "semantic")
	cacheMisses.send(ch, float64(c.Misses))
	cacheSize.send(ch, float64(c.Size))
	cacheFill.send(ch, c.FillRatio())
	cacheEvictions.send(ch, float64(c.Evicted), "full")
	cacheEvictions.send(ch, float64(c.Expired), "expired")
	cacheEvictions.send(ch, float64(c.Changed), "changed")
	cacheEvictions.send(ch, float64(c.Cleared), "cleared")
}

func (p Parts) collectIngest(ch chan<- prometheus.Metric) {
	s := p.Ingest()
	for _, status := range []rag.FileStatus{rag.FileAdded, rag.FileReplaced, rag.FileUnchanged, rag.FileSkipped} {
		ingested.send(ch, float64(s.Files[status]), string(status))
	}
	chunks.send(ch, float64(s.Passages))
	for _, stage := range []string{ingest.StageRead, ingest.StageCut, ingest.StageEmbed, ingest.StageStore} {
		ingestTime.send(ch, s.StageSeconds[stage], stage)
	}
	ingestDepth.send(ch, float64(s.QueueDepth))
	ingestRunning.send(ch, float64(s.JobsRunning))
	age := 0.0
	if !s.OldestQueued.IsZero() {
		age = time.Since(s.OldestQueued).Seconds()
	}
	ingestOldest.send(ch, age)
}

func (p Parts) collectStore(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	counts, err := p.Documents(ctx)
	failed := 0.0
	if err != nil {
		failed = 1
	}
	scrapeFailures.send(ch, failed)
	for label, n := range capped(counts) {
		documents.send(ch, float64(n), label)
	}
	var size, passages float64
	for _, s := range p.Indexes() {
		size += float64(s.Bytes)
		passages += float64(s.Passages)
	}
	indexSize.send(ch, size)
	indexPassages.send(ch, passages)
}
