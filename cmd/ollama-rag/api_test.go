package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

func TestAnswerCitesPassagesByTheirBytes(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	a := h.ask("How many consecutive failures open the breaker?", map[string]any{"k": 3})
	cites := a["citations"].([]any)
	if len(cites) == 0 {
		t.Fatalf("no citation in %v", a["answer"])
	}
	for _, c := range cites {
		c := c.(map[string]any)
		doc := h.send("GET", fmt.Sprintf("/api/docs/%v", c["document_id"]), "").json(t)
		start, end := int(c["start"].(float64)), int(c["end"].(float64))
		if quote := doc["text"].(string)[start:end]; quote != c["quote"] {
			t.Errorf("bytes %d to %d are %q, the quote is %q", start, end, quote, c["quote"])
		}
		if !slices.Contains([]any{"supported", "unsupported", "inferred", "quoted"}, c["verdict"]) {
			t.Errorf("verdict %v", c["verdict"])
		}
	}
	for _, field := range []string{"contexts", "metadatas", "db", "method", "bm25_weight", "rerank_enable", "rerank_top_n", "cache_hit", "cache", "timings", "usage", "dropped", "degraded"} {
		if _, ok := a[field]; !ok {
			t.Errorf("the answer lacks %s", field)
		}
	}
}

func TestStreamBeginsWithContextsAndEndsWithDone(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	events := h.events(`{"query":"How many consecutive failures open the breaker?"}`)
	if got := names(events); !slices.Equal(got, []string{"contexts", "status", "token", "citation", "done"}) {
		t.Fatalf("events %v", got)
	}
	var text strings.Builder
	for _, ev := range events {
		if ev["event"] == "token" {
			text.WriteString(ev["token"].(string))
		}
	}
	if done := events[len(events)-1]; done["answer"] != text.String() {
		t.Errorf("done says %q, the tokens %q", done["answer"], text.String())
	}
	again := h.events(`{"query":"How many consecutive failures open the breaker?"}`)
	if done := again[len(again)-1]; done["cache_hit"] != true || done["answer"] != text.String() {
		t.Errorf("the replay is another answer: %v", done)
	}
}

func TestStreamIsServerSentEventsForWhoAsks(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	r := h.send("POST", "/api/stream_query", `{"query":"When is the rent due?"}`, "Accept", "text/event-stream")
	if r.header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("content type %s", r.header.Get("Content-Type"))
	}
	var last string
	for frame := range strings.SplitSeq(strings.TrimSuffix(string(r.body), "\n\n"), "\n\n") {
		name, data, ok := strings.Cut(frame, "\ndata: ")
		if !ok || !strings.HasPrefix(name, "event: ") || !json.Valid([]byte(data)) {
			t.Fatalf("frame %q", frame)
		}
		last = strings.TrimPrefix(name, "event: ")
	}
	if last != "done" {
		t.Errorf("the last event is %s", last)
	}
}

func TestBrokenModelStreamEndsInAnErrorEventAndIsNotRemembered(t *testing.T) {
	stub, h := scripted(t, "OLLAMA_MAX_RETRIES=0")
	h.withDocs()
	for _, end := range []ollamatest.End{ollamatest.MidLine, ollamatest.ErrorLine, ollamatest.NoDone} {
		stub.FailPath("/api/chat", 1, ollamatest.Ends(end, 3))
		events := h.events(`{"query":"When is the rent due?"}`)
		last := events[len(events)-1]
		if last["event"] != "error" || last["error"].(map[string]any)["detail"] == "" {
			t.Errorf("%v: the last event is %v", end, last)
		}
	}
	h.wantMetric("semcache_size", 0)
}

func TestClientThatLeavesStopsTheModelAndHarmsNoBreaker(t *testing.T) {
	stub, h := scripted(t)
	h.withDocs()
	stub.FailPath("/api/chat", 1, ollamatest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", h.url+"/api/stream_query", strings.NewReader(`{"query":"When is the rent due?"}`))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body) // until the client leaves
			resp.Body.Close()
		}
	}()
	wait, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if err := stub.AwaitCount(wait, "/api/chat", 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
	if _, err := stub.AwaitDisconnect(wait); err != nil {
		t.Fatal("the model went on writing: ", err)
	}
	h.wantMetric(`circuit_breaker_calls_total{breaker_name="ollama_client",status="failure"}`, 0)
	if a := h.ask("When is the rent due?", nil); a["degraded"] != false {
		t.Errorf("the next answer is degraded: %v", a["notice"])
	}
}

