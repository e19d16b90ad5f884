package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// sink takes spans as a receiver of OTLP over HTTP does.
type sink struct {
	*httptest.Server
	mu     sync.Mutex
	spans  []*otlp.Span
	raw    bytes.Buffer
	header http.Header
	refuse int // so many posts are answered 503 first
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.refuse > 0 {
			s.refuse--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s %v", r.URL, r.Header, err)
			return
		}
		data, err := io.ReadAll(z)
		var got otlp.TracesData
		if err := errors.Join(err, proto.Unmarshal(data, &got)); err != nil {
			t.Error(err)
		}
		s.header = r.Header
		s.raw.Write(data)
		for _, rs := range got.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				s.spans = append(s.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sink) named(name string) []*otlp.Span {
	var out []*otlp.Span
	for _, span := range s.spans {
		if span.Name == name {
			out = append(out, span)
		}
	}
	return out
}

func attr(span *otlp.Span, key string) string {
	for _, kv := range span.Attributes {
		if kv.Key == key {
			if list := kv.Value.GetArrayValue(); list != nil {
				return fmt.Sprint(len(list.Values), " values")
			}
			return cmp.Or(kv.Value.GetStringValue(), strconv.FormatInt(kv.Value.GetIntValue(), 10))
		}
	}
	return ""
}

const (
	parentTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceparent = "00-" + parentTrace + "-00f067aa0ba902b7-01"
)

func TestOneTraceHasTheStagesOfAQuestionAndTheAttemptsOnTheModelServer(t *testing.T) {
	out, stub := newSink(t), ollamatest.New(t)
	out.refuse = 1 // what a busy receiver refused is sent again
	stub.SetText("It opens after 5 consecutive failures [1].")
	h := open(t, stub.URL, "EMBED_MODEL=all-minilm", "OTEL_EXPORTER_OTLP_ENDPOINT="+out.URL, "OTEL_EXPORTER_OTLP_HEADERS=x-tenant=team a")
	h.withDocs()
	stub.FailPath("/api/chat", 1, ollamatest.Status(http.StatusInternalServerError, `{"error":"try again"}`))
	const question = "How many failures open the breaker?"
	for range 2 {
		if r := h.send("POST", "/api/query", `{"query":"`+question+`"}`, "traceparent", traceparent); r.status != 200 {
			t.Fatalf("%s", r.body)
		}
	}
	h.closeNow()
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.header.Get("X-Tenant") != "team a" {
		t.Errorf("headers %v", out.header)
	}
	byID := map[string]*otlp.Span{}
	var mine []*otlp.Span
	for _, span := range out.spans {
		byID[string(span.SpanId)] = span
		if hex.EncodeToString(span.TraceId) == parentTrace {
			mine = append(mine, span)
		}
	}
	line := func(span *otlp.Span) (names []string) {
		for ; span != nil; span = byID[string(span.ParentSpanId)] {
			names = append(names, span.Name)
		}
		return names
	}
	var lines [][]string
	for _, span := range mine {
		lines = append(lines, line(span))
	}
	for _, want := range [][]string{
		{"POST /api/query"},
		{"ask", "POST /api/query"},
		{"embeddings all-minilm:latest", "ask", "POST /api/query"},
		{"retrieval default", "ask", "POST /api/query"},
		{"chat llama3.1:8b", "ask", "POST /api/query"},
		{"POST /api/embed", "embeddings all-minilm:latest", "ask", "POST /api/query"},
		{"POST /api/chat", "chat llama3.1:8b", "ask", "POST /api/query"},
	} {
		if !slices.ContainsFunc(lines, func(l []string) bool { return slices.Equal(l, want) }) {
			t.Errorf("no span %v in %v", want, lines)
		}
	}
	if n := len(out.named("POST /api/chat")); n != 2 {
		t.Errorf("%d attempts, want the failed and the good one", n)
	}
	chat := out.named("chat llama3.1:8b")[0]
	for key, want := range map[string]string{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "ollama", "gen_ai.request.model": "llama3.1:8b", "gen_ai.response.finish_reasons": "1 values", "gen_ai.usage.output_tokens": "",
	} {
		if got := attr(chat, key); got == "" || want != "" && got != want {
			t.Errorf("%s is %q", key, got)
		}
	}
	asks := out.named("ask")
	if len(asks) != 2 || attr(asks[0], "ollama_rag.cache.status") != "miss" || attr(asks[1], "ollama_rag.cache.status") != "exact" || attr(asks[1], "ollama_rag.cache.entry_id") == "" {
		t.Errorf("%v", asks)
	}
	for _, r := range stub.Requests("/api/chat") {
		if got := r.Header.Get("Traceparent"); !strings.Contains(got, parentTrace) || got == traceparent {
			t.Errorf("the model server got traceparent %q", got)
		}
	}
	if bytes.Contains(out.raw.Bytes(), []byte(question)) || bytes.Contains(out.raw.Bytes(), []byte("consecutive failures")) {
		t.Error("a question or an answer is in the traces")
	}
}

func TestWithoutAReceiverNoTraceIsMade(t *testing.T) {
	stub, h := scripted(t)
	h.withDocs()
	h.ask("How many failures open the breaker?", nil)
	if h.tracer != nil || stub.Requests("/api/chat")[0].Header.Get("Traceparent") != "" {
		t.Error("a trace was made")
	}
}
