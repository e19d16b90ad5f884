package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// contract is metrics by the contract: every series of the eleven families with its value on a fresh server.
var contract = map[string]float64{
	`circuit_breaker_state{breaker_name="ollama_client"}`:                                                      0,
	`circuit_breaker_calls_total{breaker_name="ollama_client",status="success"}`:                               0,
	`circuit_breaker_calls_total{breaker_name="ollama_client",status="failure"}`:                               0,
	`circuit_breaker_calls_total{breaker_name="ollama_client",status="rejected"}`:                              0,
	`circuit_breaker_transitions_total{breaker_name="ollama_client",from_state="closed",to_state="open"}`:      0,
	`circuit_breaker_transitions_total{breaker_name="ollama_client",from_state="open",to_state="half_open"}`:   0,
	`circuit_breaker_transitions_total{breaker_name="ollama_client",from_state="half_open",to_state="closed"}`: 0,
	`circuit_breaker_transitions_total{breaker_name="ollama_client",from_state="half_open",to_state="open"}`:   0,
	`circuit_breaker_transitions_total{breaker_name="ollama_client",from_state="open",to_state="closed"}`:      0,
	`circuit_breaker_consecutive_failures{breaker_name="ollama_client"}`:                                       0,
	`connection_pool_requests_total{client_name="ollama_client"}`:                                              0,
	`connection_pool_size{client_name="ollama_client",pool_type="connections"}`:                                10,
	`connection_pool_size{client_name="ollama_client",pool_type="maxsize"}`:                                    20,
	`semcache_hits_total{type="exact"}`:                                                                        0,
	`semcache_hits_total{type="semantic"}`:                                                                     0,
	`semcache_misses_total`:                                                                                    0,
	`semcache_size`:                                                                                            0,
	`semcache_fill_ratio`:                                                                                      0,
}

func TestFreshServerShowsTheElevenFamiliesAtZeroAndAsksNobody(t *testing.T) {
	stub, h := scripted(t)
	reply := h.send("GET", "/metrics", "")
	body := string(reply.body)
	if kind := reply.header.Get("Content-Type"); kind != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("content type %s", kind)
	}
	seen := h.scrape()
	for series, want := range contract {
		if got, ok := seen["ollama_rag_"+series]; !ok || got != want {
			t.Errorf("%s: %g (there: %v), want %g", series, got, ok, want)
		}
	}
	if changed := seen[`ollama_rag_circuit_breaker_last_state_change_timestamp{breaker_name="ollama_client"}`]; changed < 1.7e9 {
		t.Errorf("last state change %g is no Unix time of this age", changed)
	}
	for family, kind := range map[string]string{
		"circuit_breaker_state": "gauge", "circuit_breaker_calls_total": "counter", "circuit_breaker_transitions_total": "counter",
		"circuit_breaker_consecutive_failures": "gauge", "circuit_breaker_last_state_change_timestamp": "gauge",
		"connection_pool_requests_total": "counter", "connection_pool_size": "gauge",
		"semcache_hits_total": "counter", "semcache_misses_total": "counter", "semcache_size": "gauge", "semcache_fill_ratio": "gauge",
	} {
		if !strings.Contains(body, "# TYPE ollama_rag_"+family+" "+kind+"\n") {
			t.Errorf("%s is not a %s", family, kind)
		}
	}
	if stub.Total() != 0 {
		t.Errorf("%d requests were sent before the first client request", stub.Total())
	}
}

func TestEveryFamilyIsThereAndDocumented(t *testing.T) {
	_, h := scripted(t)
	var got bytes.Buffer
	help := map[string]string{}
	for line := range strings.Lines(string(h.send("GET", "/metrics", "").body)) {
		if rest, ok := strings.CutPrefix(line, "# HELP ollama_rag_"); ok {
			name, text, _ := strings.Cut(strings.TrimSpace(rest), " ")
			help[name] = text
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE ollama_rag_"); ok {
			name, kind, _ := strings.Cut(strings.TrimSpace(rest), " ")
			help[name] = kind + " | " + help[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(help)) {
		fmt.Fprintf(&got, "| `ollama_rag_%s` | %s |\n", name, help[name])
	}
	if head := "| family | type | what it says |\n|---|---|---|\n"; docTable(t, "../../docs/metrics.md", "families") != head+got.String() {
		t.Errorf("docs/metrics.md does not list the families as they are; between its marks it must say:\n%s%s", head, got.String())
	}
}

func TestMissRepeatAndParaphraseAreCountedTheSameEverywhere(t *testing.T) {
	stub, h := scripted(t)
	stub.SetText("It opens after five consecutive failures [1].")
	h.withDocs()
	first := h.ask("How many failures open the breaker?", nil)
	if first["cache_hit"] != false || first["cache"].(map[string]any)["status"] != "miss" {
		t.Fatalf("first: %v", first["cache"])
	}
	if again := h.ask("  How many   failures open the breaker? ", nil); again["cache_hit"] != true || again["answer"] != first["answer"] {
		t.Fatalf("repeat: %v", again["cache"])
	}
	// The scripted embedder gives a question its words' vector, whatever their order.
	if near := h.ask("The breaker: how many failures open?", nil); near["cache"].(map[string]any)["status"] != "semantic" {
		t.Fatalf("paraphrase: %v", near["cache"])
	}
	h.wantMetric("semcache_misses_total", 1)
	h.wantMetric(`semcache_hits_total{type="exact"}`, 1)
	h.wantMetric(`semcache_hits_total{type="semantic"}`, 1)
	h.wantMetric("semcache_size", 1)
	h.wantMetric("semcache_fill_ratio", .001)
	stats := h.send("GET", "/api/cache-stats", "").json(t)["semantic_cache"].(map[string]any)
	for name, want := range map[string]float64{"hits": 2, "misses": 1, "hit_rate": 2.0 / 3, "semantic_hits": 1, "exact_hits": 1, "size": 1, "max_size": 1000} {
		if got := stats[name].(float64); got != want {
			t.Errorf("cache-stats %s is %g, want %g", name, got, want)
		}
	}
}

func TestPoolCounterEqualsWhatTheModelServerSaw(t *testing.T) {
	stub, h := scripted(t)
	h.withDocs()
	stub.FailPath("/api/chat", 2, ollamatest.Status(http.StatusInternalServerError, `{"error":"try again"}`))
	h.ask("How many failures open the breaker?", nil)
	h.send("GET", "/health", "")
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() { h.ask(fmt.Sprintf("When is the rent due, and what does number %d cost?", i), nil) })
	}
	wait.Wait()
	h.wantMetric(`connection_pool_requests_total{client_name="ollama_client"}`, float64(stub.Total()))
	pool := h.send("GET", "/api/connection-pool/metrics", "").json(t)["connection_pool"].(map[string]any)
	if pool["total_requests"].(float64) != float64(stub.Total()) {
		t.Errorf("JSON says %v requests, the server saw %d", pool["total_requests"], stub.Total())
	}
}