func TestNoModelServerQuotesPassagesAndSaysSo(t *testing.T) {
	stub := ollamatest.New(t)
	stub.Refuse()
	h := open(t, stub.URL).withDocs()
	a := h.ask("How many consecutive failures open the breaker?", nil)
	if a["degraded"] != true || a["degraded_reason"] != "no_model" || !strings.Contains(a["notice"].(string), "ollama serve") {
		t.Errorf("degraded %v, reason %v, notice %v", a["degraded"], a["degraded_reason"], a["notice"])
	}
	if !strings.Contains(a["answer"].(string), "5 consecutive failures") {
		t.Errorf("the answer does not quote the passage: %v", a["answer"])
	}
	if r := h.send("POST", "/api/query", `{"query":"breaker","degrade":false}`); r.status != http.StatusServiceUnavailable {
		t.Errorf("degrade false: %d %s", r.status, r.body)
	}
	health := h.send("GET", "/health", "").json(t)
	if health["status"] != "degraded" || h.send("GET", "/health/ready", "").status != http.StatusOK {
		t.Errorf("health %v", health["status"])
	}
	stub.Accept(t)
	if health := h.send("GET", "/health", "").json(t); health["status"] != "healthy" {
		t.Errorf("Ollama is back, health says %v", health["status"])
	}
}

func TestWhoWantsNoQuotedPassagesGetsAStatusFromStreamsToo(t *testing.T) {
	stub := ollamatest.New(t)
	stub.Refuse()
	h := open(t, stub.URL).withDocs()
	if r := h.send("POST", "/api/stream_query", `{"query":"breaker","degrade":false}`); r.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", r.status, r.body)
	}
	stub.Accept(t)
	_, up := scripted(t)
	up.withDocs()
	if got := names(up.events(`{"query":"When is the rent due?","degrade":false}`)); !slices.Equal(got, []string{"contexts", "token", "citation", "done"}) {
		t.Errorf("events %v", got)
	}
}

func TestNobodyIsAskedBeforeAClientAsks(t *testing.T) {
	stub := ollamatest.New(t)
	dir := t.TempDir()
	stub.Refuse()
	first := openAt(t, dir, stub.URL)
	first.upload("", "rent.txt", "The rent is due on the third day.")
	first.closeNow()
	stub.Accept(t)
	h := openAt(t, dir, stub.URL)
	h.wantMetric(`connection_pool_requests_total{client_name="ollama_client"}`, 0)
	h.wantMetric(`circuit_breaker_calls_total{breaker_name="ollama_client",status="failure"}`, 0)
	if stub.Total() != 0 {
		t.Errorf("%d requests", stub.Total())
	}
}

