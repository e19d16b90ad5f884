package server

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"math"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

const (
	maxTTLSeconds = 365 * 24 * 3600
	maxCacheSize  = 10_000_000
	minCacheBytes = 1 << 20
	healthTimeout = 2 * time.Second // how long a health report waits for the model server
)

func secondsOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func stamp() float64 { return float64(time.Now().UnixMilli()) / 1000 }

func (s *Server) live(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"status": "alive", "timestamp": stamp()})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	if err := s.Catalog.Ping(r.Context()); err != nil {
		return rag.Errorf(rag.Unavailable, "not_ready", "the store does not answer").Because(err)
	}
	return writeJSON(w, http.StatusOK, map[string]any{"status": "ready", "timestamp": stamp(), "checks": map[string]bool{"database": true}})
}

// health is the whole picture. It answers 200 whatever it shows: /health/ready is the probe.
func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	reachErr := s.Models.Reachable(ctx)
	bases, storeErr := s.Catalog.Bases(r.Context())
	status, overall := "healthy", "ok"
	switch {
	case storeErr != nil:
		status, overall = "unhealthy", "error"
	case reachErr != nil:
		status, overall = "degraded", "warning"
	}
	ollama := map[string]any{"healthy": reachErr == nil, "hosts": s.hostViews()}
	if reachErr != nil {
		ollama["error"] = detailOf(reachErr)
	} else if name, err := s.Models.ChatModel(ctx); err == nil {
		ollama["model"] = name
	} else {
		ollama["error"] = detailOf(err)
	}
	documents, passages := 0, 0
	for _, b := range bases {
		documents, passages = documents+b.Documents, passages+b.Passages
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"status": status, "overall_status": overall, "timestamp": stamp(), "version": s.Version, "uptime_seconds": time.Since(s.started).Seconds(),
		"services": map[string]any{
			"ollama":   ollama,
			"database": map[string]any{"healthy": storeErr == nil, "knowledge_bases": len(bases), "documents": documents, "passages": passages},
		},
		"circuit_breaker": s.breakerViews(), "circuit_breaker_models": s.modelBreakerViews(), "queue": s.queueView(), "connection_pool": s.poolView(), "semantic_cache": s.cacheView(),
	})
}

func detailOf(err error) string {
	if e, ok := err.(interface{ ProblemDetail() string }); ok {
		return e.ProblemDetail()
	}
	return "it does not answer"
}

func (s *Server) hostViews() []map[string]any {
	out := []map[string]any{}
	for _, h := range s.Hosts() {
		models := []map[string]any{}
		for _, m := range h.Models {
			models = append(models, map[string]any{"name": m.Name, "state": stateOf(h.Guarded, m.Breaker), "places": m.Places, "in_use": m.InUse, "loaded": m.Resident, "last_failure": textOrNull(m.LastFailure)})
		}
		out = append(out, map[string]any{
			"name": h.Label, "url": h.URL, "state": stateOf(h.Guarded, h.Breaker), "in_flight": h.InFlight, "reachable": !h.Down, "version": h.Version, "last_failure": textOrNull(h.LastFailure),
			"loaded": orEmpty(h.Loaded), "models": models,
		})
	}
	return out
}

func stateOf(guarded bool, b breaker.Stats) string {
	if !guarded {
		return "disabled"
	}
	return b.State.String()
}

func (s *Server) models(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Models.Models(r.Context())
	if err != nil {
		return err
	}
	current, err := s.Models.ChatModel(r.Context())
	if err != nil && rag.KindOf(err) != rag.NotFound {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"current": current, "models": orEmpty(list)})
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	if s.Metrics == nil {
		return rag.Errorf(rag.NotFound, "metrics_disabled", "metrics are switched off: METRICS_ENABLED is false")
	}
	s.Metrics.ServeHTTP(w, r)
	return nil
}

