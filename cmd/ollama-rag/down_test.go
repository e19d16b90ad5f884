package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/embed"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

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