func TestSetButMissingModelIs404ThatListsWhatIsThere(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	r := h.send("POST", "/api/query", `{"query":"rent","model":"nope"}`)
	if r.status != http.StatusNotFound || !strings.Contains(string(r.body), "llama3.1:8b") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestBadRequestsGetTheirStatusAndASentence(t *testing.T) {
	_, h := scripted(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/api/query", ``, 400, "no body"},
		{"POST", "/api/query", `{"query":`, 400, "ends too early"},
		{"POST", "/api/query", `[1]`, 400, "object"},
		{"POST", "/api/query", `{"query":7}`, 400, "query"},
		{"POST", "/api/query", `{"query":"  "}`, 422, "query"},
		{"POST", "/api/query", `{"query":"x","k":0}`, 422, "k: 0, 1 to 50"},
		{"POST", "/api/query", `{"query":"x","k":51}`, 422, "k: 51"},
		{"POST", "/api/query", `{"query":"x","k":1.5}`, 400, "whole number"},
		{"POST", "/api/query", `{"query":"x","method":"magic"}`, 422, "hybrid, vector, bm25"},
		{"POST", "/api/query", `{"query":"x","bm25_weight":2}`, 422, "bm25_weight"},
		{"POST", "/api/query", `{"query":"x","rrf_k":-1}`, 422, "rrf_k"},
		{"POST", "/api/query", `{"query":"x","provider":"other"}`, 422, "provider"},
		{"POST", "/api/query", `{"query":"x","db":"nope"}`, 404, "nope"},
		{"POST", "/api/query", `{"query":"` + strings.Repeat("x", 9000) + `"}`, 422, "8192"},
		{"POST", "/api/stream_query", `{"query":"x","db":"nope"}`, 404, "nope"},
		{"POST", "/api/search", `{"query":"x","db":"nope"}`, 404, "nope"},
		{"POST", "/api/dbs/create", `{"name":".."}`, 422, "name"},
		{"POST", "/api/dbs/create", `{"name":"a/b"}`, 422, "name"},
		{"POST", "/api/dbs/create", `{"name":"default"}`, 409, "exists"},
		{"DELETE", "/api/dbs/%2e%2e", ``, 404, ""},
		{"DELETE", "/api/dbs/nope", ``, 404, "nope"},
		{"DELETE", "/api/dbs/default", ``, 409, "DB_NAME"},
		{"GET", "/api/docs?db=nope", ``, 404, "nope"},
		{"GET", "/api/docs/999", ``, 404, "999"},
		{"GET", "/api/jobs/nope", ``, 404, "job"},
		{"POST", "/api/ingest", `{"paths":[]}`, 422, "paths"},
		{"POST", "/api/ingest", `{"paths":["/etc/passwd"]}`, 403, "INGEST_ROOTS"},
		{"POST", "/api/ingest", `{"paths":["/no/such/place"]}`, 403, "INGEST_ROOTS"},
		{"POST", "/api/ingest", `{"paths":["no-such-place-here"]}`, 404, "paths"},
		{"PUT", "/api/query", `{}`, 405, "POST"},
		{"GET", "/nowhere", ``, 404, ""},
		{"POST", "/api/cache/config", `{"similarity_threshold":0}`, 422, "similarity_threshold"},
		{"POST", "/api/cache/config", `{"max_bytes":1000}`, 422, "max_bytes: 1000, 1048576"},
		{"POST", "/api/cache/config", `{"typo":1}`, 422, "typo"},
		{"POST", "/api/cache/clear", `{"database":"x"}`, 422, "database"},
		{"DELETE", "/api/dbs/..", ``, 404, ""},
		{"GET", "//etc/passwd", ``, 404, ""},
	} {
		r := h.send(c.method, c.path, c.body)
		if r.status != c.status || !strings.Contains(string(r.body), c.says) {
			t.Errorf("%s %s %.60s: %d %s, want %d and %q", c.method, c.path, c.body, r.status, r.body, c.status, c.says)
			continue
		}
		p := r.json(t)
		if r.header.Get("Content-Type") != "application/problem+json" || p["detail"] == "" || p["code"] == "" || p["request_id"] != r.header.Get("X-Request-ID") {
			t.Errorf("%s %s: no whole problem: %s", c.method, c.path, r.body)
		}
	}
}

func TestUploadIsDurableReplacesAndIsGoneWhenDeleted(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	h.ask("When is the rent due?", nil)
	h.wantMetric("semcache_size", 1)
	if r := h.upload("", "rent.txt", "The rent is due on the third working day of each month. Late rent costs 2 percent."); r.json(t)["report"].(map[string]any)["unchanged"].(float64) != 1 {
		t.Errorf("the same file again: %s", r.body)
	}
	h.wantMetric("semcache_size", 1)
	h.upload("", "rent.txt", "The rent is due on the fifteenth of each month.")
	h.wantMetric("semcache_size", 0)
	if a := h.ask("When is the rent due?", nil); a["cache_hit"] == true || !strings.Contains(fmt.Sprint(a["contexts"]), "fifteenth") || strings.Contains(fmt.Sprint(a["contexts"]), "third working") {
		t.Errorf("after the change: %v", a["contexts"])
	}
	r := h.send("DELETE", "/api/docs", `{"sources":["rent.txt","never.txt"]}`).json(t)
	if r["deleted_sources"].(float64) != 1 || fmt.Sprint(r["not_found"]) != "[never.txt]" {
		t.Errorf("delete: %v", r)
	}
	if a := h.ask("When is the rent due?", nil); a["cache_hit"] == true || strings.Contains(fmt.Sprint(a["contexts"]), "fifteenth") {
		t.Errorf("after the deletion: %v", a["contexts"])
	}
}

func TestEveryOptionThatChangesTheAnswerMissesTheCache(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	const question = "When is the rent due?"
	h.ask(question, nil)
	for _, fields := range []map[string]any{
		{"k": 2}, {"method": "bm25"}, {"bm25_weight": .7}, {"rrf_enable": true}, {"languages": []string{"en"}}, {"sources": []string{"rent.txt"}},
		{"model": "llama3.1:8b", "k": 3}, {"temperature": .5}, {"seed": 7},
	} {
		if a := h.ask(question, fields); a["cache_hit"] != false {
			t.Errorf("%v was served an answer to another request", fields)
		}
	}
	if a := h.ask(question, nil); a["cache_hit"] != true {
		t.Error("the same request misses")
	}
	h.send("POST", "/api/dbs/create", `{"name":"other"}`)
	if a := h.ask(question, map[string]any{"db": "other"}); a["cache_hit"] != false {
		t.Error("another knowledge base was served this one's answer")
	}
}

func TestTwoKnowledgeBasesNeverMeet(t *testing.T) {
	_, h := scripted(t)
	for _, db := range []string{"red", "blue"} {
		h.send("POST", "/api/dbs/create", `{"name":"`+db+`"}`)
		if r := h.upload(db, "colour.txt", "The colour of the house is "+db+"."); r.status != http.StatusOK {
			t.Fatalf("%s", r.body)
		}
	}
	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			db := []string{"red", "blue"}[i%2]
			a := h.ask(fmt.Sprintf("What is the colour of house %d?", i), map[string]any{"db": db})
			if a["db"] != db || !strings.Contains(fmt.Sprint(a["contexts"]), "is "+db) {
				t.Errorf("asked %s, got %v from %v", db, a["contexts"], a["db"])
			}
		})
	}
	wait.Wait()
}

