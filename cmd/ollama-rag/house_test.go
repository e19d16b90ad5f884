package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/config"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
)

// testHouse is the whole house behind a real HTTP server, with a scripted or real Ollama behind it.
type testHouse struct {
	*house
	t        testing.TB
	url      string
	closeNow func()
}

// open starts a house whose settings are the defaults and env. Its data folder is fresh unless env names one.
func open(t testing.TB, ollamaURL string, env ...string) *testHouse {
	t.Helper()
	return openLogging(t, slog.New(slog.DiscardHandler), append([]string{"OLLAMA_RAG_DATA_DIR=" + t.TempDir(), "OLLAMA_BASE_URL=" + ollamaURL, "OLLAMA_RETRY_BACKOFF=0.001"}, env...)...)
}

// openLogging starts a house whose settings are the defaults and environ.
func openLogging(t testing.TB, log *slog.Logger, environ ...string) *testHouse {
	t.Helper()
	c, _, err := config.Load(config.Source{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	h, err := openHouse(context.Background(), c, log)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h.handler(nil))
	th := &testHouse{house: h, t: t, url: srv.URL}
	th.closeNow = sync.OnceFunc(func() {
		srv.Close()
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(th.closeNow)
	return th
}

// openAt starts a house on a data folder that stays.
func openAt(t *testing.T, dir, ollamaURL string) *testHouse {
	t.Helper()
	return open(t, ollamaURL, "OLLAMA_RAG_DATA_DIR="+dir)
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

// json decodes the reply into a map, for fields that tests pick out.
func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(r.body, &m); err != nil {
		t.Fatalf("%v in %q", err, r.body)
	}
	return m
}

func (h *testHouse) send(method, path, body string, header ...string) reply {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, data}
}

// ask sends a question with further fields and expects 200.
func (h *testHouse) ask(question string, fields map[string]any) map[string]any {
	h.t.Helper()
	body := map[string]any{"query": question}
	maps.Copy(body, fields)
	data, err := json.Marshal(body)
	if err != nil {
		h.t.Fatal(err)
	}
	r := h.send("POST", "/api/query", string(data))
	if r.status != http.StatusOK {
		h.t.Fatalf("query: %d %s", r.status, r.body)
	}
	return r.json(h.t)
}

// upload ingests files given as name, content pairs.
func (h *testHouse) upload(db string, files ...string) reply {
	h.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		part, err := w.CreateFormFile("files", files[i])
		if err != nil {
			h.t.Fatal(err)
		}
		_, _ = part.Write([]byte(files[i+1]))
	}
	_ = w.WriteField("db", db)
	_ = w.Close()
	return h.send("POST", "/api/upload", b.String(), "Content-Type", w.FormDataContentType())
}

// breakerText is a document that tests ask about.
const breakerText = "# Circuit breaker\n\nThe breaker opens after 5 consecutive failures. It stays open for 30 seconds, then lets 3 probes through.\n\n" +
	"# Pool\n\nThe pool keeps 20 idle connections to each host and reuses them.\n"

func (h *testHouse) withDocs() *testHouse {
	h.t.Helper()
	if r := h.upload("", "breaker.md", breakerText, "rent.txt", "The rent is due on the third working day of each month. Late rent costs 2 percent."); r.status != http.StatusOK {
		h.t.Fatalf("upload: %d %s", r.status, r.body)
	}
	return h
}

var sampleLine = regexp.MustCompile(`^(\w+(?:\{[^}]*\})?) (\S+)$`)

// scrape reads /metrics: series to value.
func (h *testHouse) scrape() map[string]float64 {
	h.t.Helper()
	r := h.send("GET", "/metrics", "")
	if r.status != http.StatusOK {
		h.t.Fatalf("metrics: %d %s", r.status, r.body)
	}
	out := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(r.body))
	for lines.Scan() {
		if m := sampleLine.FindStringSubmatch(lines.Text()); m != nil {
			v, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				h.t.Fatal(err)
			}
			out[m[1]] = v
		}
	}
	return out
}

func (h *testHouse) wantMetric(series string, want float64) {
	h.t.Helper()
	got, ok := h.scrape()["ollama_rag_"+series]
	if !ok {
		h.t.Errorf("%s is not on /metrics", series)
	} else if got != want {
		h.t.Errorf("%s is %g, want %g", series, got, want)
	}
}

// events reads a stream of NDJSON events.
func (h *testHouse) events(body string) []map[string]any {
	h.t.Helper()
	r := h.send("POST", "/api/stream_query", body)
	if r.status != http.StatusOK {
		h.t.Fatalf("stream: %d %s", r.status, r.body)
	}
	var out []map[string]any
	dec := json.NewDecoder(bytes.NewReader(r.body))
	for {
		var ev map[string]any
		err := dec.Decode(&ev)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, ev)
	}
}

func names(events []map[string]any) []string {
	var out []string
	for _, ev := range events {
		if name := fmt.Sprint(ev["event"]); len(out) == 0 || out[len(out)-1] != name {
			out = append(out, name)
		}
	}
	return out
}

func scripted(t *testing.T, env ...string) (*ollamatest.Server, *testHouse) {
	t.Helper()
	stub := ollamatest.New(t)
	return stub, open(t, stub.URL, append([]string{"EMBED_MODEL=all-minilm"}, env...)...)
}