func (s *Server) cacheView() map[string]any {
	c := s.Cache.Stats()
	return map[string]any{
		"enabled": c.Enabled, "hits": c.Exact + c.Semantic, "misses": c.Misses, "coalesced": c.Coalesced, "hit_rate": c.HitRate(), "semantic_hits": c.Semantic, "exact_hits": c.Exact,
		"size": c.Size, "max_size": c.MaxSize, "bytes": c.Bytes, "max_bytes": c.MaxBytes, "total_requests": c.Exact + c.Semantic + c.Misses, "fill_ratio": c.FillRatio(),
		"evictions": c.Evicted + c.Outgrown, "evictions_by_bytes": c.Outgrown, "expirations": c.Expired, "invalidations": c.Changed, "cleared": c.Cleared, "stale": c.Stale, "guard_rejections": c.Guarded,
		"stale_served": c.StaleServed, "contract": contractView(c.Contract),
		"similarity_threshold": c.Threshold, "ttl": c.TTL.Seconds(), "semantic_hit_rate": share(c.Semantic, c.Exact+c.Semantic),
	}
}

func (s *Server) callsView() map[string]any {
	c := s.Calls()
	return map[string]any{
		"enabled": c.Enabled, "hits": c.Hits, "misses": c.Misses, "hit_rate": c.HitRate(), "coalesced": c.Coalesced, "size": c.Size, "max_size": c.MaxSize,
		"bytes": c.Bytes, "max_bytes": c.MaxBytes, "ttl": c.TTL.Seconds(), "evictions": c.Evicted, "expirations": c.Expired,
	}
}

func contractView(c rag.CacheContract) map[string]any {
	return map[string]any{
		"max_error": c.MaxError, "compared": c.Compared, "different": c.Different, "upper_bound": c.UpperBound, "semantic_tier": c.Tier, "effective_threshold": c.Least,
	}
}

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func (s *Server) cacheStats(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"semantic_cache": s.cacheView(), "generation_cache": s.callsView(), "timestamp": stamp()})
}

func (s *Server) semanticCacheMetrics(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"semantic_cache": s.cacheView(), "timestamp": stamp()})
}

func (s *Server) cacheConfigView() map[string]any {
	c := s.Cache.Stats()
	return map[string]any{"enabled": c.Enabled, "similarity_threshold": c.Threshold, "ttl": c.TTL.Seconds(), "max_size": c.MaxSize, "size": c.Size, "max_bytes": c.MaxBytes, "bytes": c.Bytes}
}

func (s *Server) cacheConfig(w http.ResponseWriter, _ *http.Request) error {
	v := s.cacheConfigView()
	v["stats"] = s.cacheView()
	return writeJSON(w, http.StatusOK, v)
}

func (s *Server) breakerViews() map[string]any {
	out := map[string]any{}
	for _, h := range s.Hosts() {
		out[h.Label] = breakerView(h.Guarded, h.Breaker, h.LastFailure)
	}
	return out
}

// modelBreakerViews are the breakers of the models on the hosts.
func (s *Server) modelBreakerViews() map[string]any {
	out := map[string]any{}
	for _, h := range s.Hosts() {
		for _, m := range h.Models {
			out[m.Breaker.Name] = breakerView(h.Guarded, m.Breaker, m.LastFailure)
		}
	}
	return out
}

func (s *Server) queueView() map[string]any {
	q := s.Queue()
	return map[string]any{"waiting": q.Waiting, "rejected": q.Rejected}
}

