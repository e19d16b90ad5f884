package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/problem"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// fake is an embedder whose vectors are those that a real Ollama gave for the same texts.
type fake struct{ asked []string }

var known = map[string][]float32{
	"hello world":       {0.44406024, 0.48759148, 0.13215576, -0.117919825, -0.40337688, 0.17433928, -0.56293744, -0.15391265},
	"quite other words": {0.65326047, 0.06414909, 0.050759707, -0.022116419, 0.02326949, 0.21804762, -0.6172446, -0.3701253},
	"":                  {-0.19844231, 0.6044116, 0.48748377, -0.3031844, -0.22189039, 0.1085036, -0.4517827, -0.025099263},
}

func (f *fake) Embed(_ context.Context, purpose rag.Purpose, texts []string) ([][]float32, error) {
	var out [][]float32
	for _, text := range texts {
		f.asked = append(f.asked, fmt.Sprintf("%d:%s", purpose, text))
		v, ok := known[text]
		if !ok {
			v = known[""]
		}
		out = append(out, append([]float32(nil), v...))
	}
	return out, nil
}

func (f *fake) CountTokens(text string) int { return len(strings.Fields(text)) }
func (f *fake) MaxTokens() int              { return 2 }
func (f *fake) Identity() rag.EmbedderID {
	return rag.EmbedderID{Name: "fake", Digest: "d1", Dimension: 8}
}

// roundTripper is a model server in a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var nobody = roundTripper(func(*http.Request) (*http.Response, error) {
	return nil, rag.Errorf(rag.Unavailable, rag.CodeUnreachable, "no Ollama answers")
})

// mux makes a handler of a gateway's routes, as the server does.
func mux(g *Gateway) http.Handler {
	m := http.NewServeMux()
	for _, route := range g.Routes() {
		m.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			began := &began{ResponseWriter: w}
			defer func() {
				if p := recover(); p != nil {
					if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
						p = http.ErrAbortHandler
					}
					panic(p)
				}
			}()
			if err := route.Serve(began, r); err != nil && !began.yes {
				route.Fail(w, problem.From(err, ""))
			}
		})
	}
	return m
}

// began notes whether an answer has begun.
type began struct {
	http.ResponseWriter
	yes bool
}

func (b *began) WriteHeader(status int) {
	b.yes = true
	b.ResponseWriter.WriteHeader(status)
}

