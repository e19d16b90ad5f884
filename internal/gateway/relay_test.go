package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// answering is a model server that gives one answer.
func answering(status int, contentType string, body io.Reader) roundTripper {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, ContentLength: -1, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(body)}, nil
	}
}

var errBroke = rag.Errorf(rag.BadUpstream, "", "it broke off")

func breaking(text string) io.Reader {
	return io.MultiReader(strings.NewReader(text), iotest.ErrReader(errBroke))
}

const ndjson, events = "application/x-ndjson", "text/event-stream"

func TestABrokenAnswerEndsInAnErrorOfItsAPI(t *testing.T) {
	for _, c := range []struct {
		name, path, kind, sent string
		status                 int
		want                   string
	}{
		{"lines", "/api/chat", ndjson, "{\"done\":false}\n", 200, "{\"done\":false}\n{\"error\":\"it broke off\"}\n"},
		{"half a line is not passed on", "/api/generate", ndjson, "{\"done\":false}\n{\"respon", 200, "{\"done\":false}\n{\"error\":\"it broke off\"}\n"},
		{"nothing came", "/api/chat", ndjson, "", 502, `{"error":"it broke off"}`},
		{"less than a line came", "/api/chat", ndjson, `{"do`, 502, `{"error":"it broke off"}`},
		{"events", "/v1/chat/completions", events, "data: {}\n\n", 200, "data: {}\n\n" + `data: {"error":{"message":"it broke off","type":"api_error","param":null,"code":"bad_upstream"}}` + "\n\n"},
		{"half an event", "/v1/responses", events, "event: x\ndata: {}\n\ndata: {", 200, "event: x\ndata: {}\n\n" + `data: {"error":{"message":"it broke off","type":"api_error","param":null,"code":"bad_upstream"}}` + "\n\n"},
		{"Anthropic's events", "/v1/messages", events, "event: ping\ndata: {}\n\n", 200, "event: ping\ndata: {}\n\nevent: error\n" + `data: {"type":"error","error":{"type":"api_error","message":"it broke off"}}` + "\n\n"},
		{"one piece", "/api/chat", jsonType, `{"message":`, 502, `{"error":"it broke off"}`},
		{"one piece, /v1", "/v1/completions", openaiType, `{"id":`, 502, `{"error":{"message":"it broke off","type":"api_error","param":null,"code":"bad_upstream"}}` + "\n"},
		{"one piece, Anthropic's", "/v1/messages", openaiType, `{"id":`, 502, `{"type":"error","error":{"type":"api_error","message":"it broke off"}}` + "\n"},
	} {
		w := send(gatewayOf(Config{Upstream: answering(200, c.kind, breaking(c.sent))}), "POST", c.path, `{"model":"m"}`)
		if w.Code != c.status || w.Body.String() != c.want {
			t.Errorf("%s: %d %q, want %d %q", c.name, w.Code, w.Body, c.status, c.want)
		}
	}
}

func TestALineTooLongToHoldIsPassedOnInPieces(t *testing.T) {
	long := `{"x":"` + strings.Repeat("y", 3*heldFrame) + "\"}\n"
	w := send(gatewayOf(Config{Upstream: answering(200, ndjson, strings.NewReader(long+"{}\n"))}), "POST", "/api/chat", `{"model":"m"}`)
	if w.Body.String() != long+"{}\n" {
		t.Errorf("%d bytes came, want %d", w.Body.Len(), len(long)+3)
	}
	w = send(gatewayOf(Config{Upstream: answering(200, ndjson, breaking(long[:2*heldFrame]))}), "POST", "/api/chat", `{"model":"m"}`)
	if rest, ok := strings.CutPrefix(w.Body.String(), long[:2*heldFrame]); !ok || rest != "\n{\"error\":\"it broke off\"}\n" {
		t.Errorf("a long line that breaks ends in %.60q", rest)
	}
}

