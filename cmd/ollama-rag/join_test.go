package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

const joinedQuestion = `{"query":"How many failures open the breaker?"}`

// awaitFollowers waits until n questions follow another one.
func (h *testHouse) awaitFollowers(n uint64) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	for h.joins.Coalesced() < n {
		if ctx.Err() != nil {
			h.t.Fatalf("%d of %d questions followed", h.joins.Coalesced(), n)
		}
		runtime.Gosched()
	}
}

// lead asks a question whose model call is under way when it returns, and gives the answer as it comes.
func (h *testHouse) lead(ctx context.Context, stub *ollamatest.Server) *http.Response {
	h.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", h.url+"/api/stream_query", strings.NewReader(joinedQuestion))
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { resp.Body.Close() })
	if err := stub.AwaitCount(ctx, "/api/chat", 1); err != nil {
		h.t.Fatal(err)
	}
	return resp
}

func TestLaw9OneHundredIdenticalQuestionsReachTheModelOnce(t *testing.T) {
	stub, h := scripted(t)
	h.withDocs()
	stub.FailPath("/api/chat", 1, ollamatest.Hang())
	leader := h.lead(t.Context(), stub)
	answers := make([]map[string]any, 99)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() { // both routes, both forms
			if i%2 == 0 {
				answers[i] = h.send("POST", "/api/query", joinedQuestion).json(t)
				return
			}
			events := h.events(joinedQuestion)
			answers[i] = events[len(events)-1]
		})
	}
	h.awaitFollowers(99)
	stub.Release()
	var first map[string]any
	for lines := bufio.NewScanner(leader.Body); lines.Scan(); {
		first = reply{body: lines.Bytes()}.json(t)
	}
	wait.Wait()
	if first["event"] != "done" || first["cache"].(map[string]any)["status"] != "miss" {
		t.Fatalf("the leader got %v", first)
	}
	for i, a := range answers {
		if a["answer"] != first["answer"] || fmt.Sprint(a["citations"]) != fmt.Sprint(first["citations"]) || a["cache"].(map[string]any)["status"] != "coalesced" || a["cache_hit"] != false {
			t.Fatalf("follower %d got %v", i, a)
		}
	}
	if n := stub.Count("/api/chat"); n != 1 {
		t.Errorf("%d model calls", n)
	}
	h.wantMetric("coalesced_requests_total", 99)
	h.wantMetric("semcache_misses_total", 1)
	h.wantMetric(`semcache_hits_total{type="exact"}`, 0)
	h.wantMetric(`llm_requests_total{model="llama3.1:8b",operation="chat",outcome="success"}`, 1)
}

func TestLaw9ALeaderThatLeavesHalfWayHandsOver(t *testing.T) {
	stub, h := scripted(t)
	h.withDocs()
	stub.FailPath("/api/chat", 1, ollamatest.Fault{Hang: true, PerPiece: 5 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	leader := h.lead(ctx, stub)
	answers := make([]map[string]any, 99)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() { answers[i] = h.send("POST", "/api/query", joinedQuestion).json(t) })
	}
	h.awaitFollowers(99)
	stub.Release()
	heard := ""
	for lines := bufio.NewScanner(leader.Body); lines.Scan(); {
		if ev := (reply{body: lines.Bytes()}).json(t); ev["event"] == "token" {
			heard = ev["token"].(string)
			break
		}
	}
	cancel() // in the middle of the answer
	wait.Wait()
	for i, a := range answers {
		text, _ := a["answer"].(string)
		if a["done_reason"] != "stop" || len(text) <= len(heard) || !strings.HasPrefix(text, heard) || text != answers[0]["answer"] {
			t.Fatalf("follower %d got %v after the leader had %q", i, a, heard)
		}
	}
	if n := stub.Count("/api/chat"); n != 1 {
		t.Errorf("%d model calls", n)
	}
	if a := h.ask("How many failures open the breaker?", nil); a["cache"].(map[string]any)["status"] != "exact" || a["answer"] != answers[0]["answer"] {
		t.Errorf("what the followers finished was not kept: %v", a["cache"])
	}
}
