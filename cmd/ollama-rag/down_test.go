package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/embed"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

func TestABreakerThatOpensNamesItsCauseInTheLogAndWhereverItIsShown(t *testing.T) {
	stub := ollamatest.New(t)
	log := new(logLines)
	environ := []string{"OLLAMA_RAG_DATA_DIR=" + t.TempDir(), "OLLAMA_BASE_URL=" + strings.Replace(stub.URL, "://", "://me:hush@", 1), "OLLAMA_RETRY_BACKOFF=0.001"}
	h := openLogging(t, slog.New(slog.NewTextHandler(log, nil)), environ...).withDocs()
	h.ask("How many failures open the breaker?", nil)
	stub.Refuse()
	h.upstream.CloseIdleConnections()
	for i := range 3 {
		h.events(fmt.Sprintf(`{"query":"When is the rent due, %d?"}`, i))
	}
	said := log.String()
	for _, want := range []string{
		`level=WARN msg="circuit breaker" name=ollama_client from=closed to=open failure="connection refused"`,
		`degraded_reason=circuit_open notice="No language model answered, so these are the passages themselves: Ollama at ` + stub.URL + ` failed too often`,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the log lacks %s:\n%s", want, said)
		}
	}
	if strings.Contains(said, "hush") || strings.Contains(said, "rent") {
		t.Errorf("the log tells too much:\n%s", said)
	}
	view := h.send("GET", "/api/circuit-breaker/metrics", "").json(t)["circuit_breakers"].(map[string]any)["ollama_client"].(map[string]any)
	if view["last_failure"] != "connection refused" || view["last_failure_time"] == nil {
		t.Errorf("%v", view)
	}
	health := h.send("GET", "/health", "").json(t)
	if host := health["services"].(map[string]any)["ollama"].(map[string]any)["hosts"].([]any)[0].(map[string]any); host["last_failure"] != "connection refused" || health["circuit_breaker"].(map[string]any)["ollama_client"].(map[string]any)["last_failure"] != "connection refused" {
		t.Errorf("%v", health)
	}
	live := h.send("GET", "/api/dashboard", "").json(t)
	host := live["hosts"].([]any)[0].(map[string]any)
	if text := live["status"].(map[string]any)["text"].(string); !strings.Contains(text, " s (connection refused).") || host["last_failure"] != "connection refused" || host["last_failure_at"].(float64) == 0 {
		t.Errorf("%s, %v", text, host)
	}
}

// logLines may be written to from anywhere while it is read.
type logLines struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

// Law 13, in a process that has never seen the model server: exact, then verified semantic, then stale where it is allowed, then
// the passages.
func TestLaw13WithEveryModelHostDownTheCacheStillAnswers(t *testing.T) {
	const question, near, other = "How many failures open the breaker?", "How many failures open the breaker", "When is the rent due?"
	stub, dir := ollamatest.New(t), t.TempDir()
	stub.SetText("It opens after 5 consecutive failures [1].")
	h := openAt(t, dir, stub.URL)
	h.withDocs()
	made := h.ask(question, nil)
	h.closeNow()
	stub.Refuse()

	status := func(h *testHouse, question string) (string, map[string]any) {
		t.Helper()
		a := h.ask(question, nil)
		return a["cache"].(map[string]any)["status"].(string), a
	}
	h = openAt(t, dir, stub.URL)
	if how, a := status(h, question); how != "exact" || a["degraded"] == true || a["answer"] != made["answer"] {
		t.Errorf("exact: %s %v", how, a)
	}
	if how, a := status(h, near); embed.HasBuiltin && (how != "semantic" || a["degraded"] == true || a["answer"] != made["answer"]) {
		t.Errorf("near: %s %v", how, a)
	}
	if how, a := status(h, other); how != "miss" || a["degraded"] != true || !strings.Contains(a["answer"].(string), "third working day") {
		t.Errorf("other: %s %v", how, a)
	}
	h.closeNow()

	expired := []string{"OLLAMA_RAG_DATA_DIR=" + dir, "SEMANTIC_CACHE_TTL=0.001"}
	h = open(t, stub.URL, append(slices.Clone(expired), "SEMANTIC_CACHE_STALE_IF_ERROR=1h")...)
	how, a := status(h, question)
	if how != "stale" || a["degraded"] != true || a["answer"] != made["answer"] || !strings.Contains(a["notice"].(string), "ago") || len(a["citations"].([]any)) != 1 {
		t.Errorf("stale: %s %v", how, a)
	}
	if got := h.send("POST", "/api/query", `{"query":"`+question+`"}`).header.Get("Cache-Status"); !strings.HasPrefix(got, "ollama-rag; hit; ttl=-") && !strings.HasPrefix(got, "ollama-rag; hit; ttl=0") || !strings.Contains(got, "detail=stale") {
		t.Error(got)
	}
	h.wantMetric("semcache_stale_served_total", 2)
	h.wantMetric("semcache_misses_total", 2)
	if kinds := names(h.events(`{"query":"` + question + `"}`)); !slices.Equal(kinds, []string{"contexts", "token", "citation", "done"}) {
		t.Error(kinds)
	}
	if r := h.send("DELETE", "/api/docs", `{"sources":["breaker.md"]}`); r.status != 200 {
		t.Fatalf("%s", r.body)
	}
	if how, a := status(h, question); how == "stale" || a["degraded"] != true || strings.Contains(a["answer"].(string), "consecutive") {
		t.Errorf("deleted: %s %v", how, a)
	}
	h.closeNow()
	if how, _ := status(open(t, stub.URL, expired...), question); how != "miss" {
		t.Errorf("not allowed: %s", how)
	}
}
