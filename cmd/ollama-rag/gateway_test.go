package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

func TestBuiltinEmbedsWithNoOllama(t *testing.T) {
	h := open(t, "http://127.0.0.1:1")
	var native struct{ Embeddings [][]float64 }
	r := h.send("POST", "/api/embed", `{"model":"builtin","input":["query: When is the rent due?","Die Miete ist am dritten Werktag fällig.","Pumps need oil."]}`)
	if err := json.Unmarshal(r.body, &native); r.status != http.StatusOK || err != nil || len(native.Embeddings) != 3 {
		t.Fatalf("%d %v %.200s", r.status, err, r.body)
	}
	dot := func(a, b []float64) (sum float64) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	question, right, wrong := native.Embeddings[0], native.Embeddings[1], native.Embeddings[2]
	if math.Abs(dot(question, question)-1) > 1e-5 || dot(question, right) < dot(question, wrong)+.02 {
		t.Errorf("length %f, cosine %f with what answers it, %f with what does not", dot(question, question), dot(question, right), dot(question, wrong))
	}
	if r := h.send("POST", "/v1/embeddings", `{"model":"other","input":"x"}`); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || r.header.Get("X-Request-ID") == "" {
		t.Errorf("another model without Ollama: %d %v %s", r.status, r.header, r.body)
	}
}

func TestListsHoldWhatWorksWhereNoHostAnswers(t *testing.T) {
	h := open(t, "http://127.0.0.1:1")
	for path, start := range map[string]string{"/api/tags": `{"models":[{"name":"builtin:latest"`, "/v1/models": `{"object":"list","data":[{"id":"builtin:latest"`} {
		r := h.send("GET", path, "")
		if r.status != http.StatusOK || !strings.HasPrefix(string(r.body), start) || !json.Valid(r.body) {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

func TestKeysGuardTheGatewayInItsOwnShape(t *testing.T) {
	stub, h := scripted(t, "API_KEYS=read:rrrrrrrrrrrrrrrr")
	for path, want := range map[string]string{
		"/api/embed":     "{\"error\":\"an API key is needed: send it as `Authorization: Bearer KEY`\"}",
		"/v1/embeddings": "{\"error\":{\"message\":\"an API key is needed: send it as `Authorization: Bearer KEY`\",\"type\":\"api_error\",\"param\":null,\"code\":\"unauthorized\"}}\n",
	} {
		if r := h.send("POST", path, `{}`); r.status != http.StatusUnauthorized || string(r.body) != want {
			t.Errorf("%s: %d %q, want %q", path, r.status, r.body, want)
		}
		h.send("POST", path, `{"model":"all-minilm","input":"x"}`, "Authorization", "Bearer rrrrrrrrrrrrrrrr")
	}
	for _, path := range []string{"/api/embed", "/v1/embeddings"} {
		got := stub.Requests(path)
		if len(got) != 1 {
			t.Errorf("%d requests for %s reached the model server, want 1", len(got), path)
		}
		for _, r := range got {
			if r.Header.Get("Authorization") != "" {
				t.Errorf("%s: the model server got our key", path)
			}
		}
	}
}

// Other gateways count clients that leave against the host, until it is cut off for everybody.
func TestAHundredClientsThatLeaveDoNoHarm(t *testing.T) {
	stub, h := scripted(t)
	stub.FailPath("/api/chat", 100, ollamatest.Ends(ollamatest.Stall, 1))
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "POST", h.url+"/api/chat", strings.NewReader(`{"model":"llama3.1:8b","messages":[{"role":"user","content":"hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		cancel()
		_ = resp.Body.Close()
	}
	r := h.send("POST", "/api/chat", `{"model":"llama3.1:8b","stream":false,"messages":[{"role":"user","content":"hello"}]}`)
	if r.status != http.StatusOK || !strings.Contains(string(r.body), `"done":true`) {
		t.Errorf("the next client: %d %s", r.status, r.body)
	}
	h.wantMetric(`circuit_breaker_state{breaker_name="ollama_client"}`, 0)
	h.wantMetric(`circuit_breaker_calls_total{breaker_name="ollama_client",status="failure"}`, 0)
}

func TestAnOpenBreakerIsA503InTheShapeOfTheAPI(t *testing.T) {
	stub, h := scripted(t, "OLLAMA_MAX_RETRIES=0")
	stub.FailPath("/api/chat", 5, ollamatest.Status(http.StatusInternalServerError))
	const body = `{"model":"llama3.1:8b","messages":[{"role":"user","content":"hello"}]}`
	for range 5 {
		if r := h.send("POST", "/api/chat", body); r.status != http.StatusInternalServerError || string(r.body) != `{"error":"an error was encountered while running the model: unexpected EOF"}` {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	for path, begins := range map[string]string{"/api/chat": `{"error":"`, "/v1/chat/completions": `{"error":{"message":"`, "/v1/messages": `{"type":"error","error":{"type":"overloaded_error"`} {
		if r := h.send("POST", path, body); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || !strings.HasPrefix(string(r.body), begins) {
			t.Errorf("%s: %d %v %s", path, r.status, r.header, r.body)
		}
	}
}

// TestNoStreamOfManyIsCut posts 5,000 streams, and counts them at both ends.
func TestNoStreamOfManyIsCut(t *testing.T) {
	stub, h := scripted(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 5000 / 16 {
				resp, err := client.Post(h.url+"/api/chat", "application/json", strings.NewReader(`{"model":"llama3.1:8b","messages":[{"role":"user","content":"hello"}]}`))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				last := body[bytes.LastIndexByte(bytes.TrimSuffix(body, []byte("\n")), '\n')+1:]
				if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(last, []byte(`"done":true`)) || !bytes.HasSuffix(last, []byte("}\n")) {
					t.Errorf("%d %v: ends in %q", resp.StatusCode, err, last)
					return
				}
			}
		})
	}
	wg.Wait()
	h.wantMetric(`connection_pool_requests_total{client_name="ollama_client"}`, float64(stub.Total()))
	if n := stub.Count("/api/chat"); n != 5000/16*16 {
		t.Errorf("%d streams reached the server", n)
	}
}
