package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/config"
)

func TestTheOperatorsListenerIsOffAndOnLoopbackAlone(t *testing.T) {
	_, h := scripted(t)
	if stop, err := h.serveDebug(); err != nil || stop() != nil || h.config.DebugAddr != "" {
		t.Error(err)
	}
	for _, path := range []string{"/debug/pprof/", "/log-level", "/breakers/reset"} {
		if r := h.send("GET", path, ""); r.status != http.StatusNotFound && r.status != http.StatusMethodNotAllowed {
			t.Errorf("%s on the public listener: %d", path, r.status)
		}
	}
	for _, addr := range []string{"0.0.0.0:6060", ":6060", "192.0.2.1:6060", "example.com:6060", "6060"} {
		if _, _, err := config.Load(config.Source{Environ: []string{"DEBUG_ADDR=" + addr}}); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestTheOperatorSeesProfilesAndChangesWhatRuns(t *testing.T) {
	stub, h := scripted(t, "CIRCUIT_BREAKER_FAILURE_THRESHOLD=1", "OLLAMA_MAX_RETRIES=0")
	h.logLevel = new(slog.LevelVar)
	stub.Refuse()
	h.send("POST", "/api/chat", `{"model":"llama3.1:8b","messages":[]}`)
	if got := h.servers()[0].Breaker.State; got != breaker.Open {
		t.Fatalf("the breaker is %s", got)
	}
	handler := h.debugHandler()
	send := func(method, target string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://127.0.0.1:6060"+target, nil)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
			if header[i] == "Host" {
				r.Host = header[i+1]
			}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	if w := send("GET", "/debug/pprof/goroutine?debug=1"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "goroutine profile") {
		t.Errorf("%d %.80s", w.Code, w.Body)
	}
	if w := send("POST", "/breakers/reset"); w.Code != http.StatusOK || h.servers()[0].Breaker.State != breaker.Closed {
		t.Errorf("%d", w.Code)
	}
	if w := send("POST", "/log-level?level=debug"); w.Code != http.StatusOK || send("GET", "/log-level").Body.String() != "DEBUG\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := send("POST", "/log-level?level=loud"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "debug, info, warn, error") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, foreign := range [][]string{{"Origin", "http://evil.example"}, {"Host", "evil.example:6060"}, {"Sec-Fetch-Site", "cross-site"}} {
		if w := send("POST", "/breakers/reset", foreign...); w.Code != http.StatusForbidden {
			t.Errorf("%v: %d", foreign, w.Code)
		}
	}
	if w := send("GET", "/"); !strings.Contains(w.Body.String(), "pprof") {
		t.Errorf("%s", w.Body)
	}
}
