package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// TestOfficialClientsSeeOllama runs the clients that Ollama and OpenAI publish, as they are, through the house and against a
// real Ollama, and compares.
func TestOfficialClientsSeeOllama(t *testing.T) {
	dir := os.Getenv("OLLAMA_RAG_CLIENTS")
	if dir == "" {
		t.Skip("OLLAMA_RAG_CLIENTS is not set: scripts/clients.sh install makes that folder")
	}
	real := ollamatest.Real(t)
	scripts, err := filepath.Abs("testdata/clients")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, program, script string }{{"python", "python3", "clients.py"}, {"javascript", "node", "clients.mjs"}} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, real.URL)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, c.program, filepath.Join(scripts, c.script), h.url, real.URL, ollamatest.RealChatModel, ollamatest.RealEmbeddingModel)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "python"), "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1")
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Fatal(err)
			}
			h.closeNow() // waits for every request that is still there
			host := h.upstream.Stats()[0]
			if host.InFlight != 0 || host.Breaker.State.String() != "closed" || host.Breaker.ConsecutiveFailures != 0 {
				t.Errorf("aborted requests left their mark: %+v", host)
			}
		})
	}
}