func TestIngestOfAFolderReportsEachFile(t *testing.T) {
	_, h := scripted(t)
	dir := t.TempDir()
	for name, content := range map[string]string{"a.md": "# A\n\nAlpha is first.", "b.bin": "\x00\x01", "sub/c.txt": "Gamma is third.", ".hidden.txt": "secret"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := h.send("POST", "/api/ingest", `{"paths":[`+fmt.Sprintf("%q", dir)+`]}`)
	if r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	report := r.json(t)["report"].(map[string]any)
	if report["added"].(float64) != 2 || report["skipped"].(float64) != 1 {
		t.Errorf("report %v", report)
	}
	accepted := h.send("POST", "/api/ingest", `{"paths":[`+fmt.Sprintf("%q", dir)+`],"async":true}`)
	if accepted.status != http.StatusAccepted || accepted.json(t)["job"] == "" {
		t.Errorf("async: %d %s", accepted.status, accepted.body)
	}
}

func TestKeysDecideWhoMayDoWhat(t *testing.T) {
	stub := ollamatest.New(t)
	h := open(t, stub.URL, "API_KEYS=read:reader-key-123456,write:writer-key-123456,admin:admin-key-1234567")
	for _, c := range []struct {
		key, method, path, body string
		status                  int
	}{
		{"", "POST", "/api/search", `{"query":"x"}`, 401},
		{"wrong-key-123456789", "POST", "/api/search", `{"query":"x"}`, 401},
		{"reader-key-123456", "POST", "/api/search", `{"query":"x"}`, 200},
		{"reader-key-123456", "DELETE", "/api/docs", `{"sources":["x"]}`, 403},
		{"writer-key-123456", "DELETE", "/api/docs", `{"sources":["x"]}`, 200},
		{"writer-key-123456", "POST", "/api/dbs/create", `{"name":"x"}`, 403},
		{"admin-key-1234567", "POST", "/api/dbs/create", `{"name":"x"}`, 201},
		{"", "GET", "/health/live", "", 200},
		{"", "GET", "/", "", 200},
		{"", "GET", "/metrics", "", 401},
		{"reader-key-123456", "GET", "/metrics", "", 200},
		{"", "GET", "/dashboard", "", 200},
		{"", "GET", "/api/dashboard", "", 401},
		{"reader-key-123456", "GET", "/api/dashboard", "", 200},
	} {
		header := []string{}
		if c.key != "" {
			header = []string{"Authorization", "Bearer " + c.key}
		}
		if r := h.send(c.method, c.path, c.body, header...); r.status != c.status {
			t.Errorf("%q %s %s: %d %s, want %d", c.key, c.method, c.path, r.status, r.body, c.status)
		}
	}
}

func TestForeignPagesCannotMakeABrowserChangeAnything(t *testing.T) {
	_, h := scripted(t)
	if r := h.send("POST", "/api/dbs/create", `{"name":"x"}`, "Origin", "https://evil.example"); r.status != http.StatusForbidden {
		t.Errorf("foreign origin: %d", r.status)
	}
	if r := h.send("POST", "/api/dbs/create", `{"name":"x"}`, "Sec-Fetch-Site", "cross-site"); r.status != http.StatusForbidden {
		t.Errorf("cross-site: %d", r.status)
	}
	if r := h.send("POST", "/api/dbs/create", `{"name":"x"}`, "Origin", h.url); r.status != http.StatusCreated {
		t.Errorf("own origin: %d %s", r.status, r.body)
	}
	r := h.send("OPTIONS", "/api/query", "", "Origin", "http://localhost:8000", "Access-Control-Request-Method", "POST")
	if r.header.Get("Access-Control-Allow-Origin") != "http://localhost:8000" {
		t.Errorf("preflight of an allowed origin: %v", r.header)
	}
}

func TestRequestIDComesBackAndAnswersAreNotStored(t *testing.T) {
	_, h := scripted(t)
	r := h.send("GET", "/api/dbs", "", "X-Request-ID", "my-id.1")
	if r.header.Get("X-Request-ID") != "my-id.1" || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", r.header)
	}
	if r := h.send("GET", "/api/dbs", "", "X-Request-ID", "bad id\"<"); r.header.Get("X-Request-ID") == "bad id\"<" {
		t.Error("a strange request id was taken over")
	}
}

