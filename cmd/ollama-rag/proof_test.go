package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/observe"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// rightlyEmpty are the expressions, by where they stand, that find nothing under the traffic below, and why that is as it should be.
var rightlyEmpty = map[string]string{
	"alert OllamaRAGMemoryGrowing":     "compares with a day ago",
	"alert OllamaRAGGoroutinesGrowing": "compares with a day ago",
	"alert OllamaRAGTokensSlow":        "compares with hours ago",
	"alert OllamaRAGCacheHitsGone":     "compares with a day ago",
	"alert OllamaRAGDocumentsGone":     "compares with an hour ago",
}

// TestEveryExpressionFindsItsSeriesUnderTraffic is the proof that no panel, rule or page reads a name that is not there, or asks for
// labels that never come: two servers under traffic of every kind, a real Prometheus, and every expression asked.
func TestEveryExpressionFindsItsSeriesUnderTraffic(t *testing.T) {
	wide, narrow := newWide(t), newNarrow(t)
	rules := map[string][]byte{}
	files, err := observe.Files()
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range files {
		if strings.HasSuffix(path, "rules.yml") {
			rules[path] = content
		}
	}
	prom := startPrometheus(t, scrapeEvery, rules, wide.url, narrow.url)
	prom.scraped(1)
	for round := range 2 { // a series that comes with the first round grows in the second
		wide.traffic(round)
		narrow.traffic(prom, round)
		prom.scraped(2)
	}
	checkMoved(t, wide.scrape(), narrow.scrape())
	known := prom.names()
	board := observe.Dashboard()
	unused := maps.Clone(rightlyEmpty)
	for _, e := range append(observe.Expressions(), documented(t)...) {
		for _, name := range seriesName.FindAllString(e.Expr, -1) {
			if !known[name] {
				t.Errorf("%s reads %s, which nobody serves", e.Where, name)
			}
		}
		found, err := prom.finds(board.Fill(e.Expr, "1h", "1h"))
		why, empty := rightlyEmpty[e.Where]
		delete(unused, e.Where)
		switch {
		case err != nil:
			t.Errorf("%s: %v in %s", e.Where, err, e.Expr)
		case !found && !empty:
			t.Errorf("%s finds nothing: %s", e.Where, e.Expr)
		case found && empty:
			t.Errorf("%s finds something, though rightlyEmpty says that it does not (%s)", e.Where, why)
		}
	}
	for where := range unused {
		t.Errorf("rightlyEmpty lists %s, which is not there", where)
	}
}

// seriesName finds the names of our series and of those that Prometheus and Go add; recorded ones have a colon.
var seriesName = regexp.MustCompile(`\b(?:[a-z_]+:)?(?:ollama_rag|go|process|scrape)_[\w:]+|\bup\b`)

// documented are the queries in the pages: a query begins at the margin of a block marked promql, further lines of it are indented.
func documented(t *testing.T) []observe.Expression {
	t.Helper()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []observe.Expression
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		inside := false
		for line := range strings.Lines(string(data)) {
			text, _, _ := strings.Cut(line, " #")
			switch text = strings.TrimRight(text, " \n"); {
			case strings.HasPrefix(text, "```"):
				inside = text == "```promql"
			case !inside || text == "":
			case text[0] == ' ':
				all[len(all)-1].Expr += "\n" + text
			default:
				all = append(all, observe.Expression{Where: filepath.Base(page) + ": " + text, Expr: text})
			}
		}
	}
	if len(all) == 0 {
		t.Error("no page has a block of promql: is this still the way to write one?")
	}
	return all
}