func breakerView(guarded bool, b breaker.Stats, lastFailure string) map[string]any {
	v := map[string]any{
		"name": b.Name, "enabled": guarded, "state": stateOf(guarded, b), "total_calls": b.Successes + b.Failures, "success_calls": b.Successes,
		"failure_calls": b.Failures, "rejected_calls": b.Rejected, "consecutive_failures": b.ConsecutiveFailures,
		"consecutive_successes": b.ConsecutiveSuccesses, "state_transitions": b.Changes(), "error_rate_percent": 100 * share(b.Failures, b.Successes+b.Failures),
		"success_rate_percent": 100 * share(b.Successes, b.Successes+b.Failures), "last_state_change": b.LastChange.UTC().Format(time.RFC3339Nano),
		"retry_after_seconds": b.RetryAfter.Seconds(),
		"config": map[string]any{
			"failure_threshold": b.Config.FailureThreshold, "timeout": b.Config.OpenTimeout.Seconds(), "max_timeout": b.Config.MaxOpenTimeout.Seconds(),
			"success_threshold": b.Config.SuccessThreshold, "half_open_max_calls": b.Config.HalfOpenMaxCalls, "window_size": b.Config.WindowSize,
			"min_calls": b.Config.MinCalls, "failure_ratio": b.Config.FailureRatio, "slow_call_seconds": b.Config.SlowCall.Seconds(),
		},
	}
	v["last_success_time"], v["last_failure_time"] = timeOrNull(b.LastSuccess), timeOrNull(b.LastFailure)
	v["last_failure"] = textOrNull(lastFailure)
	transitions := []map[string]any{}
	for _, t := range b.Transitions {
		transitions = append(transitions, map[string]any{"from": t.From.String(), "to": t.To.String(), "count": t.Count})
	}
	v["transitions"] = transitions
	return v
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func (s *Server) breakerMetrics(w http.ResponseWriter, _ *http.Request) error {
	total, opened, halfOpen, models := 0, 0, 0, 0
	for _, h := range s.Hosts() {
		if !h.Guarded {
			continue
		}
		total++
		for _, m := range h.Models {
			if m.Breaker.State == breaker.Open {
				models++
			}
		}
		switch h.Breaker.State {
		case breaker.Open:
			opened++
		case breaker.HalfOpen:
			halfOpen++
		}
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"timestamp": stamp(), "circuit_breakers": s.breakerViews(), "models": s.modelBreakerViews(),
		"summary": map[string]any{"total_circuits": total, "open_circuits": opened, "half_open_circuits": halfOpen, "open_models": models},
	})
}

func (s *Server) poolView() map[string]any {
	v := map[string]any{}
	var total, reused uint64
	var inUse, idle, conns int64
	clients := map[string]any{}
	for _, h := range s.Hosts() {
		total, reused = total+h.Requests, reused+h.Reused
		inUse, idle, conns = inUse+h.InUse, idle+h.Idle, conns+h.Open
		clients[h.Label] = map[string]any{"total_requests": h.Requests, "reused": h.Reused, "connections_open": h.Open, "in_use": h.InUse, "idle": h.Idle, "waited_seconds": h.Waited}
		v["connections"], v["maxsize"] = h.Connections, h.MaxSize
		v["pool_config"] = map[string]any{"pool_connections": h.Connections, "pool_maxsize": h.MaxSize, "pool_block": h.Block}
	}
	v["total_requests"], v["reused_requests"], v["in_use"], v["idle"], v["connections_open"], v["clients"] = total, reused, inUse, idle, conns, clients
	return v
}

func (s *Server) poolMetrics(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"timestamp": stamp(), "connection_pool": s.poolView(), "queue": s.queueView()})
}

// dashboard is the picture of the last hour; with since (Unix seconds) only what came after that.
func (s *Server) dashboard(w http.ResponseWriter, r *http.Request) error {
	var since time.Time
	if given := r.URL.Query().Get("since"); given != "" {
		at, err := strconv.ParseFloat(given, 64)
		if err != nil || !(at >= 0 && at < 1e11) {
			return rag.Errorf(rag.OutOfBounds, "invalid_since", "since: %q is no time in Unix seconds, such as the last of `at`", given)
		}
		since = time.UnixMilli(int64(math.Round(at * 1000)))
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, http.StatusOK, s.Live(r.Context(), since))
}

func (s *Server) dashboardPage(w http.ResponseWriter, r *http.Request) error {
	return s.file(w, r, "dashboard.html")
}

func (s *Server) page(w http.ResponseWriter, r *http.Request) error {
	w.Header().Add("Vary", "Accept")
	if s.Probe != "" && !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return s.plain(s.probe)(w, r)
	}
	return s.file(w, r, "index.html")
}

func (s *Server) probe(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(s.Probe)))
	_, _ = io.WriteString(w, s.Probe) // a client that left is nobody to tell
	return nil
}

func (s *Server) static(w http.ResponseWriter, r *http.Request) error {
	return s.file(w, r, path.Clean(r.PathValue("path")))
}

// file serves one embedded file. Its media type is by name: what the machine's own tables say must not matter.
func (s *Server) file(w http.ResponseWriter, r *http.Request, name string) error {
	data, err := fs.ReadFile(s.Page, name)
	if err != nil {
		return rag.Errorf(rag.NotFound, "unknown_file", "the page has no such file")
	}
	types := map[string]string{".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	kind := types[path.Ext(name)]
	if kind == "" {
		kind = mime.TypeByExtension(path.Ext(name))
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	return nil
}
