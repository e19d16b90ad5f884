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

const greedyChat = `{"model":"llama3.1:8b","messages":[{"role":"user","content":"hello"}],"options":{"temperature":0}}`

func (h *testHouse) awaitPassed(n uint64) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	for h.gateway.Coalesced() < n {
		if ctx.Err() != nil {
			h.t.Fatalf("%d of %d requests followed", h.gateway.Coalesced(), n)
		}
		runtime.Gosched()
	}
}

// TestLaw9OneHundredIdenticalStreamsReachOllamaOnce lets the first of them leave half-way too.
func TestLaw9OneHundredIdenticalStreamsReachOllamaOnce(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		t.Run(fmt.Sprintf("leader leaves %t", leaves), func(t *testing.T) {
			stub, h := scripted(t, "GATEWAY_CACHE=/api/chat")
			stub.SetText(strings.Repeat("It opens after five failures. ", 10))
			stub.FailPath("/api/chat", 1, ollamatest.Fault{Hang: true, PerPiece: time.Millisecond})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			req, err := http.NewRequestWithContext(ctx, "POST", h.url+"/api/chat", strings.NewReader(greedyChat))
			if err != nil {
				t.Fatal(err)
			}
			led := make(chan *http.Response, 1)
			go func() { // Ollama's header comes with its first word
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
				}
				led <- resp
			}()
			if err := stub.AwaitCount(ctx, "/api/chat", 1); err != nil {
				t.Fatal(err)
			}
			answers := make([]reply, 99)
			var all sync.WaitGroup
			for i := range answers {
				all.Go(func() { answers[i] = h.send("POST", "/api/chat", greedyChat) })
			}
			h.awaitPassed(99)
			stub.Release()
			leader := <-led
			if leader == nil {
				return
			}
			defer leader.Body.Close()
			lines := bufio.NewScanner(leader.Body)
			var first strings.Builder
			for lines.Scan() {
				fmt.Fprintln(&first, lines.Text())
				if leaves {
					leave()
					break
				}
			}
			all.Wait()
			for i, a := range answers {
				body := string(a.body)
				if a.status != http.StatusOK || !strings.HasPrefix(body, first.String()) || !leaves && body != first.String() || !strings.Contains(body, `"done":true,"done_reason":"stop"`) || body != string(answers[0].body) {
					t.Fatalf("follower %d: %d %s", i, a.status, body)
				}
			}
			if n := stub.Count("/api/chat"); n != 1 {
				t.Errorf("%d calls", n)
			}
			if r := h.send("POST", "/api/chat", greedyChat); !strings.Contains(r.header.Get("Cache-Status"), "ollama-rag; hit; ttl=") || stub.Count("/api/chat") != 1 {
				t.Errorf("what they finished was not kept: %v", r.header)
			}
			stats := h.send("GET", "/api/cache-stats", "").json(t)["generation_cache"].(map[string]any)
			if stats["coalesced"] != 99.0 || stats["hits"] != 1.0 || stats["misses"] != 1.0 || stats["size"] != 1.0 {
				t.Errorf("%v", stats)
			}
		})
	}
}

func TestPassedAnswersAreNeverServedAcrossKeys(t *testing.T) {
	const a, b = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"
	stub, h := scripted(t, "GATEWAY_CACHE=all", "API_KEYS=read:"+a+",read:"+b)
	for i, key := range []string{a, b} {
		for range 2 {
			h.send("POST", "/api/chat", greedyChat, "Authorization", "Bearer "+key)
		}
		if n := stub.Count("/api/chat"); n != i+1 {
			t.Errorf("%d calls", n)
		}
	}
	// Where no keys are set a key is the model server's affair, and may decide what it says.
	stub, h = scripted(t, "GATEWAY_CACHE=all")
	for i, header := range []string{"", "Bearer x", "Bearer y", "Basic x"} {
		for range 2 {
			h.send("POST", "/api/chat", greedyChat, "Authorization", header)
		}
		if n := stub.Count("/api/chat"); n != i+1 {
			t.Errorf("%q: %d calls", header, n)
		}
	}
}

func TestPassedAnswersOutliveARestartAndTheModelsTheyCameFrom(t *testing.T) {
	stub := ollamatest.New(t, ollamatest.ChatModel("llama3.1:8b"))
	dir := t.TempDir()
	h := open(t, stub.URL, "OLLAMA_RAG_DATA_DIR="+dir, "GATEWAY_CACHE=all")
	first := h.send("POST", "/api/chat", greedyChat)
	h.closeNow()
	h = open(t, stub.URL, "OLLAMA_RAG_DATA_DIR="+dir)
	if r := h.send("POST", "/api/chat", greedyChat); r.header.Get("Cache-Status") != "" || stub.Count("/api/chat") != 2 {
		t.Error("served though it is off")
	}
	again := h.send("POST", "/api/chat", greedyChat, "X-Ollama-Rag-Cache", "on")
	if !strings.Contains(again.header.Get("Cache-Status"), "; hit;") || stub.Count("/api/chat") != 2 || first.status != http.StatusOK {
		t.Errorf("%v, %d calls", again.header, stub.Count("/api/chat"))
	}
	h.closeNow()
	changed := ollamatest.ChatModel("llama3.1:8b")
	changed.Digest = strings.Repeat("ab", 32)
	stub.SetModels(changed)
	h = open(t, stub.URL, "OLLAMA_RAG_DATA_DIR="+dir, "GATEWAY_CACHE=all")
	h.send("POST", "/api/chat", greedyChat)
	if n := stub.Count("/api/chat"); n != 3 {
		t.Errorf("another model of the name: %d calls", n)
	}
	h.send("POST", "/api/cache/clear", "")
	h.send("POST", "/api/chat", greedyChat)
	if n := stub.Count("/api/chat"); n != 4 {
		t.Errorf("after clearing: %d calls", n)
	}
}

func TestLaw7SampledAnswersFollowTheSettingEverywhere(t *testing.T) {
	for _, on := range []bool{false, true} {
		stub, h := scripted(t, "GATEWAY_CACHE=all", fmt.Sprintf("SEMANTIC_CACHE_SAMPLED=%t", on))
		h.withDocs()
		hot := map[string]any{"temperature": .8}
		h.ask("How many failures open the breaker?", hot)
		if a := h.ask("How many failures open the breaker?", hot); (a["cache"].(map[string]any)["status"] == "exact") != on {
			t.Errorf("%t: %v", on, a["cache"])
		}
		before := stub.Count("/api/chat")
		body := strings.Replace(greedyChat, `"temperature":0`, `"temperature":0.8`, 1)
		h.send("POST", "/api/chat", body)
		r := h.send("POST", "/api/chat", body)
		if calls := stub.Count("/api/chat") - before; calls != map[bool]int{false: 2, true: 1}[on] {
			t.Errorf("%t: %d calls, %v", on, calls, r.header)
		}
	}
}
