package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// cacheStatus asks and gives Cache-Status, the status code and the body.
func (h *testHouse) cacheStatus(body string, header ...string) (string, reply) {
	h.t.Helper()
	r := h.send("POST", "/api/query", body, header...)
	return r.header.Get("Cache-Status"), r
}

func TestLaw11TheWayOfAnAnswerIsSaidAndSteered(t *testing.T) {
	stub, h := scripted(t)
	stub.SetText("It opens after five consecutive failures [1].")
	h.withDocs()
	const question, paraphrase = `{"query":"How many failures open the breaker?"}`, `{"query":"The breaker: how many failures open?"}`
	for _, c := range []struct{ body, control, want string }{
		{question, "only-if-cached", ""},
		{question, "no-store", "ollama-rag; fwd=bypass"},
		{question, "", "ollama-rag; fwd=miss; stored"},
		{question, "", "detail=exact; similarity=1.000"},
		{question, "only-if-cached", "detail=exact"},
		{question, "max-age=3600", "detail=exact"},
		{question, "max-age=0, only-if-cached", ""},
		{question, "no-cache", "ollama-rag; fwd=bypass; stored"},
		{paraphrase, "", "detail=semantic"},
		{paraphrase, "only-if-cached", "detail=semantic"},
		{strings.Replace(paraphrase, "}", `,"cache_threshold":1}`, 1), "only-if-cached", ""}, // near, but not the same
		{strings.Replace(question, "}", `,"cache_threshold":1}`, 1), "only-if-cached", "detail=exact"},
	} {
		got, r := h.cacheStatus(c.body, "Cache-Control", c.control)
		if c.want == "" {
			if p := r.json(t); r.status != http.StatusGatewayTimeout || p["code"] != "not_cached" || !strings.Contains(fmt.Sprint(p["detail"]), "only-if-cached") {
				t.Errorf("%s with %q: %d %s", c.body, c.control, r.status, r.body)
			}
			continue
		}
		if r.status != http.StatusOK || !strings.Contains(got, c.want) {
			t.Errorf("%s with %q: %d, %q, want %q; explained: %s", c.body, c.control, r.status, got, c.want, h.send("POST", "/api/cache/explain", c.body).body)
		}
		info := r.json(t)["cache"].(map[string]any)
		if hit := strings.Contains(got, "; hit;"); hit != (info["entry_id"] != nil) || hit != (r.header.Get("Age") != "") || hit && !strings.Contains(got, fmt.Sprintf("key=%q", info["entry_id"])) {
			t.Errorf("%s with %q: header %q, age %q, body %v", c.body, c.control, got, r.header.Get("Age"), info)
		}
	}
	stream := h.send("POST", "/api/stream_query", question)
	if got := stream.header.Get("Cache-Status"); !strings.Contains(got, "; hit;") || stream.header.Get("Age") != "0" {
		t.Errorf("stream: %q", got)
	}
}

func TestLaw2AnotherSpellingOfAQuestionIsTheSame(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	const made, composed, decomposed = `{"query":"Does the caf\u00e9 pay rent?"}`, `{"query":"  Does  the\n caf\u00e9 pay rent?\t"}`, `{"query":"Does the cafe\u0301 pay rent?"}`
	h.cacheStatus(made)
	for _, body := range []string{composed, decomposed} {
		if got, _ := h.cacheStatus(body); !strings.Contains(got, "detail=exact") {
			t.Errorf("%s: %s", body, got)
		}
	}
	if got, _ := h.cacheStatus(`{"query":"Does the cafe pay rent?"}`); strings.Contains(got, "detail=exact") {
		t.Errorf("another word: %s", got)
	}
}

