package upstream

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func TestFailedHandshakeIsAFailureThatNamesTheCertificate(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})
	secure, plain := httptest.NewUnstartedServer(handler), httptest.NewServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	defer plain.Close()
	for name, u := range map[string]string{
		"unknown authority": secure.URL,
		"no TLS there":      strings.Replace(plain.URL, "http:", "https:", 1),
	} {
		cfg := quick(t, u)
		cfg.MaxRetries = 0
		c := client(t, cfg)
		_, _, err := post(t.Context(), c, "/api/chat", chatBody)
		if rag.CodeOf(err) != rag.CodeUnreachable || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
		s := c.Stats()[0]
		if counted(s.Outcomes, breaker.Failure.String()) != 1 || s.Requests != 0 || s.Connections != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