// kinds are the series that the traffic must move, beyond one of each counter and histogram.
var kinds = []string{
	`http_requests_total{code="200",method="POST",route="/api/query"}`, `http_requests_total{code="503",method="POST",route="/api/query"}`,
	`http_streams_aborted_total{side="client"}`, `http_streams_aborted_total{side="upstream"}`,
	`queries_total{method="hybrid",outcome="answered",provider="ollama"}`, `queries_total{method="hybrid",outcome="degraded",provider="ollama"}`,
	`queries_total{method="hybrid",outcome="refused",provider="ollama"}`, `queries_total{method="hybrid",outcome="error",provider="ollama"}`,
	`queries_total{method="hybrid",outcome="abandoned",provider="ollama"}`,
	`circuit_breaker_calls_total{breaker_name="ollama_client",status="rejected"}`,
	`circuit_breaker_transitions_total{breaker_name="ollama_client",from_state="half_open",to_state="closed"}`,
	`semcache_hits_total{type="exact"}`, `semcache_hits_total{type="semantic"}`, `semcache_guard_rejections_total{reason="numbers"}`,
	`semcache_evictions_total{reason="changed"}`, `semcache_evictions_total{reason="cleared"}`, `documents_ingested_total{status="skipped"}`, `documents_ingested_total{status="replaced"}`,
	`queue_rejected_total{reason="full"}`, `retries_total{reason="status"}`, `connection_pool_dials_total{client_name="ollama_client",result="refused"}`,
}

// checkMoved sees to it that the traffic is of every kind.
func checkMoved(t *testing.T, scrapes ...map[string]float64) {
	t.Helper()
	moved := map[string]bool{}
	for _, kind := range kinds {
		moved["ollama_rag_"+kind] = false
	}
	for _, scrape := range scrapes {
		for series, v := range scrape {
			name, _, _ := strings.Cut(series, "{")
			if _, ours := moved[series]; ours {
				moved[series] = moved[series] || v > 0
			}
			if strings.HasPrefix(name, "ollama_rag_") && (strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_count")) {
				moved[name] = moved[name] || v > 0
			}
		}
	}
	for _, series := range slices.Sorted(maps.Keys(moved)) {
		if !moved[series] {
			t.Errorf("%s stayed 0: the traffic of this test is not of every kind", series)
		}
	}
}

// asked is a question of each round of the wide house.
const asked = "How many failures open the breaker?"

// wideHouse has two hosts and every cache.
type wideHouse struct {
	*testHouse
	first, second *ollamatest.Server
}

func newWide(t *testing.T) *wideHouse {
	chat, vectors := ollamatest.ChatModel("llama3.1:8b"), ollamatest.EmbeddingModel("all-minilm:latest", 384)
	chat.Loaded = true // on both: a second attempt goes only to a host that holds the model
	first, second := ollamatest.NewReturning(t, chat, vectors), ollamatest.New(t, chat, vectors)
	for _, stub := range []*ollamatest.Server{first, second} {
		stub.SetText("It opens after 5 consecutive failures [1].")
	}
	h := open(t, first.URL+","+second.URL, "EMBED_MODEL=all-minilm", "LLM_MODEL=llama3.1:8b", "GATEWAY_CACHE=all", "OLLAMA_HEDGE_AFTER=0.05")
	return &wideHouse{h.withDocs(), first, second}
}

// traffic is a round of everything that goes well, or is made good.
func (h *wideHouse) traffic(round int) {
	h.t.Helper()
	h.hedged(round) // before the faults, after which a host is left alone for a while
	h.questions(round)
	h.documents(round)
	h.passed(round)
	h.faults(round)
}

func (h *wideHouse) questions(round int) {
	h.t.Helper()
	h.send("POST", "/api/cache/clear", "")
	for _, q := range []string{asked, asked, "The breaker: how many failures open?", "How many failures open the breaker 2?"} { // miss, exact, semantic, a guard
		h.ask(q, nil)
	}
	h.ask(asked, map[string]any{"method": "bm25"})
	h.ask(asked, map[string]any{"method": "vector"})
	h.events(fmt.Sprintf(`{"query":"When is the rent of month %d due?"}`, round))
	h.send("POST", "/api/search", `{"query":"rent"}`)
	h.send("GET", "/health", "")
	h.send("POST", "/api/query", `{"query":"rent","db":"nowhere"}`)
	h.send("POST", "/api/query", `{"query":`)
	h.send("POST", "/api/dbs/create", `{"name":"empty"}`)
	h.ask(fmt.Sprintf("Question %d that nothing answers?", round), map[string]any{"db": "empty"})
	h.coalesced(fmt.Sprintf(`{"query":"What does late rent cost in year %d?"}`, round))
}