// What goes by whatever way goes out of the answer cache and out of what models said.
func TestLaw6WhatIsDeletedOrClearedLeavesEveryCache(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	h.send("POST", "/api/dbs/create", `{"name":"other"}`)
	h.upload("other", "pool.md", "The pool keeps 20 idle connections.")
	words := func(db string) map[string]any { return map[string]any{"method": "bm25", "db": db} }
	holds := func(when string, answers, generations int) {
		t.Helper()
		if a, c := h.cache.Stats().Size, h.calls.Stats().Size; a != answers || c != generations {
			t.Errorf("%s: %d answers, %d generations; want %d, %d", when, a, c, answers, generations)
		}
	}
	h.ask("How many connections has the pool?", words("other"))
	h.ask("When is the rent due?", words("default"))
	h.ask("How many failures open the breaker?", words("default"))
	holds("all kept", 3, 3)
	h.send("DELETE", "/api/docs", `{"sources":["breaker.md"]}`)
	holds("a document deleted", 2, 2)
	h.send("DELETE", "/api/dbs/other", "")
	holds("a knowledge base deleted", 1, 1)
	entry := h.ask("When is the rent due?", words("default"))["cache"].(map[string]any)["entry_id"]
	h.send("POST", "/api/cache/clear", fmt.Sprintf(`{"entry":%q}`, entry))
	holds("an entry cleared", 0, 0)
}

func TestLaw12TheCacheIsClearedWholeByBaseOrByEntry(t *testing.T) {
	_, h := scripted(t)
	h.withDocs()
	h.send("POST", "/api/dbs/create", `{"name":"other"}`)
	h.upload("other", "breaker.md", breakerText)
	ids := map[string]string{}
	for _, db := range []string{"default", "other"} {
		for _, q := range []string{"How many failures open the breaker?", "How long does it stay open?"} {
			h.ask(q, map[string]any{"db": db})
			again := h.ask(q, map[string]any{"db": db})["cache"].(map[string]any)
			ids[db+q] = fmt.Sprint(again["entry_id"])
		}
	}
	clear := func(body string, status int, removed, size float64) {
		t.Helper()
		r := h.send("POST", "/api/cache/clear", body)
		if got := r.json(t); r.status != status || status == http.StatusOK && (got["removed"] != removed || got["size"] != size) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	entry := ids["defaultHow many failures open the breaker?"]
	clear(`{"entry":"`+entry+`"}`, http.StatusOK, 1, 3)
	clear(`{"entry":"`+entry+`"}`, http.StatusNotFound, 0, 0)
	clear(`{"entry":"x","db":"other"}`, http.StatusUnprocessableEntity, 0, 0)
	clear(`{"base":"other"}`, http.StatusUnprocessableEntity, 0, 0)
	clear(`{"db":"nowhere"}`, http.StatusNotFound, 0, 0)
	clear(`{"db":"other"}`, http.StatusOK, 2, 1)
	clear(`{}`, http.StatusOK, 1, 0)
	for _, path := range []string{"/api/cache-stats", "/api/semantic-cache/metrics"} {
		if s := h.send("GET", path, "").json(t)["semantic_cache"].(map[string]any); s["size"] != 0. || s["cleared"] != 4. || s["coalesced"] != 0. {
			t.Errorf("%s: %v", path, s)
		}
	}
}

// Answers of a cache that is switched off are not left lying in its file.
func TestLaw12ACacheThatIsOffLeavesNothingInItsFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM on Windows")
	}
	stub := ollamatest.New(t)
	stub.SetText("It opens after five consecutive failures [1].")
	env := []string{"OLLAMA_BASE_URL=" + stub.URL, "EMBED_MODEL=all-minilm"}
	data, docs := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(docs, "breaker.md"), breakerText)
	if r := runProgram(t, data, env, "ingest", docs); r.code != 0 {
		t.Fatalf("ingest: %+v", r)
	}
	for _, x := range []struct {
		name  string
		env   []string
		off   string
		holds bool
	}{
		{"on", nil, "", true},
		{"off at the start", []string{"USE_SEMANTIC_CACHE=false"}, "", false},
		{"on again", nil, "", true},
		{"off while it runs", nil, `{"enabled":false}`, false},
	} {
		p := startServer(t, data, slices.Concat(env, x.env))
		post := func(path, body string) {
			t.Helper()
			resp, err := http.Post(p.url+path, "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s", path, resp.Status)
			}
		}
		post("/api/query", `{"query":"How many failures open the pangolin?"}`)
		if x.off != "" {
			post("/api/cache/config", x.off)
		}
		p.stop(t, syscall.SIGTERM)
		holds := false
		for _, end := range []string{"", "-wal"} {
			file, err := os.ReadFile(filepath.Join(data, "answers.db"+end))
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			holds = holds || bytes.Contains(file, []byte("pangolin"))
		}
		if holds != x.holds {
			t.Errorf("%s: the file holds the answer: %t", x.name, holds)
		}
	}
}

