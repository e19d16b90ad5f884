package metrics

import (
	"context"
	"strings"
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
	Queue     func() upstream.QueueStats
	Cache     func() rag.CacheStats
	Calls     func() rag.CallStats
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

// histogram is a family that a part keeps by itself.
func histogram(name, help string, labels ...string) family { return gauge(name, help, labels...) }

func (f family) sendWaits(ch chan<- prometheus.Metric, w upstream.Waits, labels ...string) {
	ch <- prometheus.MustNewConstHistogram(f.desc, w.Count, w.Seconds, w.Buckets, labels...)
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
	poolWait        = histogram("connection_pool_wait_seconds", "Time from asking for a connection to having one, dialled or reused.", "client_name")
	queueDepth      = gauge("queue_depth", "Calls that wait for a place on a model server.", "class")
	queueWait       = histogram("queue_wait_seconds", "Time that calls waited for the place they got.", "class")
	queueRejected   = counter("queue_rejected_total", "Calls that got no place, by reason.", "reason")
	backendUp       = gauge("backend_up", "0 if the last contact with the model server came to nothing, 1 otherwise.", "backend")
	backendInfo     = gauge("backend_info", "Version of the model server as it last said; always 1.", "backend", "version")
	backendLoaded   = gauge("backend_loaded_models", "Models in the model server's memory, as far as is known.", "backend")
	backendVRAM     = gauge("backend_model_vram_bytes", "Graphics memory that a model takes, as the model server last said.", "backend", "model")
	backendPlaces   = gauge("backend_model_places", "Calls at once that the model server is trusted with for a model.", "backend", "model")
	saturated       = counter("backend_saturated_total", "Answers by which the model server said that it has no room.", "backend")
	hedges          = counter("hedges_total", "Second attempts sent while a first was slow to answer, by which of the two answered first.", "outcome")
	retries         = counter("retries_total", "Attempts that were repeated, by what went wrong.", "reason")
	failovers       = counter("failovers_total", "Attempts that were repeated on another host.")
	inFlight        = gauge("backend_requests_in_flight", "Calls whose answers are not read to their end yet.", "backend")
	backendOutcomes = counter("backend_requests_total", "Attempts on a model server, by outcome.", "backend", "outcome")

	cacheHits      = counter("semcache_hits_total", "Answers served from the answer cache.", "type")
	cacheMisses    = counter("semcache_misses_total", "Look-ups in the answer cache that found nothing that could be served.")
	cacheSize      = gauge("semcache_size", "Answers in the cache that can still be served.")
	cacheFill      = gauge("semcache_fill_ratio", "Size of the answer cache over its largest size, 0 to 1.")
	cacheBytes     = gauge("semcache_bytes", "Memory that the answers in the cache take.")
	cacheNearest   = histogram("semcache_similarity", "Similarity of the nearest remembered question of each semantic look-up, whether its answer was served or not.")
	cacheJoined    = counter("coalesced_requests_total", "Questions that followed the answer to the same question in flight: neither hit nor miss.")
	cacheGuards    = counter("semcache_guard_rejections_total", "Near questions whose remembered answer was not served, since a guard told the two apart.", "reason")
	cacheStale     = counter("semcache_stale_total", "Remembered answers that were not served, since their evidence does not hold.", "reason")
	cacheSpared    = counter("semcache_stale_served_total", "Remembered answers that were served, marked stale, since no model answered: they count as misses.")
	cacheBound     = gauge("semcache_false_hit_upper_bound", "Upper bound, at 95 %, of the share of answers to near questions that differ from the model's; 1 before any was compared.")
	cacheCompared  = gauge("semcache_shadow_samples", "Answers to near questions that were compared with the model's, the newest, by what came of it.", "result")
	cacheLeast     = gauge("semcache_effective_threshold", "Least similarity of a question that is answered from the cache now: above the configured one where the error contract wants it; 1 where the tier is closed.")
	cacheTier      = gauge("semcache_semantic_open", "1 while near questions are answered from the cache, 0 while the error contract keeps that tier closed.")
	cacheEvictions = counter("semcache_evictions_total", "Answers that left the cache, by reason.", "reason")

	callHits    = counter("gencache_hits_total", "Whole answers of models that were given from memory: the same prompt, or the same request of the gateway.")
	callMisses  = counter("gencache_misses_total", "Look-ups of whole answers of models that found none.")
	callEntries = gauge("gencache_entries", "Whole answers of models that are kept.")
	callBytes   = gauge("gencache_bytes", "Memory of the whole answers of models that are kept.")

	ingested       = counter("documents_ingested_total", "Files that ingest jobs were given, by what became of them.", "status")
	chunks         = counter("chunks_created_total", "Passages made by ingest.")
	ingestTime     = histogram("ingestion_seconds", "Time of a stage of ingest: read, cut and store are of a file, embed is of a batch of passages.", "stage")
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
	p.collectQueue(ch)
	p.collectCache(ch)
	p.collectIngest(ch)
	p.collectStore(ch)
}

func (p Parts) collectHosts(ch chan<- prometheus.Metric) {
	healthy := 0.0
	byReason, moved, hedged, won := map[string]uint64{}, uint64(0), uint64(0), uint64(0)
	shown := 0 // models with series of their own
	for _, h := range p.Hosts() {
		collectBreaker(ch, h.Label, h.Breaker)
		if h.Breaker.State != breaker.Open {
			healthy = 1
		}
		collectPool(ch, h)
		collectBackend(ch, h)
		shown = collectModels(ch, h, shown)
		for _, r := range h.Retries {
			byReason[r.Label] += r.Count
		}
		moved, hedged, won = moved+h.Failovers, hedged+h.Hedges, won+h.HedgesWon
	}
	for reason, n := range byReason {
		retries.send(ch, float64(n), reason)
	}
	failovers.send(ch, float64(moved))
	hedges.send(ch, float64(won), "won")
	hedges.send(ch, float64(hedged-won), "lost")
	ollamaHealthy.send(ch, healthy)
}

func collectBreaker(ch chan<- prometheus.Metric, label string, b breaker.Stats) {
	breakerState.send(ch, float64(b.State), label)
	breakerCalls.send(ch, float64(b.Successes), label, "success")
	breakerCalls.send(ch, float64(b.Failures), label, "failure")
	breakerCalls.send(ch, float64(b.Rejected), label, "rejected")
	for _, t := range b.Transitions {
		breakerTransitions.send(ch, float64(t.Count), label, t.From.String(), t.To.String())
	}
	breakerFailures.send(ch, float64(b.ConsecutiveFailures), label)
	breakerChanged.send(ch, float64(b.LastChange.UnixNano())/1e9, label)
}

func collectPool(ch chan<- prometheus.Metric, h upstream.HostStats) {
	poolRequests.send(ch, float64(h.Requests), h.Label)
	poolSize.send(ch, float64(h.PoolConnections), h.Label, "connections")
	poolSize.send(ch, float64(h.PoolMaxSize), h.Label, "maxsize")
	poolConnections.send(ch, float64(h.InUse), h.Label, "in_use")
	poolConnections.send(ch, float64(h.Idle), h.Label, "idle")
	poolReused.send(ch, float64(h.Reused), h.Label)
	poolWait.sendWaits(ch, h.Waits, h.Label)
	for _, d := range h.Dials {
		poolDials.send(ch, float64(d.Count), h.Label, d.Label)
	}
}

func collectBackend(ch chan<- prometheus.Metric, h upstream.HostStats) {
	up, version := 1.0, h.Version
	if h.Down {
		up = 0
	}
	if version == "" {
		version = "unknown"
	}
	backendUp.send(ch, up, h.Label)
	backendInfo.send(ch, 1, h.Label, version)
	backendLoaded.send(ch, float64(len(h.Loaded)), h.Label)
	saturated.send(ch, float64(h.Saturated), h.Label)
	for _, o := range h.Outcomes {
		backendOutcomes.send(ch, float64(o.Count), h.Label, o.Label)
	}
	inFlight.send(ch, float64(h.InFlight), h.Label)
}

// collectModels sends the models of a host; those used first have series of their own, the rest is summed up.
func collectModels(ch chan<- prometheus.Metric, h upstream.HostStats, shown int) int {
	vram := map[string]float64{}
	for _, m := range h.Loaded {
		vram[strings.ToLower(m.Name)] = float64(m.VRAM)
	}
	var otherVRAM, otherPlaces float64
	for _, m := range h.Models {
		if shown >= maxBreakers {
			otherPlaces += float64(m.Limit)
			continue
		}
		shown++
		collectBreaker(ch, m.Breaker.Name, m.Breaker)
		backendPlaces.send(ch, float64(m.Limit), h.Label, m.Name)
		backendVRAM.send(ch, vram[m.Name], h.Label, m.Name)
		delete(vram, m.Name)
	}
	for _, bytes := range vram {
		otherVRAM += bytes
	}
	backendPlaces.send(ch, otherPlaces, h.Label, otherName)
	backendVRAM.send(ch, otherVRAM, h.Label, otherName)
	return shown
}

func (p Parts) collectQueue(ch chan<- prometheus.Metric) {
	q := p.Queue()
	for _, w := range q.Waiting {
		queueDepth.send(ch, float64(w.Count), w.Label)
		queueWait.sendWaits(ch, q.Waits[w.Label], w.Label)
	}
	for _, r := range q.Rejected {
		queueRejected.send(ch, float64(r.Count), r.Label)
	}
}

func (p Parts) collectCache(ch chan<- prometheus.Metric) {
	c := p.Cache()
	cacheHits.send(ch, float64(c.Exact), "exact")
	cacheHits.send(ch, float64(c.Semantic), "semantic")
	cacheMisses.send(ch, float64(c.Misses))
	cacheJoined.send(ch, float64(c.Coalesced))
	cacheSize.send(ch, float64(c.Size))
	cacheFill.send(ch, c.FillRatio())
	cacheBytes.send(ch, float64(c.Bytes))
	ch <- prometheus.MustNewConstHistogram(cacheNearest.desc, c.Nearest.Count, c.Nearest.Sum, c.Nearest.Buckets)
	for guard, n := range c.Guarded {
		cacheGuards.send(ch, float64(n), guard)
	}
	for _, why := range rag.StaleReasons() {
		cacheStale.send(ch, float64(c.Stale[why]), string(why))
	}
	cacheSpared.send(ch, float64(c.StaleServed))
	open := 1.0
	if c.Contract.Tier == rag.TierClosed {
		open = 0
	}
	cacheTier.send(ch, open)
	cacheBound.send(ch, c.Contract.UpperBound)
	cacheLeast.send(ch, c.Contract.Least)
	cacheCompared.send(ch, float64(c.Contract.Compared-c.Contract.Different), "same")
	cacheCompared.send(ch, float64(c.Contract.Different), "different")
	cacheEvictions.send(ch, float64(c.Evicted), "size")
	cacheEvictions.send(ch, float64(c.Outgrown), "bytes")
	cacheEvictions.send(ch, float64(c.Expired), "expired")
	cacheEvictions.send(ch, float64(c.Changed), "changed")
	cacheEvictions.send(ch, float64(c.Cleared), "cleared")
	calls := p.Calls()
	callHits.send(ch, float64(calls.Hits))
	callMisses.send(ch, float64(calls.Misses))
	callEntries.send(ch, float64(calls.Size))
	callBytes.send(ch, float64(calls.Bytes))
}

func (p Parts) collectIngest(ch chan<- prometheus.Metric) {
	s := p.Ingest()
	for _, status := range []rag.FileStatus{rag.FileAdded, rag.FileReplaced, rag.FileUnchanged, rag.FileSkipped} {
		ingested.send(ch, float64(s.Files[status]), string(status))
	}
	chunks.send(ch, float64(s.Passages))
	for _, stage := range []string{ingest.StageRead, ingest.StageCut, ingest.StageEmbed, ingest.StageStore} {
		took := s.Stages[stage]
		ch <- prometheus.MustNewConstHistogram(ingestTime.desc, took.Count, took.Seconds, took.Buckets, stage)
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