// coalesced asks the same thing twice at once.
func (h *wideHouse) coalesced(body string) {
	h.t.Helper()
	before := h.joins.Coalesced()
	for _, stub := range []*ollamatest.Server{h.first, h.second} {
		stub.FailPath("/api/chat", 1, ollamatest.Hang())
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { h.send("POST", "/api/query", body) })
	}
	h.awaitFollowers(before + 1)
	h.first.Heal()
	h.second.Heal()
	both.Wait()
}

func (h *wideHouse) documents(round int) {
	h.t.Helper()
	h.upload("", fmt.Sprintf("news%d.txt", round), fmt.Sprintf("How many failures open the breaker? It is %d failures that open the breaker.", round+6))
	h.ask(asked, nil) // remembered, and there is a better passage now
	lease := fmt.Sprintf("The rent is due on day %d of the month.", round+2)
	h.upload("", "rent.txt", lease)
	h.upload("", "rent.txt", lease)
	dir := h.t.TempDir()
	for name, content := range map[string]string{"a.md": fmt.Sprintf("# A\n\nAlpha number %d.", round), "b.bin": "\x00\x01"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	h.send("POST", "/api/ingest", fmt.Sprintf(`{"paths":[%q]}`, dir))
	h.events(fmt.Sprintf(`{"query":"When is the rent of month %d due?"}`, round))
}

// passed is what clients of Ollama and OpenAI send.
func (h *wideHouse) passed(round int) {
	h.t.Helper()
	chat := strings.Replace(greedyChat, "hello", fmt.Sprintf("hello %d", round), 1)
	h.send("POST", "/api/chat", chat)
	h.send("POST", "/api/chat", chat)
	h.send("POST", "/api/embed", `{"model":"all-minilm","input":"x"}`)
	h.send("GET", "/api/tags", "")
	for _, stub := range []*ollamatest.Server{h.first, h.second} {
		stub.FailPath("/api/chat", 1, ollamatest.Ends(ollamatest.MidLine, 2))
	}
	req, err := http.NewRequestWithContext(h.t.Context(), "POST", h.url+"/api/chat", strings.NewReader(strings.Replace(chat, "hello", "cut", 1)))
	if err != nil {
		h.t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body) // ends in the middle
		resp.Body.Close()
	}
	h.first.Heal()
	h.second.Heal()
}

// faults are those that retries, the second host and a second attempt make good.
func (h *wideHouse) faults(round int) {
	h.t.Helper()
	h.first.FailPath("/api/chat", 1, ollamatest.Busy(time.Second))
	h.second.FailPath("/api/chat", 1, ollamatest.Status(http.StatusInternalServerError))
	h.ask(fmt.Sprintf("How long does it stay open after failure %d?", round), nil)
	h.first.Heal()
	h.second.Heal()
	h.first.Refuse()
	for i := range 3 {
		h.ask(fmt.Sprintf("How many probes of %d does it let through in round %d?", i, round), nil)
	}
	h.first.Accept(h.t)
}

// hedged lets the host that is asked first say nothing, so that the other is asked too.
func (h *wideHouse) hedged(round int) {
	h.t.Helper()
	h.first.FailPath("/api/chat", 1, ollamatest.Slow(150*time.Millisecond, 0))
	h.second.FailPath("/api/chat", 1, ollamatest.Slow(150*time.Millisecond, 0))
	h.ask(fmt.Sprintf("How many idle connections does pool %d keep?", round), nil)
	h.first.Heal()
	h.second.Heal()
}