func TestTheCacheIsWarmedExplainedAndClearedByCommand(t *testing.T) {
	stub := ollamatest.New(t)
	env := []string{"OLLAMA_BASE_URL=" + stub.URL, "EMBED_MODEL=all-minilm"}
	data, docs, file := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "questions.txt")
	writeFile(t, filepath.Join(docs, "breaker.md"), breakerText)
	writeFile(t, file, "How many failures open the breaker?\n\n  How long does it stay open?  \r\n")
	logged := file + ".log"
	writeFile(t, logged, "listening on http://127.0.0.1:8000\ntime=2026-01-01T00:00:00Z level=INFO msg=request method=POST path=/api/query status=200 bytes=9 question=\"How long does it stay open?\"\n"+
		"time=2026-01-01T00:00:01Z level=INFO msg=request method=POST path=/api/query status=200 bytes=9 question=\"How long does it stay open?\"\n")
	if r := runProgram(t, data, env, "ingest", docs); r.code != 0 {
		t.Fatalf("ingest: %+v", r)
	}
	startServer(t, data, env)
	for _, c := range []struct {
		args   []string
		code   int
		prints []string
	}{
		{[]string{"cache", "explain", "How many failures open the breaker?"}, 0, []string{"outcome: miss", "no answer is kept"}},
		{[]string{"cache", "warm", file}, 0, []string{"kept: How long does it stay open?\n", "2 kept, 0 there already, 0 not kept"}},
		{[]string{"cache", "warm", file}, 0, []string{"there: How many", "0 kept, 2 there already, 0 not kept"}},
		{[]string{"cache", "warm", "--log", logged}, 0, []string{"there: How long does it stay open?", "0 kept, 1 there already, 0 not kept"}},
		{[]string{"cache", "explain", "How many failures  open the breaker?"}, 0, []string{"outcome: exact (threshold 0.95)", "1.000", "holds", "threshold"}},
		{[]string{"cache", "explain", "What is the rent?"}, 0, []string{"outcome: miss", "How long does it stay open?"}},
		{[]string{"cache", "explain", "--json", "How long does it stay open?"}, 0, []string{`"outcome": "exact"`, `"exact": true`}},
		{[]string{"cache"}, 0, []string{"2 of 1000", "3 exact, 0 semantic (60.0 % of look-ups)", "told apart", "none", "open from 0.950 on: 0 answers made again"}},
		{[]string{"cache", "clear", "--entry", "none"}, 1, nil},
		{[]string{"cache", "clear"}, 0, []string{"2 answers removed, 0 left"}},
		{[]string{"cache", "stats", "--json"}, 0, []string{`"cleared": 2`}},
		{[]string{"cache", "warm", file + ".not"}, 1, nil},
		{[]string{"cache", "warm"}, 2, nil},
	} {
		r := runProgram(t, data, env, c.args...)
		for _, want := range c.prints {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("%v does not say %q: %+v", c.args, want, r)
			}
		}
		if r.code != c.code {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
	stub.FailPath("/api/chat", 100, ollamatest.Status(http.StatusInternalServerError, `{"error":"broken"}`))
	if r := runProgram(t, data, env, "cache", "warm", file); r.code != 1 || !strings.Contains(r.stdout, "0 kept, 0 there already, 2 not kept") || !strings.Contains(r.stdout, "not kept: How many failures open the breaker?\n  No language model answered") {
		t.Errorf("without a model: %+v", r)
	}
}

