package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// visit tells a story of internal/web/e2e/page.mjs to a house: a real browser opens its page.
func visit(t *testing.T, h *testHouse, story string) {
	t.Helper()
	folder := os.Getenv("OLLAMA_RAG_BROWSER")
	if folder == "" {
		t.Skip("OLLAMA_RAG_BROWSER names no folder with playwright-core: scripts/test.sh makes one")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("OLLAMA_RAG_BROWSER is set and there is no chromium: install the Debian package of this name")
	}
	script, err := filepath.Abs("../../internal/web/e2e/page.mjs")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script, folder, chromium, h.url, story)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that node takes the browser with it
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPageAnswersShowsItsEvidenceAndTakesDocumentsInABrowser(t *testing.T) {
	stub, h := scripted(t)
	h.withDocs()
	stub.FailPath("/api/chat", 1, ollamatest.Slow(0, 50*time.Millisecond)) // slow enough to be seen streaming
	visit(t, h, "whole")
}

func TestPageSaysThatNoModelAnswersInABrowser(t *testing.T) {
	stub := ollamatest.New(t)
	stub.Refuse()
	visit(t, open(t, stub.URL).withDocs(), "degraded")
}

func TestPageShowsAnIncidentInABrowser(t *testing.T) {
	stub, h := scripted(t, "OLLAMA_MAX_RETRIES=0")
	h.withDocs()
	h.live.Take()
	for range 2 {
		h.ask("When is the rent due?", nil)
		h.live.Take()
	}
	stub.Refuse()
	for i := range 6 { // five failures open the breaker
		h.ask("Who owns the "+strings.Repeat("very ", i)+"old house?", nil)
	}
	h.live.Take()
	visit(t, h, "dashboard")
}
