package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func TestLaw11RequestsSayWhatTheyWantOfTheCache(t *testing.T) {
	for header, want := range map[string]cacheControl{
		"":                                     {},
		"no-cache":                             {noCache: true},
		"No-Store , NO-CACHE":                  {noCache: true, noStore: true},
		"only-if-cached, max-age=60":           {onlyIfCached: true, maxAge: time.Minute},
		`max-age="60"`:                         {maxAge: time.Minute},
		"max-age=60, max-age=30":               {maxAge: 30 * time.Second},
		"max-age=0":                            {noCache: true},
		"max-age":                              {noCache: true},
		"max-age=-5":                           {noCache: true},
		"max-age=soon":                         {noCache: true},
		"max-age=99999999999999999999999999":   {maxAge: maxAgeSeconds * time.Second},
		"max-stale=60, no-transform, x, ,=,,=": {},
		"x-no-cache, no-cachex":                {},
	} {
		if got := cacheControlOf(http.Header{"Cache-Control": {header}}); got != want {
			t.Errorf("%q: %+v, want %+v", header, got, want)
		}
	}
	if got := cacheControlOf(http.Header{"Cache-Control": {"no-store", "max-age=1"}}); got != (cacheControl{noStore: true, maxAge: time.Second}) {
		t.Errorf("two lines: %+v", got)
	}
}

func FuzzCacheControl(f *testing.F) {
	f.Add("no-cache, max-age=60")
	f.Add(`max-age="=,"`)
	f.Fuzz(func(t *testing.T, header string) {
		c := cacheControlOf(http.Header{"Cache-Control": {header}})
		if c.maxAge < 0 || c.maxAge > maxAgeSeconds*time.Second || c.maxAge > 0 && !strings.Contains(strings.ToLower(header), "max-age") {
			t.Errorf("%q: %+v", header, c)
		}
		ascii := !strings.ContainsFunc(header, func(r rune) bool { return r >= utf8.RuneSelf })
		if again := cacheControlOf(http.Header{"Cache-Control": {strings.ToUpper(header) + ", private"}}); again != c && ascii {
			t.Errorf("%q: %+v, in capitals %+v", header, c, again)
		}
	})
}

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
