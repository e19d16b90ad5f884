package main

import (
	"encoding/json"
	"math"
	"net/http"
	"testing"
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
