package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// TestEveryPlaceTellsOneTruthAboutTheHosts compares /metrics, /health, the JSON routes and doctor after traffic with faults.
func TestEveryPlaceTellsOneTruthAboutTheHosts(t *testing.T) {
	models := []ollamatest.Model{ollamatest.ChatModel("llama3.1:8b"), ollamatest.ChatModel("broken:1")}
	first, second := ollamatest.New(t, models...), ollamatest.New(t, models...)
	h := open(t, first.URL, "OLLAMA_BASE_URL="+first.URL+","+second.URL, "OLLAMA_MAX_RETRIES=0", "LLM_MODEL=llama3.1:8b").withDocs()
	var asking sync.WaitGroup
	for i := range 12 {
		asking.Go(func() { h.ask(fmt.Sprintf("Question %d: how many failures open the breaker?", i), nil) })
	}
	asking.Wait()
	first.FailPath("/api/chat", 8, ollamatest.Status(http.StatusInternalServerError, `{"error":"boom"}`))
	second.FailPath("/api/chat", 8, ollamatest.Status(http.StatusInternalServerError, `{"error":"boom"}`))
	for i := range 20 {
		h.ask(fmt.Sprintf("Broken %d: how many failures open the breaker?", i), map[string]any{"model": "broken:1"})
	}
	probe := func() {
		for _, host := range h.upstream.Stats() {
			_, _ = h.upstream.Probe(t.Context(), host.Label) // /health is content with the first answer
		}
	}
	probe()
	// Compared before the host refuses: what is written to a connection that it closes in that moment counts, and it never sees it.
	counted := h.scrape()
	for i, host := range h.upstream.Stats() {
		server := []*ollamatest.Server{first, second}[i]
		if got := counted[`ollama_rag_connection_pool_requests_total{client_name="`+host.Label+`"}`]; got != float64(server.Total()) {
			t.Errorf("%s: /metrics %v, the server saw %d", host.Label, got, server.Total())
		}
	}
	second.Refuse()
	probe()

	health := h.send("GET", "/health", "").json(t) // asks the hosts for their version: before the others are read
	seen := h.scrape()
	breakers := h.send("GET", "/api/circuit-breaker/metrics", "").json(t)
	pool := h.send("GET", "/api/connection-pool/metrics", "").json(t)["connection_pool"].(map[string]any)
	states := map[string]float64{"closed": 0, "open": 1, "half_open": 2}
	compare := func(view map[string]any, name, where string) {
		t.Helper()
		if got, want := seen[`ollama_rag_circuit_breaker_state{breaker_name="`+name+`"}`], states[view["state"].(string)]; got != want {
			t.Errorf("%s: %s is %v, /metrics says %v", where, name, want, got)
		}
		for status, field := range map[string]string{"success": "success_calls", "failure": "failure_calls", "rejected": "rejected_calls"} {
			if got, ok := seen[`ollama_rag_circuit_breaker_calls_total{breaker_name="`+name+`",status="`+status+`"}`]; !ok || got != view[field].(float64) {
				t.Errorf("%s: %s %s %v, /metrics says %v (%v)", where, name, field, view[field], got, ok)
			}
		}
	}
	for where, views := range map[string]any{
		"/health": health["circuit_breaker"], "JSON": breakers["circuit_breakers"],
		"/health, models": health["circuit_breaker_models"], "JSON, models": breakers["models"],
	} {
		all := views.(map[string]any)
		if len(all) < 2 {
			t.Errorf("%s: only %d breakers", where, len(all))
		}
		for name, view := range all {
			compare(view.(map[string]any), name, where)
		}
	}
	failed := seen[`ollama_rag_circuit_breaker_calls_total{breaker_name="ollama_client#broken:1",status="failure"}`]
	if failed == 0 || seen[`ollama_rag_circuit_breaker_state{breaker_name="ollama_client#broken:1"}`] != 1 {
		t.Errorf("the broken model has %v failures", failed)
	}
	for i, host := range health["services"].(map[string]any)["ollama"].(map[string]any)["hosts"].([]any) {
		v := host.(map[string]any)
		name := v["name"].(string)
		up := seen[`ollama_rag_backend_up{backend="`+name+`"}`] == 1
		if v["reachable"] != up || up != (i == 0) {
			t.Errorf("%s: reachable %v, backend_up %v", name, v["reachable"], up)
		}
		if i == 0 && v["in_flight"].(float64) != 0 || v["version"] != ollamatest.Version {
			t.Errorf("%s: %v", name, v)
		}
		clients := pool["clients"].(map[string]any)[name].(map[string]any)
		if got := seen[`ollama_rag_connection_pool_requests_total{client_name="`+name+`"}`]; got != clients["total_requests"] || i == 0 && got != float64(first.Total()) {
			t.Errorf("%s: /metrics %v, JSON %v, the first server saw %d", name, got, clients["total_requests"], first.Total())
		}
		for _, m := range v["models"].([]any) {
			model := m.(map[string]any)
			if got := seen[`ollama_rag_backend_model_places{backend="`+name+`",model="`+model["name"].(string)+`"}`]; got != model["places"] {
				t.Errorf("%s %v: /metrics says %v places", name, model, got)
			}
		}
	}
	var report []string
	for _, c := range examine(t.Context(), &api{base: h.url, client: http.DefaultClient}, "all-minilm") {
		report = append(report, c.Name+" "+c.Level+" "+c.Detail)
	}
	if said := strings.Join(report, "\n"); !strings.Contains(said, "breaker ollama_client#broken:1 warn") || !strings.Contains(said, "its Ollama (last failure: status 500: boom)") || !strings.Contains(said, "could not be reached at "+second.URL+" (last failure: connection refused)") {
		t.Errorf("doctor says:\n%s", said)
	}
	if n := len(h.scrape()); n > 1500 {
		t.Errorf("%d series", n)
	}
}

func TestModelOnTheSecondHostAloneIsOfUse(t *testing.T) {
	first, second := ollamatest.New(t, ollamatest.ChatModel("other:1")), ollamatest.New(t, ollamatest.ChatModel("only:1"))
	h := open(t, first.URL, "OLLAMA_BASE_URL="+first.URL+","+second.URL, "LLM_MODEL=only:1").withDocs()
	a := h.ask("How many failures open the breaker?", nil)
	if a["degraded"] == true || second.Count("/api/chat") != 1 || first.Count("/api/chat") != 0 {
		t.Errorf("asked %d and %d times: %v", first.Count("/api/chat"), second.Count("/api/chat"), a)
	}
	list := string(h.send("GET", "/api/models", "").body)
	if !strings.Contains(list, "only:1") || !strings.Contains(list, "other:1") {
		t.Errorf("models: %s", list)
	}
}
