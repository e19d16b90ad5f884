package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// scriptedOpenAI answers every chat with text, or with the status that is set.
func scriptedOpenAI(t *testing.T, text string) (url string, status *atomic.Int64) {
	t.Helper()
	status = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/compatible/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer sk-very-secret" || !strings.Contains(string(body), `"model":"small-1"`) {
			t.Errorf("%s %v %s", r.URL, r.Header, body)
		}
		if code := int(status.Load()); code != 0 {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"error":{"message":"you sent sk-very-secret"}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":%q}}]}\n\n", text)
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":70,\"completion_tokens\":9}}\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/compatible/v1", status
}

func TestAQuestionMayNameItsProvider(t *testing.T) {
	url, status := scriptedOpenAI(t, "The breaker opens after 5 consecutive failures [1].")
	stub, h := scripted(t, "OPENAI_BASE_URL="+url, "OPENAI_API_KEY=sk-very-secret", "OPENAI_MODEL=small-1", "OPENAI_RETRY_BACKOFF=0.001", "LLM_MODEL=llama3.1:8b")
	h.withDocs()
	const question = "How many consecutive failures open the breaker?"
	a := h.ask(question, map[string]any{"provider": "openai"})
	if a["provider"] != "openai" || a["model"] != "small-1" || a["degraded"] != false || a["answer"] != "The breaker opens after 5 consecutive failures [1]." || len(a["citations"].([]any)) != 1 {
		t.Errorf("%v", a)
	}
	if usage := a["usage"].(map[string]any); usage["input_tokens"] != 70.0 || usage["output_tokens"] != 9.0 {
		t.Errorf("usage %v", usage)
	}
	if n := stub.Count("/api/chat"); n != 0 {
		t.Errorf("Ollama was asked %d times", n)
	}
	if b := h.ask(question, nil); b["provider"] != "ollama" || b["cache_hit"] != false {
		t.Errorf("the other provider's answer was given: %v", b)
	}
	h.wantMetric(`circuit_breaker_calls_total{breaker_name="openai_client",status="success"}`, 1)
	h.wantMetric(`connection_pool_requests_total{client_name="openai_client"}`, 1)
	h.wantMetric(`queries_total{method="hybrid",outcome="answered",provider="openai"}`, 1)

	status.Store(http.StatusInternalServerError)
	for i := range 3 {
		h.ask(fmt.Sprintf("Question %d about the breaker?", i), map[string]any{"provider": "openai"})
	}
	h.wantMetric(`circuit_breaker_state{breaker_name="openai_client"}`, 1)
	h.wantMetric(`circuit_breaker_state{breaker_name="ollama_client"}`, 0)
	if a := h.ask("Once more about the breaker?", map[string]any{"provider": "openai"}); a["degraded_reason"] != "circuit_open" {
		t.Errorf("%v", a)
	}
}

// Its models have no digests: which server they are of must tell them apart, over a restart too.
func TestLaw1AnotherOpenAIServersAnswersAreNotServed(t *testing.T) {
	dir := t.TempDir()
	for i, text := range []string{"It opens after 5 failures [1].", "It opens after five failures [1]."} {
		url, _ := scriptedOpenAI(t, text)
		_, h := scripted(t, "OLLAMA_RAG_DATA_DIR="+dir, "OPENAI_BASE_URL="+url, "OPENAI_API_KEY=sk-very-secret", "OPENAI_MODEL=small-1", "PROVIDER=openai")
		h.withDocs()
		for _, want := range []string{"miss", "exact"} {
			a := h.ask("How many failures open the breaker?", nil)
			if status := a["cache"].(map[string]any)["status"]; status != want || a["answer"] != text {
				t.Errorf("server %d: %v %q, want %s", i, status, a["answer"], want)
			}
		}
		h.closeNow()
	}
}

func TestARefusedKeyIsNotRepeated(t *testing.T) {
	url, status := scriptedOpenAI(t, "")
	_, h := scripted(t, "OPENAI_BASE_URL="+url, "OPENAI_API_KEY=sk-very-secret", "OPENAI_MODEL=small-1", "PROVIDER=openai")
	h.withDocs()
	status.Store(http.StatusUnauthorized)
	r := h.send("POST", "/api/query", `{"query":"breaker?","degrade":false}`)
	if r.status != http.StatusBadGateway || !strings.Contains(string(r.body), "OPENAI_API_KEY") || strings.Contains(string(r.body), "sk-very-secret") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestAProviderThatIsNotSetUpIsRefused(t *testing.T) {
	_, h := scripted(t)
	if r := h.send("POST", "/api/query", `{"query":"x","provider":"openai"}`); r.status != http.StatusUnprocessableEntity || !strings.Contains(string(r.body), "OPENAI_API_KEY") {
		t.Errorf("%d %s", r.status, r.body)
	}
}
