package upstream

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// What the scripted server says of the real one must hold of the real one.
func TestRealOllamasAnswersMeanWhatTheTableSays(t *testing.T) {
	srv := ollamatest.Real(t)
	model := `{"model":"` + ollamatest.RealChatModel + `",`
	for _, r := range []struct {
		path, body string
		status     int
		outcome    breaker.Outcome
	}{
		{"/api/chat", model + `"messages":[{"role":"user","content":"hi"}],"options":{"num_predict":4}}`, 200, breaker.Success},
		{"/api/generate", model + `"prompt":"hi","options":{"num_predict":4}}`, 200, breaker.Success},
		{"/api/generate", model + `"prompt":"hi","stream":false,"options":{"num_predict":4}}`, 200, breaker.Success},
		{"/api/embed", `{"model":"all-minilm","input":["a","b"]}`, 200, breaker.Success},
		{"/v1/chat/completions", model + `"messages":[{"role":"user","content":"hi"}],"max_tokens":4,"stream":true}`, 200, breaker.Success},
		{"/v1/chat/completions", model + `"messages":[{"role":"user","content":"hi"}],"max_tokens":4}`, 200, breaker.Success},
		{"/api/chat", `{"model":"nope","messages":[{"role":"user","content":"hi"}]}`, 404, breaker.Neutral},
		{"/api/generate", `{"model":`, 400, breaker.Neutral},
		{"/api/generate", model + `"prompt":"x","options":{"num_predict":"four"}}`, 500, breaker.Neutral},
		{"/api/generate", model + `"prompt":"x","format":"xml"}`, 500, breaker.Neutral},
		{"/api/show", model[:len(model)-1] + `}`, 200, breaker.Neutral},
	} {
		c := client(t, quick(t, srv.URL))
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://ollama"+r.path, strings.NewReader(r.body))
		req.Header.Set("Origin", "https://evil.example")
		status, answer, err := send(c, req)
		s := c.Stats()[0]
		if status != r.status || err != nil || counted(s.Outcomes, r.outcome.String()) != 1 || s.Requests != 1 {
			t.Errorf("%s %s: %d %.200s, %v, %+v", r.path, r.body, status, answer, err, s.Outcomes)
		}
	}
}
