package ollamatest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/wire"
)

func post(t *testing.T, url, body string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(data)
}

// The expected bytes are those of the transcripts of a real server.
func TestRefusalsAreOllamasOwn(t *testing.T) {
	srv := New(t)
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/api/chat", `{"model":"nope","messages":[]}`, 404, `{"error":"model 'nope' not found"}`},
		{"/api/show", `{"model":"nope"}`, 404, `{"error":"model 'nope' not found"}`},
		{"/api/show", `{}`, 400, `{"error":"model is required"}`},
		{"/api/embed", `{"model":"nope","input":"x"}`, 404, `{"error":"model \"nope\" not found, try pulling it first"}`},
		{"/api/generate", ``, 400, `{"error":"missing request body"}`},
		{"/api/generate", `{"model":`, 400, `{"error":"unexpected EOF"}`},
		{"/api/generate", `{"model":"all-minilm","prompt":"x"}`, 400, `{"error":"\"all-minilm\" does not support generate"}`},
		{"/api/generate", `{"model":"llama3.1:8b","prompt":"x","options":{"num_predict":"four"}}`, 500,
			`{"error":"option \"num_predict\" must be of type integer"}`},
		{"/api/generate", `{"model":"llama3.1:8b","prompt":"x","format":"xml"}`, 500,
			`{"error":"invalid format: \"\\\"xml\\\"\"; expected \"json\" or a valid JSON Schema object"}`},
		{"/api/embed", `{"model":"all-minilm","input":[]}`, 200, `{"model":"all-minilm","embeddings":[]}`},
		{"/nope", `{}`, 404, "404 page not found"},
		{"/api/tags", `{}`, 405, "405 method not allowed"},
	} {
		resp, got := post(t, srv.URL+c.path, c.body)
		if resp.StatusCode != c.status || got != c.want {
			t.Errorf("%s %s: %d %s; want %d %s", c.path, c.body, resp.StatusCode, got, c.status, c.want)
		}
	}
}

func TestForeignHostAndOriginAreForbidden(t *testing.T) {
	srv := New(t)
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Host = "evil.example" },
		func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	} {
		req, _ := http.NewRequest("GET", srv.URL+"/api/tags", nil)
		change(req)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 {
			t.Errorf("got %s", resp.Status)
		}
	}
}

func TestStreamIsOneLineAPieceAndEndsWithDone(t *testing.T) {
	srv := New(t)
	srv.SetText("Five failures open it.")
	resp, got := post(t, srv.URL+"/api/chat", `{"model":"llama3.1:8b","messages":[{"role":"user","content":"x"}]}`)
	if ct := resp.Header.Get("Content-Type"); ct != "application/x-ndjson" {
		t.Errorf("Content-Type %q", ct)
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != 5 || !strings.Contains(lines[4], `"done":true,"done_reason":"stop"`) || strings.Contains(lines[3], `"done":true`) {
		t.Errorf("got %q", lines)
	}
	_, whole := post(t, srv.URL+"/api/generate", `{"model":"llama3.1:8b","prompt":"x","stream":false}`)
	if !strings.Contains(whole, `"response":"Five failures open it."`) {
		t.Errorf("got %s", whole)
	}
}

func TestDefaultAnswerCitesTheFirstPassage(t *testing.T) {
	prompt := "Cite like [1].\n\n[1] guide.md, page 2\nThe breaker opens after five failures. It waits.\n\n[2] other\ntext\n"
	got := CiteFirst([]wire.Message{{Role: "user", Content: prompt}})
	if want := "The breaker opens after five failures [1]."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestVectorsOfTextsWithSharedWordsLieClose(t *testing.T) {
	cosine := func(a, b string) (sum float64) {
		u, v := WordVector(a, 384), WordVector(b, 384)
		for i := range u {
			sum += float64(u[i]) * float64(v[i])
		}
		return sum
	}
	near, far := cosine("the circuit breaker opens", "when the breaker opens"), cosine("the circuit breaker opens", "pears and plums")
	if near < 0.5 || far > 0.3 {
		t.Errorf("near %.2f, far %.2f", near, far)
	}
}

func TestFaultsAreWhatTheySay(t *testing.T) {
	srv := New(t)
	chat := func() (*http.Response, []byte, error) {
		resp, err := http.Post(srv.URL+"/api/chat", "", strings.NewReader(`{"model":"llama3.1:8b","messages":[]}`))
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		return resp, data, err
	}
	srv.Fail(1, Status(503))
	if resp, body, err := chat(); err != nil || resp.StatusCode != 503 || !bytes.Contains(body, []byte("server busy, please try again.  max")) {
		t.Errorf("503: %v %s", err, body)
	}
	srv.Fail(1, Reset(BeforeHeader))
	if _, _, err := chat(); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("reset: %v", err)
	}
	srv.Fail(1, Reset(AfterHeader))
	if resp, _, err := chat(); resp == nil || err == nil {
		t.Errorf("reset after the header: %v", err)
	}
	srv.Fail(1, Ends(MidLine, 1))
	if _, body, err := chat(); !errors.Is(err, io.ErrUnexpectedEOF) || bytes.HasSuffix(body, []byte("\n")) {
		t.Errorf("cut: %v %s", err, body)
	}
	srv.Fail(1, Ends(ErrorLine, 1))
	if _, body, err := chat(); err != nil || !bytes.HasSuffix(body, []byte("unexpected EOF\"}\n")) {
		t.Errorf("error line: %v %s", err, body)
	}
	srv.Fail(1, Ends(NoDone, 1))
	if _, body, err := chat(); err != nil || bytes.Contains(body, []byte(`"done":true`)) {
		t.Errorf("no done: %v %s", err, body)
	}
	srv.Refuse()
	http.DefaultClient.CloseIdleConnections()
	if _, _, err := chat(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refuse: %v", err)
	}
	srv.Accept(t)
	if resp, _, err := chat(); err != nil || resp.StatusCode != 200 {
		t.Errorf("after all faults: %v", err)
	}
	if got := srv.Count("/api/chat"); got != 7 {
		t.Errorf("counted %d requests, want 7", got)
	}
}

func TestClientThatLeavesIsNoticed(t *testing.T) {
	srv := New(t)
	srv.Fail(1, Ends(Stall, 1))
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	body := `{"model":"llama3.1:8b","messages":[]}`
	req, _ := http.NewRequest("POST", srv.URL+"/api/chat", strings.NewReader(body))
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if path, err := srv.AwaitDisconnect(t.Context()); err != nil || path != "/api/chat" {
		t.Errorf("got %q, %v", path, err)
	}
}

func TestRealOllamaHasBothModels(t *testing.T) {
	srv := Real(t)
	resp, err := http.Get(srv.URL + "/api/tags")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	for _, name := range []string{RealChatModel, RealEmbeddingModel} {
		if !bytes.Contains(data, []byte(name)) {
			t.Errorf("%s is missing in %s", name, data)
		}
	}
}