func TestPageIsServedUnderAStrictPolicy(t *testing.T) {
	_, h := scripted(t)
	r := h.send("GET", "/", "", "Accept", "text/html,*/*")
	if r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") || !strings.Contains(r.header.Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("%d %v", r.status, r.header)
	}
	for _, part := range []string{"unsafe-inline", "unsafe-eval", "*"} {
		if strings.Contains(r.header.Get("Content-Security-Policy"), part) {
			t.Errorf("the policy allows %s", part)
		}
	}
	if js := h.send("GET", "/static/app.js", ""); js.status != http.StatusOK || !strings.HasPrefix(js.header.Get("Content-Type"), "text/javascript") {
		t.Errorf("app.js: %d %v", js.status, js.header)
	}
	if r := h.send("GET", "/static/../web.go", ""); r.status == http.StatusOK {
		t.Error("a file outside the page was served")
	}
}

func TestBodiesBeyondTheLimitAre413AndLargeFilesAreReported(t *testing.T) {
	stub := ollamatest.New(t)
	h := open(t, stub.URL, "MAX_BODY_BYTES=2048", "MAX_UPLOAD_BYTES=2048")
	if r := h.send("POST", "/api/query", `{"query":"`+strings.Repeat("x", 4000)+`"}`); r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("body: %d %s", r.status, r.body)
	}
	if r := h.upload("", "big.txt", strings.Repeat("word ", 1000)); r.status != http.StatusRequestEntityTooLarge || !strings.Contains(string(r.body), "MAX_UPLOAD_BYTES") {
		t.Errorf("file: %d %s", r.status, r.body)
	}
	if r := h.upload("", "big.txt", strings.Repeat("word ", 1000), "small.txt", "A small file."); r.status != http.StatusOK {
		t.Errorf("one large file keeps the others out: %d %s", r.status, r.body)
	}
	if r := h.upload("", "picture.png", "\x89PNG"); r.status != http.StatusUnsupportedMediaType {
		t.Errorf("unreadable kind: %d %s", r.status, r.body)
	}
}

func TestEmbedderThatDoesNotAnswerLeavesBM25Marked(t *testing.T) {
	stub, h := scripted(t, "OLLAMA_MAX_RETRIES=0")
	h.withDocs()
	stub.FailPath("/api/embed", 1, ollamatest.Status(http.StatusInternalServerError, `{"error":"boom"}`))
	a := h.ask("When is the rent due?", nil)
	if a["degraded"] != true || a["degraded_reason"] != "no_vectors" || a["retrieval"].(map[string]any)["method"] != "bm25" || len(a["contexts"].([]any)) == 0 {
		t.Errorf("%v %v %v", a["degraded"], a["degraded_reason"], a["retrieval"])
	}
	h.wantMetric("semcache_size", 0)
}

func TestNumCtxIsSentAndNeverExceeded(t *testing.T) {
	stub := ollamatest.New(t)
	h := open(t, stub.URL, "OLLAMA_NUM_CTX=1024", "ANSWER_MAX_TOKENS=200")
	h.upload("", "long.txt", strings.Repeat("Rent is due on the third day, says paragraph of the long lease. ", 400))
	a := h.ask("When is rent due?", map[string]any{"k": 20})
	if len(a["dropped"].([]any)) == 0 {
		t.Error("twenty passages cannot fit 1024 tokens, and none was dropped")
	}
	var sent struct {
		Options struct {
			NumCtx     int `json:"num_ctx"`
			NumPredict int `json:"num_predict"`
		} `json:"options"`
	}
	if err := json.Unmarshal(stub.Requests("/api/chat")[0].Body, &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Options.NumCtx != 1024 || sent.Options.NumPredict != 200 {
		t.Errorf("options %+v", sent.Options)
	}
}