func TestFiveFailuresOpenTheBreakerAndRefusedCallsTouchNoNetwork(t *testing.T) {
	stub := ollamatest.New(t)
	h := open(t, stub.URL, "OLLAMA_MAX_RETRIES=0", "LLM_MODEL=llama3.1:8b").withDocs() // no embedder: every call is a chat
	h.ask("How many failures open the breaker?", nil)
	stub.FailPath("/api/chat", 1000, ollamatest.Status(http.StatusInternalServerError, `{"error":"boom"}`))
	for i := range 5 {
		a := h.ask(fmt.Sprintf("Question %d: how many idle connections are kept?", i), nil)
		if a["degraded"] != true || a["answer"] == "" || len(a["citations"].([]any)) == 0 {
			t.Fatalf("failure %d: no quoted passages: %v", i, a)
		}
	}
	h.wantMetric(`circuit_breaker_state{breaker_name="ollama_client"}`, 1)
	h.wantMetric(`circuit_breaker_transitions_total{breaker_name="ollama_client",from_state="closed",to_state="open"}`, 1)
	before, rejected := stub.Total(), h.scrape()[`ollama_rag_circuit_breaker_calls_total{breaker_name="ollama_client",status="rejected"}`]
	r := h.send("POST", "/api/query", `{"query":"What is open now?","degrade":false}`)
	if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || r.json(t)["code"] != "circuit_open" {
		t.Errorf("degrade false: %d %s %s", r.status, r.header.Get("Retry-After"), r.body)
	}
	a := h.ask("What is open now?", nil)
	if a["degraded_reason"] != "circuit_open" {
		t.Errorf("degraded because of %v", a["degraded_reason"])
	}
	if stub.Total() != before {
		t.Errorf("%d requests reached the model server while the breaker was open", stub.Total()-before)
	}
	if now := h.scrape()[`ollama_rag_circuit_breaker_calls_total{breaker_name="ollama_client",status="rejected"}`]; now <= rejected {
		t.Errorf("rejected calls went from %g to %g", rejected, now)
	}
	h.wantMetric("semcache_size", 1) // the good one; no answer of the outage was kept
	h.wantMetric(`connection_pool_requests_total{client_name="ollama_client"}`, float64(stub.Total()))
	shown := h.send("GET", "/api/circuit-breaker/metrics", "").json(t)
	if shown["summary"].(map[string]any)["open_circuits"].(float64) != 1 {
		t.Errorf("JSON tells another truth: %v", shown["summary"])
	}
}

func TestMetricsSwitchedOffLeaveEverythingElseAsItWas(t *testing.T) {
	stub := ollamatest.New(t)
	h := open(t, stub.URL, "EMBED_MODEL=all-minilm", "METRICS_ENABLED=false").withDocs()
	r := h.send("GET", "/metrics", "")
	if r.status != http.StatusNotFound || !strings.Contains(string(r.body), "METRICS_ENABLED") || strings.Count(string(r.body), "\n") > 1 {
		t.Errorf("/metrics: %d %s", r.status, r.body)
	}
	h.ask("How many failures open the breaker?", nil)
	h.ask("How many failures open the breaker?", nil)
	stats := h.send("GET", "/api/cache-stats", "").json(t)["semantic_cache"].(map[string]any)
	if stats["exact_hits"].(float64) != 1 {
		t.Errorf("cache-stats: %v", stats)
	}
}

func TestSeriesStayFewWhateverClientsSend(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	for i := range 60 {
		h.send("POST", "/api/query", fmt.Sprintf(`{"query":"q%d","model":"model-%d","db":"db%d","method":"m%d"}`, i, i, i, i))
		h.send("GET", fmt.Sprintf("/nowhere/%d", i), "")
		h.send("POST", "/api/dbs/create", fmt.Sprintf(`{"name":"kb%d"}`, i))
	}
	if n := len(h.scrape()); n > 1500 {
		t.Errorf("%d series", n)
	}
}

func TestPromtoolFindsNothingToSay(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian package prometheus)")
	}
	_, h := scripted(t)
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = bytes.NewReader(h.send("GET", "/metrics", "").body)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		// The contract fixes this one name, which lacks its unit.
		if !strings.Contains(line, "circuit_breaker_last_state_change_timestamp") && strings.TrimSpace(line) != "" {
			t.Errorf("promtool: %s", line)
		}
	}
	if err != nil && len(bytes.TrimSpace(out)) == 0 {
		t.Error("promtool failed without a word: ", err)
	}
}
