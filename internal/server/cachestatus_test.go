package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func TestLaw11AnswersSayHowTheyCame(t *testing.T) {
	for _, c := range []struct {
		info        rag.CacheInfo
		status, age string
	}{
		{rag.CacheInfo{Status: rag.CacheExact, Similarity: 1, Age: 60.9, EntryID: "ID"}, `ollama-rag; hit; ttl=3539; key="ID"; detail=exact; similarity=1.000`, "60"},
		{rag.CacheInfo{Status: rag.CacheSemantic, Similarity: .97345, Age: .2, EntryID: "ID"}, `ollama-rag; hit; ttl=3599; key="ID"; detail=semantic; similarity=0.973`, "0"},
		{rag.CacheInfo{Status: rag.CacheCoalesced, Similarity: 1, Age: 1, EntryID: "ID"}, `ollama-rag; hit; ttl=3599; key="ID"; detail=coalesced; similarity=1.000`, "1"},
		{rag.CacheInfo{Status: rag.CacheMiss}, "ollama-rag; fwd=miss", ""},
		{rag.CacheInfo{Status: rag.CacheMiss, Stored: true}, "ollama-rag; fwd=miss; stored", ""},
		{rag.CacheInfo{Status: rag.CacheCoalesced, Stored: true}, "ollama-rag; fwd=miss; collapsed; stored", ""},
		{rag.CacheInfo{Status: rag.CacheBypass}, "ollama-rag; fwd=bypass", ""},
	} {
		l := newLab(t, func(cfg *Config) {
			cfg.Engine = script(func(_ context.Context, yield func(rag.Event, error) bool) {
				a := &rag.Answer{Cache: c.info}
				if yield(rag.Event{Kind: rag.EventContexts, Answer: a}, nil) {
					yield(rag.Event{Kind: rag.EventDone, Answer: a}, nil)
				}
			})
		})
		for _, path := range []string{"/api/query", "/api/stream_query"} {
			w := l.send("POST", path, `{"query":"x"}`)
			if got, age := w.Header().Get("Cache-Status"), w.Header().Get("Age"); got != c.status || age != c.age {
				t.Errorf("%s: %q, age %q, want %q, %q", path, got, age, c.status, c.age)
			}
		}
	}
}

func TestLaw11ARequestRaisesTheThresholdAndNeverLowersIt(t *testing.T) {
	l := newLab(t, nil)
	if w := l.send("POST", "/api/query", `{"query":"x","cache_threshold":0.99}`); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "no effect") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := l.send("POST", "/api/query", `{"query":"x","cache_threshold":0.5}`); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "cache_threshold: 0.5 has no effect: it can only raise the server's, 0.9") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, bad := range []string{"1.01", "-0.1"} {
		if w := l.send("POST", "/api/query", `{"query":"x","cache_threshold":`+bad+`}`); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "cache_threshold") {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
	}
}