// The lines are those that slog's own handlers write of a request.
func TestLaw12TheLoggedQuestionsAreFound(t *testing.T) {
	for _, question := range []string{"How many failures open the breaker?", "breaker", "Say \"a = b\" question=x\nor what?", "Khi nào mở cầu dao?"} {
		for _, format := range []string{"text", "json"} {
			var out bytes.Buffer
			var handler slog.Handler = slog.NewTextHandler(&out, nil)
			if format == "json" {
				handler = slog.NewJSONHandler(&out, nil)
			}
			log := slog.New(handler)
			log.Info("request", "method", "POST", "path", "/api/query", "status", 200, "bytes", 9, "question", question, "error", "it broke off")
			log.Info("request", "method", "POST", "path", "/api/query", "status", 504, "bytes", 9, "question", "refused")
			log.Info("request", "method", "GET", "path", "/api/docs", "status", 200, "bytes", 9)
			log.Warn("model 1 question=2", "status", 3)
			var found []string
			for line := range strings.Lines("listening on http://127.0.0.1:1\n" + out.String()) {
				if got := loggedQuestion(line); got != "" {
					found = append(found, got)
				}
			}
			if !slices.Equal(found, []string{question}) {
				t.Errorf("%s: %q, want %q in %s", format, found, question, out.String())
			}
		}
	}
}

// A server's log grows by each question that is asked: asking while it is read would never end.
func TestLaw12AFileIsReadBeforeAnythingIsAsked(t *testing.T) {
	logged := &growing{left: 3}
	list, err := readQuestions(logged, strings.TrimSpace)
	if err != nil || !slices.Equal(list, []string{"a?", "b?"}) || logged.left != 0 {
		t.Errorf("%q, %v, %d pieces left", list, err, logged.left)
	}
}

// growing gives the same two questions in each of its pieces.
type growing struct{ left int }

func (g *growing) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	g.left--
	return copy(p, "a?\n\nb?\n"), nil
}

func TestTheSamePassagesAfterAChangeAskNoModel(t *testing.T) {
	stub, h := scripted(t)
	h.withDocs()
	const question = "How many failures open the breaker?"
	narrow := map[string]any{"k": 1, "method": "bm25"}
	first := h.ask(question, narrow)
	h.upload("", "other.md", "Nothing of this is about that.")
	again := h.ask(question, narrow)
	info := again["cache"].(map[string]any)
	if info["status"] == "miss" && (info["generation"] != "cached" || again["answer"] != first["answer"]) {
		t.Errorf("%v", info)
	}
	if r := h.send("POST", "/api/cache/clear", `{"entry":"none"}`); r.status != http.StatusNotFound {
		t.Errorf("%d %s", r.status, r.body)
	}
	h.cache.Clear("") // as after an eviction
	if info := h.ask(question, narrow)["cache"].(map[string]any); info["status"] != "miss" || info["generation"] != "cached" || info["stored"] != true {
		t.Errorf("%v", info)
	}
	if n := stub.Count("/api/chat"); n != 1 {
		t.Fatalf("%d model calls", n)
	}
	stats := h.send("GET", "/api/cache-stats", "").json(t)["generation_cache"].(map[string]any)
	if stats["enabled"] != true || stats["hits"].(float64) < 1 || stats["misses"] != 1.0 || stats["size"] != 1.0 || stats["bytes"].(float64) < 300 {
		t.Errorf("%v", stats)
	}
	h.wantMetric("gencache_hits_total", stats["hits"].(float64))
	h.wantMetric("gencache_entries", 1)
	for i, header := range []string{"no-cache", "no-store"} {
		h.send("POST", "/api/query", `{"query":"How many failures open the breaker?","k":1,"method":"bm25"}`, "Cache-Control", header)
		if n := stub.Count("/api/chat"); n != 2+i {
			t.Errorf("%s: %d model calls", header, n)
		}
	}
	h.send("POST", "/api/cache/clear", "")
	if info := h.ask(question, narrow)["cache"].(map[string]any); info["generation"] != nil || stub.Count("/api/chat") != 4 {
		t.Errorf("after clearing: %v, %d model calls", info, stub.Count("/api/chat"))
	}
}

func TestWhatWasCountedIsListedByFrequency(t *testing.T) {
	if got := counted(map[string]uint64{"names": 2, "numbers": 7, "language": 0, "passage_gone": 2}); got != "7 numbers, 2 names, 2 passage gone" {
		t.Error(got)
	}
}