// narrowHouse has one host, one place on it, one place in line, and answers that are soon too old.
type narrowHouse struct {
	*testHouse
	stub *ollamatest.Server
}

func newNarrow(t *testing.T) *narrowHouse {
	stub := ollamatest.New(t)
	h := open(t, stub.URL, "EMBED_MODEL=all-minilm", "LLM_MODEL=llama3.1:8b", "OLLAMA_MAX_RETRIES=0", "OLLAMA_MAX_CONCURRENCY=1", "OLLAMA_QUEUE_SIZE=1",
		"CIRCUIT_BREAKER_TIMEOUT=2", "CIRCUIT_BREAKER_SUCCESS_THRESHOLD=1", "SEMANTIC_CACHE_TTL=0.2", "SEMANTIC_CACHE_STALE_IF_ERROR=1h")
	return &narrowHouse{h.withDocs(), stub}
}

// traffic is a round of everything that goes wrong.
func (h *narrowHouse) traffic(prom *promServer, round int) {
	h.t.Helper()
	h.full(prom, round)
	h.leaves(round)
	h.outage(prom, round)
}

// full asks more at once than there are places.
func (h *narrowHouse) full(prom *promServer, round int) {
	h.t.Helper()
	before := h.stub.Count("/api/chat")
	h.stub.FailPath("/api/chat", 2, ollamatest.Hang())
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			h.send("POST", "/api/query", fmt.Sprintf(`{"query":"How many failures open breaker %d in round %d?","degrade":false}`, i, round))
		})
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	if err := h.stub.AwaitCount(ctx, "/api/chat", before+1); err != nil {
		h.t.Fatal(err)
	}
	prom.await("two calls are refused", func() bool {
		return h.scrape()[`ollama_rag_queue_rejected_total{reason="full"}`] >= float64(2*(round+1))
	})
	h.stub.Heal()
	all.Wait()
}

// leaves begins to read an answer and goes away.
func (h *narrowHouse) leaves(round int) {
	h.t.Helper()
	before := h.stub.Count("/api/chat")
	h.stub.FailPath("/api/chat", 1, ollamatest.Ends(ollamatest.Stall, 1))
	ctx, leave := context.WithCancel(h.t.Context())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "POST", h.url+"/api/stream_query", strings.NewReader(fmt.Sprintf(`{"query":"How many idle connections are kept in round %d?"}`, round)))
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	wait, stop := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer stop()
	if err := h.stub.AwaitCount(wait, "/api/chat", before+1); err != nil {
		h.t.Fatal(err)
	}
	leave()
	if _, err := h.stub.AwaitDisconnect(wait); err != nil {
		h.t.Fatal(err)
	}
}

// outage opens the breaker, lets Prometheus see it, and closes it again.
func (h *narrowHouse) outage(prom *promServer, round int) {
	h.t.Helper()
	question := fmt.Sprintf("How long does the breaker stay open in round %d?", round)
	h.ask(question, nil)
	h.stub.Fail(-1, ollamatest.Status(http.StatusInternalServerError)) // vectors too, or the host would not be blamed
	for i := range 8 {
		h.send("POST", "/api/query", fmt.Sprintf(`{"query":"Which probes come through, number %d of round %d?","degrade":%t}`, i, round, i%2 == 0))
	}
	prom.scraped(2)
	h.ask(question, nil) // too old by now, and better than none
	h.stub.Heal()
	prom.await("the breakers close", func() bool {
		h.ask(fmt.Sprintf("Is it well again in round %d?", round), map[string]any{"temperature": .5})
		for series, state := range h.scrape() {
			if strings.HasPrefix(series, "ollama_rag_circuit_breaker_state{") && state != 0 {
				return false
			}
		}
		return true
	})
}