func (b *began) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func send(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func gatewayOf(c Config) http.Handler {
	if c.Upstream == nil {
		c.Upstream = nobody
	}
	if c.Embedder == nil {
		c.Embedder = &fake{}
	}
	c.MaxBody, c.MaxTexts = 1<<16, 3
	return mux(New(c))
}

var durations = regexp.MustCompile(`"(total|load)_duration":\d+,`)

func TestBuiltinAnswersInOllamasForm(t *testing.T) {
	h := gatewayOf(Config{})
	const plain, charset = "application/json", "application/json; charset=utf-8"
	for _, c := range []struct {
		path, body  string
		status      int
		contentType string
		want        string
	}{
		{"/api/embed", `{"model":"builtin","input":["hello world","quite other words"]}`, 200, charset,
			`{"model":"builtin","embeddings":[[0.44406024,0.48759148,0.13215576,-0.117919825,-0.40337688,0.17433928,-0.56293744,-0.15391265],[0.65326047,0.06414909,0.050759707,-0.022116419,0.02326949,0.21804762,-0.6172446,-0.3701253]],"prompt_eval_count":9}`},
		{"/api/embed", `{"model":"builtin:latest","input":"hello world"}`, 200, charset,
			`{"model":"builtin:latest","embeddings":[[0.44406024,0.48759148,0.13215576,-0.117919825,-0.40337688,0.17433928,-0.56293744,-0.15391265]],"prompt_eval_count":4}`},
		{"/api/embed", `{"model":"builtin","input":"hello world","dimensions":4}`, 200, charset,
			`{"model":"builtin","embeddings":[[0.65028954,0.7140375,0.1935312,-0.17268385]],"prompt_eval_count":4}`},
		{"/api/embed", `{"model":"builtin","input":[]}`, 200, charset, `{"model":"builtin","embeddings":[]}`},
		{"/api/embed", `{"model":"builtin","input":""}`, 200, charset, `{"model":"builtin","embeddings":[]}`},
		{"/api/embed", `{"model":"builtin"}`, 200, charset, `{"model":"builtin","embeddings":[]}`},
		{"/api/embed", `{"model":"builtin","input":[""]}`, 200, charset,
			`{"model":"builtin","embeddings":[[-0.19844231,0.6044116,0.48748377,-0.3031844,-0.22189039,0.1085036,-0.4517827,-0.025099263]],"prompt_eval_count":2}`},
		{"/api/embed", `{"model":"builtin","input":["x",null]}`, 400, charset, `{"error":"invalid input type"}`},
		{"/api/embed", `{"model":"builtin","input":{}}`, 400, charset, `{"error":"invalid input type"}`},
		{"/api/embed", `{"model":"builtin","input":"three short words","truncate":false}`, 400, charset, `{"error":"the input length exceeds the context length"}`},
		{"/api/embed", `{"model":"builtin","input":["","","",""]}`, 400, charset, `{"error":"4 texts in one request: at most 3 are taken (GATEWAY_MAX_TEXTS)"}`},
		{"/api/embed", `{"model":"nope","input":"x"}`, 503, charset, `{"error":"no Ollama answers"}`},
		{"/api/embeddings", `{"model":"builtin","prompt":"hello world"}`, 200, charset,
			`{"embedding":[0.44406023621559143,0.4875914752483368,0.13215576112270355,-0.11791982501745224,-0.40337687730789185,0.17433927953243256,-0.5629374384880066,-0.15391264855861664]}`},
		{"/api/embeddings", `{"model":"builtin"}`, 200, charset, `{"embedding":[]}`},
		{"/v1/embeddings", `{"model":"builtin","input":["hello world",""]}`, 200, plain,
			`{"object":"list","data":[{"object":"embedding","embedding":[0.44406024,0.48759148,0.13215576,-0.117919825,-0.40337688,0.17433928,-0.56293744,-0.15391265],"index":0},{"object":"embedding","embedding":[-0.19844231,0.6044116,0.48748377,-0.3031844,-0.22189039,0.1085036,-0.4517827,-0.025099263],"index":1}],"model":"builtin","usage":{"prompt_tokens":6,"total_tokens":6}}` + "\n"},
		{"/v1/embeddings", `{"model":"builtin","input":"hello world","encoding_format":"base64"}`, 200, plain,
			`{"object":"list","data":[{"object":"embedding","embedding":"3VvjPpel+T7XUwc+83/xvWqHzr7/hTI+qxwQv0ebHb4=","index":0}],"model":"builtin","usage":{"prompt_tokens":4,"total_tokens":4}}` + "\n"},
		{"/v1/embeddings", `{"model":"builtin","input":""}`, 200, plain,
			`{"object":"list","data":[{"object":"embedding","embedding":[-0.19844231,0.6044116,0.48748377,-0.3031844,-0.22189039,0.1085036,-0.4517827,-0.025099263],"index":0}],"model":"builtin","usage":{"prompt_tokens":2,"total_tokens":2}}` + "\n"},
		{"/v1/embeddings", `{"model":"builtin","input":[]}`, 400, charset, `{"error":{"message":"invalid input","type":"invalid_request_error","param":null,"code":null}}`},
		{"/v1/embeddings", `{"model":"builtin","input":[9906,1917]}`, 400, charset,
			`{"error":{"message":"invalid input type: the input is a list of token numbers, and the model builtin has a vocabulary of its own: send text","type":"invalid_request_error","param":null,"code":null}}`},
		{"/v1/embeddings", `{"model":"builtin","input":"x","encoding_format":"int8"}`, 400, charset,
			`{"error":{"message":"Invalid value for 'encoding_format' = int8. Supported values: ['float', 'base64'].","type":"invalid_request_error","param":null,"code":null}}`},
		{"/v1/embeddings", `{"model":"nope","input":"x"}`, 503, plain, `{"error":{"message":"no Ollama answers","type":"api_error","param":null,"code":"unreachable"}}` + "\n"},
	} {
		w := send(h, "POST", c.path, c.body)
		got := durations.ReplaceAllString(w.Body.String(), "")
		if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType || got != c.want {
			t.Errorf("%s %s:\n got %d %s %q\nwant %d %s %q", c.path, c.body, w.Code, w.Header().Get("Content-Type"), got, c.status, c.contentType, c.want)
		}
	}
}

func TestDurationsAreThereWithVectors(t *testing.T) {
	w := send(gatewayOf(Config{}), "POST", "/api/embed", `{"model":"builtin","input":"hello world"}`)
	if found := durations.FindAllString(w.Body.String(), -1); len(found) != 2 {
		t.Errorf("%d durations in %s", len(found), w.Body)
	}
}

func TestATextsOwnPrefixSaysWhatItIsFor(t *testing.T) {
	f := &fake{}
	w := send(gatewayOf(Config{Embedder: f}), "POST", "/v1/embeddings", `{"model":"builtin","input":["passage: hello world","query: quite other words","hello world"]}`)
	if got := strings.Join(f.asked, "|"); got != "0:hello world|0:hello world|1:quite other words" {
		t.Errorf("embedded %q", got)
	}
	second := strings.SplitAfter(w.Body.String(), "embedding\":[")[2]
	if !strings.HasPrefix(second, "0.65326047") {
		t.Errorf("the second vector is not that of the second text: %.60s", second)
	}
}

func TestOtherModelsArePassedOn(t *testing.T) {
	for _, path := range []string{"/api/embed", "/api/embeddings", "/v1/embeddings"} {
		const request, answer = `{ "model" : "other", "input":"<x>" }`, `{"embeddings":[[1,2]]}`
		var got string
		up := roundTripper(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			call, _ := rag.CallOf(r.Context())
			got = fmt.Sprintf("%s %s %s %+v", r.Method, r.URL, body, call)
			return &http.Response{StatusCode: 418, Header: http.Header{"X-Theirs": {"1"}, "Connection": {"close"}}, Body: io.NopCloser(strings.NewReader(answer))}, nil
		})
		w := send(gatewayOf(Config{Upstream: up}), "POST", path, request)
		if want := "POST http://ollama" + path + " " + request + " {Model:other Class:embedding}"; got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
		if w.Code != 418 || w.Body.String() != answer || w.Header().Get("X-Theirs") != "1" || w.Header().Get("Connection") != "" {
			t.Errorf("answered %d %v %s", w.Code, w.Header(), w.Body)
		}
	}
}

func TestABodyPastItsLimitIsRefused(t *testing.T) {
	w := send(gatewayOf(Config{}), "POST", "/api/embed", `{"model":"builtin","input":"`+strings.Repeat("x", 1<<16)+`"}`)
	if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "GATEWAY_MAX_BODY_BYTES") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func FuzzEmbed(f *testing.F) {
	for _, seed := range []string{`{"model":"builtin","input":"hello world"}`, `{"model":"builtin","input":["","hello world"],"dimensions":-1}`, `{"MODEL":"builtin","input":[[1]]}`, `null`, `{"model":"builtin","input":1e999}`} {
		f.Add([]byte(seed))
	}
	h := gatewayOf(Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/api/embed", "/api/embeddings", "/v1/embeddings"} {
			w := send(h, "POST", path, string(body))
			var answer map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatalf("%s %q: %v in %q", path, body, err, w.Body)
			}
			if _, failed := answer["error"]; failed != (w.Code != http.StatusOK) || w.Code == http.StatusInternalServerError {
				t.Errorf("%s %q: %d %s", path, body, w.Code, w.Body)
			}
		}
	})
}
