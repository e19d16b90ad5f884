package main

import (
	"os"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// The health check of a container follows the server of its data folder, through its death too.
func TestReadyFollowsTheServer(t *testing.T) {
	dir := t.TempDir()
	ready := func() (string, int) {
		out, err := command(t, dir, nil, "ready").CombinedOutput()
		if err == nil {
			return string(out), 0
		}
		return string(out), 1
	}
	if out, code := ready(); code != 1 || !strings.Contains(out, "no server runs on "+dir) {
		t.Errorf("before the start: %d %s", code, out)
	}
	stub := ollamatest.New(t)
	stub.Refuse() // without a model server it serves all the same
	p := startServer(t, dir, []string{"OLLAMA_BASE_URL=" + stub.URL, "API_KEYS=read:a-key-of-some-length"})
	if out, code := ready(); code != 0 || !strings.Contains(out, p.url) {
		t.Errorf("while it runs: %d %s", code, out)
	}
	p.stop(t, os.Kill)
	if out, code := ready(); code != 1 || !strings.Contains(out, "is not ready") {
		t.Errorf("after kill -9: %d %s", code, out)
	}
}
