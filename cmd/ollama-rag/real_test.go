package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// tap stands between the program and the real Ollama: it counts requests and notes when chats began and first answered.
type tap struct {
	*httptest.Server
	mu        sync.Mutex
	seen      int
	embedding time.Duration
	asked     time.Time // the last chat's request came
	answered  time.Time // and its first byte went back
}

func newTap(t *testing.T, target string) *tap {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	tp := &tap{}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(u) },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Path == "/api/chat" {
				r.Body = &firstByte{r.Body, func() {
					tp.mu.Lock()
					tp.answered = time.Now()
					tp.mu.Unlock()
				}, sync.Once{}}
			}
			return nil
		},
	}
	tp.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		tp.mu.Lock()
		tp.seen++
		if r.URL.Path == "/api/chat" {
			tp.asked = start
		}
		tp.mu.Unlock()
		proxy.ServeHTTP(w, r)
		if r.URL.Path == "/api/embed" {
			tp.mu.Lock()
			tp.embedding += time.Since(start)
			tp.mu.Unlock()
		}
	}))
	t.Cleanup(tp.Close)
	return tp
}

type firstByte struct {
	io.ReadCloser
	note func()
	once sync.Once
}

func (b *firstByte) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.once.Do(b.note)
	}
	return n, err
}

// TestRealOllamaEndToEnd starts the program, ingests real files, asks through a real model, and reads /metrics.
func TestRealOllamaEndToEnd(t *testing.T) {
	real := ollamatest.Real(t)
	tp := newTap(t, real.URL)
	env := []string{"OLLAMA_BASE_URL=" + tp.URL, "EMBED_MODEL=all-minilm", "LLM_MODEL=" + ollamatest.RealChatModel, "ANSWER_MAX_TOKENS=16", "OLLAMA_NUM_THREAD=2"}
	data := t.TempDir()
	docs, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	if r := runProgram(t, data, env, "ingest", docs); r.code != 0 || strings.Contains(r.stdout, " 0 vectors") {
		t.Fatalf("ingest: %+v", r)
	}
	tp.mu.Lock()
	tp.seen = 0
	tp.mu.Unlock()
	p := startServer(t, data, env)
	h := &testHouse{t: t, url: p.url}

	var overheads []time.Duration
	for i := range 3 {
		overheads = append(overheads, h.streamReal(tp, fmt.Sprintf("Which method of retrieval is the default? Try %d.", i)))
	}
	slices.Sort(overheads)
	t.Logf("time of ours from question to first token: %v", overheads)
	if median := overheads[len(overheads)/2]; median > 20*time.Millisecond {
		t.Errorf("the median of our own time to the first token is %v, at most 20ms", median)
	}
	again := h.ask("Which method of retrieval is the default? Try 0.", nil)
	if again["model"] != ollamatest.RealChatModel {
		t.Errorf("model %v", again["model"])
	}
	tp.mu.Lock()
	seen := tp.seen
	tp.mu.Unlock()
	h.wantMetric(`connection_pool_requests_total{client_name="ollama_client"}`, float64(seen))
	h.wantMetric(`circuit_breaker_calls_total{breaker_name="ollama_client",status="failure"}`, 0)
	h.wantMetric(`circuit_breaker_state{breaker_name="ollama_client"}`, 0)
}

// streamReal asks a question in a stream, checks its form and the context window, and gives the time that was ours until the
// first token: neither the model's nor the embedder's.
func (h *testHouse) streamReal(tp *tap, question string) time.Duration {
	h.t.Helper()
	tp.mu.Lock()
	tp.embedding = 0
	tp.mu.Unlock()
	body, err := json.Marshal(map[string]any{"query": question, "k": 2})
	if err != nil {
		h.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), "POST", h.url+"/api/stream_query", strings.NewReader(string(body)))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Cache-Control", "no-cache") // questions that differ in a number only are near misses of each other
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	var first time.Time
	var last map[string]any
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxFrame)
	for lines.Scan() {
		last = nil
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			h.t.Fatal(err)
		}
		if last["event"] == "token" && first.IsZero() {
			first = time.Now()
		}
	}
	if last["event"] != "done" || last["degraded"] != false || last["answer"] == "" {
		h.t.Fatalf("the stream ends with %v", last)
	}
	if used := last["usage"].(map[string]any)["input_tokens"].(float64); used <= 0 || used > 4096 {
		h.t.Errorf("%g tokens of prompt, the window has 4096", used)
	}
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return tp.asked.Sub(start) - tp.embedding + first.Sub(tp.answered)
}

// TestRealOllamaFindsVietnameseDocuments ingests the evaluation documents and asks in Vietnamese.
func TestEvaluationDocumentsAreReadAndVietnameseIsFound(t *testing.T) {
	dir := os.Getenv("OLLAMA_RAG_EVAL_DATA")
	if dir == "" {
		t.Skip("OLLAMA_RAG_EVAL_DATA is not set: it names the folder of evaluation data")
	}
	data := t.TempDir()
	env := []string{"OLLAMA_BASE_URL=http://127.0.0.1:9"}
	r := runProgram(t, data, env, "ingest", filepath.Join(dir, "ingest-docs"))
	if r.code != 0 || !strings.Contains(r.stdout, "skipped") {
		t.Fatalf("ingest: %+v", r)
	}
	t.Log(r.stdout)
	for _, question := range []string{"state trong React hoạt động như thế nào", "state trong React hoat dong nhu the nao"} {
		r = runProgram(t, data, env, "search", question)
		if !strings.Contains(r.stdout, "md-react-vi") {
			t.Errorf("%s: %s", question, r.stdout)
		}
	}
}