func TestHalfALargeAnswerNeverLooksWhole(t *testing.T) {
	srv := httptest.NewServer(gatewayOf(Config{Upstream: answering(200, jsonType, breaking(strings.Repeat("x", heldAnswer+1)))}))
	defer srv.Close()
	resp, err := http.Post(srv.URL+"/api/show", jsonType, strings.NewReader(`{"model":"m"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes and a good end", n)
	}
}

// flushes notes what had been written at each flush.
type flushes struct {
	*httptest.ResponseRecorder
	chunks []string
	at     int
}

func (f *flushes) FlushError() error {
	f.chunks = append(f.chunks, f.Body.String()[f.at:])
	f.at = f.Body.Len()
	return nil
}

func TestEachFrameIsOneChunkHoweverItCame(t *testing.T) {
	frames := []string{"data: {\"a\":1}\n\n", "event: x\ndata: 2\n\n", ": c\n\n", "data: [DONE]\n\n"}
	whole := strings.Join(frames, "")
	for name, body := range map[string]io.Reader{"at once": strings.NewReader(whole), "byte for byte": iotest.OneByteReader(strings.NewReader(whole)), "in halves": iotest.HalfReader(strings.NewReader(whole)), "with its end": iotest.DataErrReader(strings.NewReader(whole))} {
		w := &flushes{ResponseRecorder: httptest.NewRecorder()}
		gatewayOf(Config{Upstream: answering(200, events, body)}).ServeHTTP(w, httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(`{"model":"m"}`)))
		if !slices.Equal(w.chunks, frames) {
			t.Errorf("%s: %q", name, w.chunks)
		}
	}
}

func TestAStreamOfEventsThatWaitsShowsLife(t *testing.T) {
	for _, c := range []struct {
		name, path, body string
		status           int
		kind, answer     string
		want             string
		code             int
	}{
		{"events", "/v1/chat/completions", `{"model":"m","stream":true}`, 200, events, "data: [DONE]\n\n", ": waiting\n\n: waiting\n\ndata: [DONE]\n\n", 200},
		{"an error that comes late", "/v1/chat/completions", `{"model":"m","stream":true}`, 404, openaiType, `{"error":{"message":"gone"}}` + "\n", ": waiting\n\n: waiting\n\ndata: {\"error\":{\"message\":\"gone\"}}\n\n", 200},
		{"an answer that breaks", "/v1/messages", `{"model":"m","stream":true}`, 200, events, "", ": waiting\n\n: waiting\n\nevent: error\n" + `data: {"type":"error","error":{"type":"api_error","message":"it broke off"}}` + "\n\n", 200},
		{"no stream", "/v1/chat/completions", `{"model":"m"}`, 200, openaiType, "{}", "{}", 200},
		{"lines", "/api/chat", `{"model":"m","stream":true}`, 200, ndjson, "{}\n", "{}\n", 200},
	} {
		synctest.Test(t, func(t *testing.T) {
			up := roundTripper(func(r *http.Request) (*http.Response, error) {
				time.Sleep(lifeEvery*2 + time.Second)
				if c.answer == "" {
					return nil, errBroke
				}
				return answering(c.status, c.kind, strings.NewReader(c.answer))(r)
			})
			w := send(gatewayOf(Config{Upstream: up}), "POST", c.path, c.body)
			if w.Code != c.code || w.Body.String() != c.want {
				t.Errorf("%s: %d %q, want %d %q", c.name, w.Code, w.Body, c.code, c.want)
			}
			time.Sleep(2 * lifeEvery)
			if w.Body.String() != c.want {
				t.Errorf("%s: signs of life after the end: %q", c.name, w.Body)
			}
		})
	}
}

func TestAnAnswerWithinTimeShowsNoLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := roundTripper(func(r *http.Request) (*http.Response, error) {
			time.Sleep(lifeEvery - time.Second)
			return answering(400, openaiType, strings.NewReader("{}"))(r)
		})
		w := send(gatewayOf(Config{Upstream: up}), "POST", "/v1/responses", `{"model":"m","stream":true}`)
		if w.Code != 400 || w.Body.String() != "{}" {
			t.Errorf("%d %q", w.Code, w.Body)
		}
	})
}

func TestAClientThatLeavesStopsTheModel(t *testing.T) {
	stopped := make(chan error, 1)
	up := roundTripper(func(r *http.Request) (*http.Response, error) {
		body, write := io.Pipe()
		go func() {
			_, _ = write.Write([]byte("{}\n"))
			<-r.Context().Done()
			stopped <- r.Context().Err()
			_ = write.CloseWithError(r.Context().Err())
		}()
		return answering(200, ndjson, body)(r)
	})
	srv := httptest.NewServer(gatewayOf(Config{Upstream: up}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", srv.URL+"/api/chat", strings.NewReader(`{"model":"m"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	select {
	case err := <-stopped:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Error("the model was not stopped")
	}
}

func TestWhatChangesTheServerNeedsLeave(t *testing.T) {
	var got []string
	up := roundTripper(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, len(body)))
		return answering(200, jsonType, strings.NewReader("{}"))(r)
	})
	large := strings.Repeat("x", 1<<17) // a model's file is past every limit of a request
	changing := []string{"POST /api/pull", "POST /api/push", "POST /api/create", "POST /api/copy", "DELETE /api/delete", "POST /api/blobs/sha256:1"}
	unknown := []string{"POST /v1/images/generations", "GET /v1/files"}
	for _, c := range []struct {
		allow   Config
		routes  []string
		refused int
	}{
		{Config{}, changing, 403}, {Config{Unknown: true}, changing, 403}, {Config{Admin: true}, changing, 0},
		{Config{}, unknown, 404}, {Config{Admin: true}, unknown, 404}, {Config{Unknown: true}, append(unknown, "POST /api/me"), 0},
	} {
		c.allow.Upstream = up
		h := gatewayOf(c.allow)
		for _, route := range c.routes {
			got = nil
			method, path, _ := strings.Cut(route, " ")
			w := send(h, method, path, large)
			if c.refused != 0 {
				if w.Code != c.refused || len(got) != 0 || !strings.Contains(w.Body.String(), "GATEWAY_") {
					t.Errorf("%s: %d %s, sent %v", route, w.Code, w.Body, got)
				}
			} else if want := fmt.Sprintf("%s %d", route, len(large)); w.Code != 200 || !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %d, sent %v", route, w.Code, got)
			}
		}
	}
}

