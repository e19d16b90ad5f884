package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// picture is what GET /api/dashboard answers.
func (h *testHouse) picture(query string) (v struct {
	Metrics bool `json:"metrics_enabled"`
	Status  struct{ Look, Text string }
	At      []float64
	Lines   map[string][]*float64
	Changes []struct{ Name, From, To string }
	Hosts   []struct{ Name, State, Look string }
}) {
	h.t.Helper()
	r := h.send("GET", "/api/dashboard"+query, "")
	if r.status != http.StatusOK {
		h.t.Fatalf("%d %s", r.status, r.body)
	}
	if err := json.Unmarshal(r.body, &v); err != nil {
		h.t.Fatal(err)
	}
	return v
}

// What the live page draws of a stretch of time is what the counters grew by in it.
func TestTheLivePageAndTheMetricsTellOneTruth(t *testing.T) {
	stub, h := scripted(t, "OLLAMA_MAX_RETRIES=0")
	h.withDocs()
	before := h.scrape()
	h.live.Take()
	for i := range 4 {
		h.ask(fmt.Sprintf("Question %d: how many failures open the breaker?", i%3), nil)
	}
	h.send("POST", "/api/query", `{"query":""}`)
	h.send("POST", "/v1/chat/completions", `{"model":"llama3.1:8b","messages":[{"role":"user","content":"hello"}]}`)
	stub.Refuse()
	for i := range 6 {
		h.ask(fmt.Sprintf("Late question %d: who pays the rent?", i), nil)
	}
	h.live.Take()
	after := h.scrape()
	v := h.picture("")
	if len(v.At) != 2 || !v.Metrics {
		t.Fatalf("%+v", v)
	}
	span := v.At[1] - v.At[0]
	grown := func(match func(series string) bool) (sum float64) {
		for series, n := range after {
			if match(series) {
				sum += n - before[series]
			}
		}
		return sum
	}
	family := func(name string, parts ...string) func(string) bool {
		return func(series string) bool {
			return strings.HasPrefix(series, "ollama_rag_"+name) && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(series, p) })
		}
	}
	own := func(series string) bool { return strings.Contains(series, `route="/metrics"`) }
	for line, match := range map[string]func(string) bool{
		"requests_ok":        func(s string) bool { return family("http_requests_total{", `code="2`)(s) && !own(s) },
		"requests_refused":   family("http_requests_total{", `code="4`),
		"questions_answered": family("queries_total{", `outcome="answered"`),
		"questions_degraded": family("queries_total{", `outcome="degraded"`),
		"tokens_written":     family("llm_tokens_total{", `type="output"`),
		"tokens_read":        family("llm_tokens_total{", `type="input"`),
		"cache_exact":        family("semcache_hits_total{", `type="exact"`),
		"cache_misses":       family("semcache_misses_total"),
		"breaker_refused":    family("circuit_breaker_calls_total{", `status="rejected"`),
	} {
		want := grown(match)
		if got := *v.Lines[line][1] * span; math.Abs(got-want) > .02*want || want == 0 { // times are in milliseconds
			t.Errorf("%s: drawn %g, counted %g", line, got, want)
		}
	}
	if v.Status.Look != "bad" || v.Hosts[0].State != "open" || len(v.Changes) != 1 || v.Changes[0].To != "open" {
		t.Errorf("%+v %+v %+v", v.Status, v.Hosts, v.Changes)
	}
	if p := v.Lines["first_word_p50"][1]; p == nil || *p <= 0 {
		t.Error("no first word is drawn")
	}
	if got := h.picture(fmt.Sprintf("?since=%.3f", v.At[0])); len(got.At) != 1 || got.At[0] != v.At[1] {
		t.Errorf("since the first: %v", got.At)
	}
	for _, bad := range []string{"x", "-1", "NaN", "1e99"} {
		if r := h.send("GET", "/api/dashboard?since="+bad, ""); r.status != http.StatusUnprocessableEntity || !strings.Contains(string(r.body), "Unix seconds") {
			t.Errorf("since=%s: %d %s", bad, r.status, r.body)
		}
	}
	if r := h.send("GET", "/dashboard", ""); r.status != http.StatusOK || !strings.Contains(r.header.Get("Content-Type"), "text/html") || !strings.Contains(string(r.body), "/static/dashboard.js") {
		t.Errorf("the page: %d %v", r.status, r.header)
	}
}

func TestTheLivePageShowsWhatItCanWithoutMetrics(t *testing.T) {
	_, h := scripted(t, "METRICS_ENABLED=false")
	h.withDocs()
	h.live.Take()
	h.ask("When is the rent due?", nil)
	h.live.Take()
	v := h.picture("")
	if v.Metrics || *v.Lines["cache_misses"][1] <= 0 || *v.Lines["requests_ok"][1] != 0 || v.Status.Look != "good" {
		t.Errorf("%+v", v)
	}
}

// A server takes samples from its start on, whether or not anybody looks.
func TestAServerTakesSamplesByItself(t *testing.T) {
	_, h := scripted(t)
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.background(ctx)
	}()
	deadline := time.After(20 * time.Second)
	for len(h.picture("").At) == 0 {
		select {
		case <-deadline:
			stop(errors.New("too late"))
			t.Fatal("no sample")
		default:
		}
	}
	stop(nil)
	<-ended
}

// A host that dies while nobody asks anything is seen by whoever opens the page.
func TestTheLivePageSeesAnIdleHostDie(t *testing.T) {
	stub, h := scripted(t)
	h.live.Take()
	if v := h.picture(""); v.Status.Look != "good" {
		t.Fatalf("%+v", v.Status)
	}
	stub.Refuse()
	deadline := time.After(20 * time.Second) // hosts are asked every five seconds at most
	for {
		v := h.picture("")
		if v.Status.Look == "bad" && strings.HasPrefix(v.Status.Text, "No model server answers") && v.Hosts[0].Look == "bad" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%+v", v)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