func TestBuiltinIsListedShownAndDoesNotChat(t *testing.T) {
	h := gatewayOf(Config{Upstream: answering(200, jsonType, strings.NewReader(`{"models":[]}`))})
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/api/tags", "", 200, `{"models":[{"name":"builtin:latest","model":"builtin:latest",`},
		{"GET", "/v1/models/builtin", "", 200, `{"id":"builtin","object":"model","created":`},
		{"POST", "/api/show", `{"model":"builtin"}`, 200, `"capabilities":["embedding"]`},
		{"POST", "/api/show", `{"name":"builtin:latest"}`, 200, `"bert.embedding_length":8`},
		{"POST", "/api/chat", `{"model":"builtin"}`, 400, `{"error":"\"builtin\" does not support chat`},
		{"POST", "/v1/chat/completions", `{"model":"builtin:latest"}`, 400, `does not support chat`},
	} {
		if w := send(h, c.method, c.path, c.body); w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
}

func TestAListOfAnotherFormIsLeftAlone(t *testing.T) {
	const before = `{"models":`
	for in, want := range map[string]string{
		`{"models":[]}`: `{"models":[E]}`, `{"models":[{"a":[1]}]}`: `{"models":[{"a":[1]},E]}`, `{"models":null}` + "\n": `{"models":[E]}` + "\n",
		`{"models":{"a":[]}}`: `{"models":{"a":[]}}`, `{"error":"x"}`: `{"error":"x"}`, ``: ``, `{"models":]}`: `{"models":]}`,
	} {
		if got := string(extended([]byte(in), before, []byte("E"))); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}

// FuzzStream checks that any bytes, in any pieces, come out as they are, and that frames are whole but for the last.
func FuzzStream(f *testing.F) {
	f.Add([]byte("data: 1\n\ndata: 2\n\n"), uint8(3), true)
	f.Add([]byte("{}\n{}"), uint8(1), false)
	f.Add([]byte("\n\n\n\n\n"), uint8(2), true)
	f.Fuzz(func(t *testing.T, body []byte, size uint8, sse bool) {
		kind, end := ndjson, "\n"
		if sse {
			kind, end = events, "\n\n"
		}
		rest := body
		pieces := readerFunc(func(p []byte) (int, error) {
			if len(rest) == 0 {
				return 0, io.EOF
			}
			n := copy(p[:min(len(p), int(size)+1)], rest)
			rest = rest[n:]
			return n, nil
		})
		w := &flushes{ResponseRecorder: httptest.NewRecorder()}
		gatewayOf(Config{Upstream: answering(200, kind, pieces)}).ServeHTTP(w, httptest.NewRequest("POST", "/api/chat", strings.NewReader(`{"model":"m"}`)))
		if !bytes.Equal(w.Body.Bytes(), body) {
			t.Fatalf("%q became %q", body, w.Body)
		}
		for i, chunk := range w.chunks {
			if i < len(w.chunks)-1 && (!strings.HasSuffix(chunk, end) || strings.Count(chunk, end) != 1) && len(body) < heldFrame {
				t.Fatalf("chunk %d of %q is %q", i, body, chunk)
			}
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
