package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// memory keeps everything for ever.
type memory struct {
	mu   sync.Mutex
	kept map[string]rag.KeptCall
}

func newMemory() *memory { return &memory{kept: map[string]rag.KeptCall{}} }

func (m *memory) Recall(key string, maxAge time.Duration) (data []byte, age, left time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	call, ok := m.kept[key]
	age = time.Since(time.Unix(0, call.Made))
	return call.Data, age, time.Hour - age, ok && (maxAge == 0 || age <= maxAge)
}

func (m *memory) Remember(call rag.KeptCall) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	call.Made = time.Now().UnixNano()
	m.kept[call.Key] = call
	return true
}

// speaker is a model server that says the same to everybody, in the form that was asked for. Its bytes are those of Ollama 0.17.
type speaker struct {
	mu     sync.Mutex
	bodies []string // of requests
	change func(body string) string
	wait   chan struct{} // nil: nothing is waited for
	status int
}

func (s *speaker) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bodies)
}

const (
	counts   = `"total_duration":12849234,"load_duration":9496942,"prompt_eval_count":10,"prompt_eval_duration":427096,"eval_count":2,"eval_duration":209432}`
	at       = `"model":"m","created_at":"2026-11-23T21:32:58.655826Z"`
	at2      = `"model":"m","created_at":"2026-11-23T21:32:58.65582679Z"`
	idV1     = `"id":"chatcmpl-177","object":"chat.completion.chunk","created":1795469580,"model":"m","system_fingerprint":"fp_ollama"`
	idText   = `"id":"cmpl-822","object":"text_completion","created":1795469581`
	textTail = `,"model":"m","system_fingerprint":"fp_ollama"}`
	usageV   = `"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}`
)

func speech(path string, stream, usage bool) (kind, body string) {
	var frames []string
	switch path {
	case chatPath:
		if !stream {
			return jsonType, `{` + at2 + `,"message":{"role":"assistant","content":" The \u003canswer\u003e","thinking":"Hm."},"done":true,"done_reason":"stop",` + counts
		}
		frames = []string{`{` + at + `,"message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}`, `{` + at + `,"message":{"role":"assistant","content":" The"},"done":false}`,
			`{` + at + `,"message":{"role":"assistant","content":" \u003canswer\u003e"},"done":false}`, `{` + at2 + `,"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",` + counts}
	case generatePath:
		if !stream {
			return jsonType, `{` + at2 + `,"response":" The \u003canswer\u003e","done":true,"done_reason":"stop","context":[259,341],` + counts
		}
		frames = []string{`{` + at + `,"response":" The","done":false}`, `{` + at + `,"response":" \u003canswer\u003e","done":false}`, `{` + at2 + `,"response":"","done":true,"done_reason":"stop","context":[259,341],` + counts}
	case chatV1Path:
		if !stream {
			return openaiType, `{` + strings.Replace(idV1, ".chunk", "", 1) + `,"choices":[{"index":0,"message":{"role":"assistant","content":" The \u003canswer\u003e","reasoning":"Hm."},"finish_reason":"stop"}],` + usageV + "\n"
		}
		frames = []string{`{` + idV1 + `,"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"Hm."},"finish_reason":null}]}`, `{` + idV1 + `,"choices":[{"index":0,"delta":{"role":"assistant","content":" The"},"finish_reason":null}]}`,
			`{` + idV1 + `,"choices":[{"index":0,"delta":{"role":"assistant","content":" \u003canswer\u003e"},"finish_reason":null}]}`, `{` + idV1 + `,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}`}
		if usage {
			frames = append(frames, `{`+idV1+`,"choices":[],`+usageV)
		}
	case completionV1Path:
		if !stream {
			return openaiType, `{` + idText + `,"choices":[{"text":" The \u003canswer\u003e","index":0,"finish_reason":"stop"}],` + usageV[:len(usageV)-1] + textTail + "\n"
		}
		frames = []string{`{` + idText + `,"choices":[{"text":" The","index":0,"finish_reason":null}]` + textTail, `{` + idText + `,"choices":[{"text":" \u003canswer\u003e","index":0,"finish_reason":null}]` + textTail,
			`{` + idText + `,"choices":[{"text":"","index":0,"finish_reason":"stop"}]` + textTail}
		if usage {
			frames = append(frames, `{`+idText+`,"choices":[],`+usageV[:len(usageV)-1]+textTail)
		}
	}
	if apiOf(path) == native {
		return ndjson, strings.Join(frames, "\n") + "\n"
	}
	return events, "data: " + strings.Join(append(frames, "[DONE]"), "\n\ndata: ") + "\n\n"
}

func (s *speaker) RoundTrip(r *http.Request) (*http.Response, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, string(data))
	wait, change, status := s.wait, s.change, s.status
	s.mu.Unlock()
	m, _ := meaningOf(r.URL.Path, data)
	kind, text := speech(r.URL.Path, m.stream, m.usage)
	var body io.Reader = strings.NewReader(text)
	if change != nil {
		body = strings.NewReader(change(text))
	}
	if wait != nil {
		half := len(text) / 2
		body = io.MultiReader(strings.NewReader(text[:half]), &gate{r.Context(), wait}, strings.NewReader(text[half:]))
	}
	return &http.Response{StatusCode: max(status, 200), ContentLength: -1, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(body)}, nil
}

// gate holds a body back until it is opened, or its reader stopped.
type gate struct {
	ctx  context.Context
	open chan struct{}
}

func (g *gate) Read([]byte) (int, error) {
	select {
	case <-g.open:
		return 0, io.EOF
	case <-g.ctx.Done():
		return 0, g.ctx.Err()
	}
}

func keeping(upstream http.RoundTripper, routes ...string) (http.Handler, *memory, *Gateway) {
	m := newMemory()
	g := New(Config{
		Upstream: upstream, MaxBody: 1 << 16, Kept: m, CacheRoutes: routes,
		Digest: func(_ context.Context, model string) (string, error) {
			if model != "m" {
				return "", errors.New("no such model")
			}
			return "sha256:m", nil
		},
	})
	return mux(g), m, g
}

func sendWith(h http.Handler, ctx context.Context, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, "POST", path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// form is a way to ask for the same answer.
type form struct {
	path          string
	stream, usage bool
}

func (f form) body() string {
	switch f.path {
	case chatPath:
		return fmt.Sprintf(`{"model":"m",%s,%s,"stream":%t}`, hello, greedy, f.stream)
	case generatePath:
		return fmt.Sprintf(`{"stream":%t,"model":"m","prompt":"hello",%s}`, f.stream, greedy)
	}
	what := hello
	if f.path == completionV1Path {
		what = `"prompt":"hello"`
	}
	if f.usage {
		what += `,"stream_options":{"include_usage":true}`
	}
	return fmt.Sprintf(`{"model":"m",%s,"temperature":0,"stream":%t}`, what, f.stream)
}

var chatForms = []form{{chatPath, true, false}, {chatPath, false, false}, {chatV1Path, true, false}, {chatV1Path, true, true}, {chatV1Path, false, false}}

// heard is an answer as a client understands it.
func heard(t *testing.T, f form, w *httptest.ResponseRecorder) *said {
	t.Helper()
	h := hear(f.path, f.stream)
	frames := strings.SplitAfter(w.Body.String(), "\n")
	if f.stream && apiOf(f.path) == openai {
		frames = strings.SplitAfter(w.Body.String(), "\n\n")
	}
	wantKind, _ := speech(f.path, f.stream, f.usage)
	if kind := w.Header().Get("Content-Type"); kind != wantKind || w.Code != 200 {
		t.Fatalf("%+v: %d %s %s", f, w.Code, kind, w.Body)
	}
	for _, frame := range frames {
		if frame == "" {
			continue
		}
		if usage := h.take([]byte(frame)); usage && !f.usage {
			t.Errorf("%+v: usage that nobody asked for", f)
		}
	}
	h.counted = h.counted || !f.usage && f.stream
	s := h.whole(true)
	if s == nil {
		t.Fatalf("%+v: no whole answer: %s", f, w.Body)
	}
	return s
}

func TestLaw8EveryFormFromEveryForm(t *testing.T) {
	for _, forms := range [][]form{chatForms, {{generatePath, true, false}, {generatePath, false, false}}, {{completionV1Path, true, false}, {completionV1Path, true, true}, {completionV1Path, false, false}}} {
		for _, from := range forms {
			server := &speaker{}
			h, _, _ := keeping(server, "all")
			first := sendWith(h, t.Context(), from.path, from.body())
			if _, want := speech(from.path, from.stream, from.usage); first.Body.String() != want {
				t.Errorf("%+v: the first answer is not the model server's own:\n%s", from, first.Body)
			}
			if got := first.Header().Get("Cache-Status"); !strings.HasPrefix(got, "ollama-rag; fwd=miss") || strings.Contains(got, "stored") == from.stream {
				t.Errorf("%+v: %s", from, got)
			}
			for _, to := range forms {
				w := sendWith(h, t.Context(), to.path, to.body())
				s := heard(t, to, w)
				wantThinking := "Hm."
				if to.path == generatePath || to.path == completionV1Path {
					wantThinking = ""
				}
				if s.Text != " The <answer>" || s.Thinking != wantThinking || s.Model != "m" {
					t.Errorf("%+v from %+v: %+v", to, from, s)
				}
				if to.usage || !to.stream || apiOf(to.path) == native {
					if s.Metrics.PromptEvalCount != 10 || s.Metrics.EvalCount != 2 || s.Metrics.TotalDuration == 0 {
						t.Errorf("%+v from %+v: %+v", to, from, s.Metrics)
					}
				}
				if to.path == generatePath && string(s.Context) != "[259,341]" {
					t.Errorf("%+v from %+v: context %s", to, from, s.Context)
				}
				if from.path == to.path && from.path == chatPath && s.Created != "2026-11-23T21:32:58.65582679Z" || apiOf(to.path) == openai && apiOf(from.path) == openai && s.ID == "" {
					t.Errorf("%+v from %+v: made %q, %q", to, from, s.Created, s.ID)
				}
				if _, whole := speech(to.path, false, false); from.path == to.path && !to.stream && w.Body.Len() != len(whole) && to.path != completionV1Path {
					t.Errorf("%+v from %+v:\n%s\n%s", to, from, w.Body, whole)
				}
				status, age := w.Header().Get("Cache-Status"), w.Header().Get("Age")
				if !strings.HasPrefix(status, "ollama-rag; hit; ttl=3") || age != "0" {
					t.Errorf("%+v from %+v: %q, age %q", to, from, status, age)
				}
			}
			if n := server.count(); n != 1 {
				t.Errorf("%+v: %d calls", from, n)
			}
		}
	}
}

func TestLaw8WhatOneFormAloneCanHoldStaysThere(t *testing.T) {
	const call = `{"function":{"name":"now","arguments":{"b":1,"a":2}}}`
	server := &speaker{change: func(s string) string {
		return strings.Replace(s, `"content":" The \u003canswer\u003e","thinking":"Hm."`, `"content":"","thinking":"Hm.","tool_calls":[`+call+`]`, 1)
	}}
	h, _, _ := keeping(server, "all")
	whole := form{chatPath, false, false}
	for _, tools := range []string{"", `,"tools":[{"type":"function"}]`} {
		before := server.count()
		body := whole.body()[:len(whole.body())-1] + tools + "}"
		first := sendWith(h, t.Context(), chatPath, body)
		again := sendWith(h, t.Context(), chatPath, body)
		if kept := server.count() == before+1; kept != (tools != "") {
			t.Errorf("%s: %d calls", body, server.count())
		}
		if again.Body.String() != first.Body.String() {
			t.Errorf("%s\n%s", again.Body, first.Body)
		}
		streamed := sendWith(h, t.Context(), chatPath, strings.Replace(body, `"stream":false`, `"stream":true`, 1))
		if tools != "" && !strings.Contains(streamed.Body.String(), `"tool_calls":[`+call+`]`) {
			t.Errorf("%s", streamed.Body)
		}
	}
	server.change = func(s string) string { return strings.Replace(s, `"done":true`, `"logprobs":[],"done":true`, 1) }
	h, m, _ := keeping(server, "all")
	if sendWith(h, t.Context(), chatPath, whole.body()); len(m.kept) != 0 {
		t.Error("an answer with a field that would be lost was kept")
	}
}

func TestLaw7NothingBadIsKept(t *testing.T) {
	forms := slices.Concat(chatForms, []form{{generatePath, true, false}, {generatePath, false, false}, {completionV1Path, true, true}, {completionV1Path, false, false}})
	rapid.Check(t, func(rt *rapid.T) {
		f := rapid.SampledFrom(forms).Draw(rt, "form")
		kind, text := speech(f.path, f.stream, f.usage || apiOf(f.path) == openai)
		status := 200
		var body io.Reader
		switch how := rapid.SampledFrom([]string{"broken", "ended", "length", "error", "status", "looped", "empty"}).Draw(rt, "how"); how {
		case "broken":
			body = breaking(text[:rapid.IntRange(0, len(text)).Draw(rt, "bytes")])
		case "ended": // cleanly, before its last frame is whole
			text = strings.TrimRight(text, "\n")
			body = strings.NewReader(text[:rapid.IntRange(0, len(text)-1).Draw(rt, "bytes")])
		case "length":
			body = strings.NewReader(strings.ReplaceAll(text, `"stop"`, `"length"`))
		case "error":
			end := `{"error":"it fell over"}`
			if kind == events {
				end = "data: " + end + "\n"
			}
			body = strings.NewReader(text + end + "\n")
		case "status":
			status, body = rapid.SampledFrom([]int{201, 204, 400, 404, 429, 500, 503}).Draw(rt, "status"), strings.NewReader(text)
		case "looped":
			body = strings.NewReader(strings.NewReplacer(`"done":true`, `"done":false`, `"finish_reason":"stop"`, `"finish_reason":null`).Replace(text))
		case "empty":
			body = strings.NewReader(strings.NewReplacer(" The", " ", `\u003canswer\u003e`, "").Replace(text))
		}
		h, m, _ := keeping(answering(status, kind, body), "all")
		sendWith(h, t.Context(), f.path, f.body())
		if len(m.kept) != 0 {
			rt.Fatalf("%+v kept", m.kept)
		}
	})
}

func TestLaw7WhatEverybodyLeftIsStoppedAndNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, f := range chatForms {
			server := &speaker{wait: make(chan struct{})}
			h, m, _ := keeping(server, "all")
			ctx, leave := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() { sendWith(h, ctx, f.path, f.body()) })
			}
			synctest.Wait()
			leave()
			all.Wait() // which it would not, were the model server still listened to
			if len(m.kept) != 0 || server.count() != 1 {
				t.Errorf("%+v: %d kept, %d calls", f, len(m.kept), server.count())
			}
		}
	})
}

func TestLaw7SampledAnswersFollowTheSetting(t *testing.T) {
	server := &speaker{}
	h, m, g := keeping(server, "all")
	const body = `{"model":"m",` + hello + `}`
	for range 2 {
		if w := sendWith(h, t.Context(), chatPath, body); w.Header().Get("Cache-Status") != "ollama-rag; fwd=bypass; detail=sampled" {
			t.Error(w.Header())
		}
	}
	if len(m.kept) != 0 || server.count() != 2 {
		t.Error("a sampled answer was kept")
	}
	g.Sampled = true
	sendWith(h, t.Context(), chatPath, body)
	if w := sendWith(h, t.Context(), chatPath, body); !strings.Contains(w.Header().Get("Cache-Status"), "; hit;") || server.count() != 3 {
		t.Error(w.Header())
	}
}

func TestNothingIsKeptUnlessSwitchedOn(t *testing.T) {
	body := form{chatPath, false, false}.body()
	for _, c := range []struct {
		routes []string
		header string
		on     bool
	}{
		{nil, "", false}, {nil, "on", true}, {nil, "On", true}, {nil, "yes", false}, {[]string{"all"}, "", true}, {[]string{"all"}, "off", false}, {[]string{chatPath}, "", true}, {[]string{chatPath}, "OFF", false},
		{[]string{generatePath, chatV1Path}, "", false}, {[]string{generatePath}, "on", true},
	} {
		server := &speaker{}
		inner := roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get(switchHeader) != "" {
				t.Error("the model server hears of it")
			}
			return server.RoundTrip(r)
		})
		h, m, _ := keeping(inner, c.routes...)
		w := sendWith(h, t.Context(), chatPath, body, switchHeader, c.header)
		_, want := speech(chatPath, false, false)
		if on := len(m.kept) == 1; on != c.on || (w.Header().Get("Cache-Status") != "") != c.on || w.Body.String() != want || server.bodies[0] != body {
			t.Errorf("%+v: %d kept, %v %s", c, len(m.kept), w.Header(), server.bodies[0])
		}
	}
	h, m, _ := keeping(&speaker{}, "all")
	if sendWith(h, t.Context(), chatPath+"?x=1", body); len(m.kept) != 0 {
		t.Error("a query string is passed on, so it may mean something")
	}
	if sendWith(h, t.Context(), "/v1/responses", body); len(m.kept) != 0 {
		t.Error("a route that is none of the four")
	}
	if w := sendWith(h, t.Context(), chatPath, strings.Replace(body, `"m"`, `"other"`, 1)); w.Header().Get("Cache-Status") != "ollama-rag; fwd=bypass; detail=model" || len(m.kept) != 0 {
		t.Error("a model whose digest is not known", w.Header())
	}
}

func TestAnswersAreNeverServedAcrossKeys(t *testing.T) {
	server := &speaker{}
	h, _, _ := keeping(server, "all")
	body := form{chatPath, false, false}.body()
	for i, caller := range []string{"", "a", "b"} {
		ctx := rag.WithCaller(t.Context(), caller)
		for range 2 {
			sendWith(h, ctx, chatPath, body)
		}
		if n := server.count(); n != i+1 {
			t.Errorf("%q: %d calls", caller, n)
		}
	}
	synctest.Test(t, func(t *testing.T) { // nor while they are in flight
		server := &speaker{wait: make(chan struct{})}
		h, _, g := keeping(server, "all")
		var all sync.WaitGroup
		for _, caller := range []string{"", "a", "b", "b"} {
			all.Go(func() { sendWith(h, rag.WithCaller(t.Context(), caller), chatPath, body) })
			synctest.Wait()
		}
		close(server.wait)
		all.Wait()
		if n := server.count(); n != 3 || g.Coalesced() != 1 {
			t.Errorf("in flight: %d calls, %d followed", n, g.Coalesced())
		}
	})
}

func TestLaw11TheRequestSaysWhatItWantsHereToo(t *testing.T) {
	server := &speaker{}
	h, m, _ := keeping(server, "all")
	for _, f := range []form{{chatPath, false, false}, {chatV1Path, false, false}} {
		clear(m.kept)
		for _, c := range []struct {
			control string
			calls   int
			status  string
		}{
			{"only-if-cached", 0, ""}, {"no-store", 1, "ollama-rag; fwd=bypass; detail=no-store"}, {"only-if-cached", 0, ""}, {"", 1, "ollama-rag; fwd=miss; stored"}, {"only-if-cached", 0, "hit"}, {"max-age=60", 0, "hit"},
			{"no-cache", 1, "ollama-rag; fwd=miss; stored"}, {"no-store", 1, "ollama-rag; fwd=bypass; detail=no-store"}, {"max-age=0, only-if-cached", 0, ""}, {"no-store, only-if-cached", 0, ""},
		} {
			before := server.count()
			w := sendWith(h, t.Context(), f.path, f.body(), "Cache-Control", c.control)
			if c.status == "" {
				want := `{"error":"no answer to this request is kept`
				if f.path == chatV1Path {
					want = `{"error":{"message":"no answer to this request is kept`
				}
				if w.Code != http.StatusGatewayTimeout || !strings.HasPrefix(w.Body.String(), want) {
					t.Errorf("%s %q: %d %s", f.path, c.control, w.Code, w.Body)
				}
			} else if got := w.Header().Get("Cache-Status"); w.Code != 200 || !strings.Contains(got, c.status) {
				t.Errorf("%s %q: %d %q", f.path, c.control, w.Code, got)
			}
			if n := server.count() - before; n != c.calls {
				t.Errorf("%s %q: %d calls", f.path, c.control, n)
			}
		}
		for key, call := range m.kept {
			call.Made -= int64(90 * time.Second)
			m.kept[key] = call
		}
		if w := sendWith(h, t.Context(), f.path, f.body(), "Cache-Control", "max-age=100"); w.Header().Get("Age") != "90" || !strings.Contains(w.Header().Get("Cache-Status"), "; hit; ttl=3509;") {
			t.Errorf("%v", w.Header())
		}
		if w := sendWith(h, t.Context(), f.path, f.body(), "Cache-Control", "max-age=80"); !strings.HasPrefix(w.Header().Get("Cache-Status"), "ollama-rag; fwd=miss") {
			t.Errorf("%v", w.Header())
		}
	}
}

func TestLaw9FollowersOfEveryFormShareOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, leader := range []form{{chatPath, true, false}, {chatPath, false, false}, {chatV1Path, true, false}, {chatV1Path, false, false}} {
			server := &speaker{wait: make(chan struct{})}
			h, _, g := keeping(server, "all")
			forms := slices.DeleteFunc(slices.Clone(chatForms), func(f form) bool { return f.path != leader.path })
			answers := make([]*httptest.ResponseRecorder, 60)
			var all sync.WaitGroup
			ctx, leave := context.WithCancel(t.Context())
			all.Go(func() { sendWith(h, ctx, leader.path, leader.body()) })
			synctest.Wait()
			for i := range answers {
				all.Go(func() { f := forms[i%len(forms)]; answers[i] = sendWith(h, t.Context(), f.path, f.body()) })
			}
			synctest.Wait()
			leave() // half-way
			synctest.Wait()
			close(server.wait)
			all.Wait()
			for i, w := range answers {
				f := forms[i%len(forms)]
				if s := heard(t, f, w); s.Text != " The <answer>" || s.Thinking != "Hm." {
					t.Errorf("%+v after %+v: %+v", f, leader, s)
				}
				if _, want := speech(f.path, f.stream, f.usage); f.stream == leader.stream && w.Body.String() != want {
					t.Errorf("%+v after %+v: not the model server's own bytes: %s", f, leader, w.Body)
				}
			}
			if n := server.count(); n != 1 || g.Coalesced() != 60 {
				t.Errorf("%+v: %d calls, %d followed", leader, n, g.Coalesced())
			}
		}
	})
}

// What is in flight may be an answer that is kept: who wants a fresh or a fresher one, or none of a model, does not follow it.
func TestLaw9WhoWantsAnotherAnswerDoesNotFollow(t *testing.T) {
	for control, calls := range map[string]int{"": 1, "no-cache": 3, "no-store": 3, "max-age=60": 2, "only-if-cached": 1} {
		synctest.Test(t, func(t *testing.T) {
			server := &speaker{wait: make(chan struct{})}
			h, _, g := keeping(server, "all")
			f := form{chatPath, true, false}
			var all sync.WaitGroup
			all.Go(func() { sendWith(h, t.Context(), f.path, f.body()) })
			synctest.Wait()
			answers := make([]*httptest.ResponseRecorder, 2)
			for i := range answers {
				all.Go(func() { answers[i] = sendWith(h, t.Context(), f.path, f.body(), "Cache-Control", control) })
			}
			synctest.Wait()
			close(server.wait)
			all.Wait()
			for _, w := range answers {
				if want := control != "only-if-cached"; (w.Code == http.StatusOK) != want || want && heard(t, f, w).Text != " The <answer>" {
					t.Errorf("%q: %d %s", control, w.Code, w.Body)
				}
			}
			if n := server.count(); n != calls {
				t.Errorf("%q: %d calls, want %d; %d followed", control, n, calls, g.Coalesced())
			}
		})
	}
}

func TestAFollowerWhoseFormCannotBeMadeOfItAsksItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &speaker{wait: make(chan struct{})}
		odd := roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := server.RoundTrip(r)
			if resp.Header.Get("Content-Type") == ndjson {
				resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("{\"new_field\":1}\n"), resp.Body))
			}
			return resp, err
		})
		h, m, _ := keeping(odd, "all")
		var streamed, whole *httptest.ResponseRecorder
		var all sync.WaitGroup
		f := form{chatPath, true, false}
		all.Go(func() { streamed = sendWith(h, t.Context(), f.path, f.body()) })
		synctest.Wait()
		g := form{chatPath, false, false}
		all.Go(func() { whole = sendWith(h, t.Context(), g.path, g.body()) })
		synctest.Wait()
		close(server.wait)
		all.Wait()
		_, want := speech(g.path, false, false)
		if whole.Body.String() != want || !strings.HasPrefix(streamed.Body.String(), "{\"new_field\":1}\n") || server.count() != 2 || len(m.kept) != 0 || whole.Header().Get("Cache-Status") != "ollama-rag; fwd=miss" {
			t.Errorf("%d calls, %d kept, %v\n%s\n%s", server.count(), len(m.kept), whole.Header(), streamed.Body, whole.Body)
		}
	})
}

func TestFollowersShareAFailureInTheirOwnForm(t *testing.T) {
	for _, c := range []struct {
		status int
		path   string
	}{{404, chatPath}, {503, chatV1Path}} {
		server := &speaker{status: c.status, change: func(string) string { return `{"error":"no"}` }}
		h, m, _ := keeping(roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := server.RoundTrip(r)
			resp.Header.Set("Content-Type", jsonType)
			return resp, err
		}), "all")
		for _, stream := range []bool{true, false} {
			f := form{c.path, stream, false}
			if w := sendWith(h, t.Context(), f.path, f.body()); w.Code != c.status || w.Body.String() != `{"error":"no"}` || len(m.kept) != 0 {
				t.Errorf("%+v: %d %s", f, w.Code, w.Body)
			}
		}
	}
	for _, f := range chatForms {
		h, m, _ := keeping(nobody, "all")
		if w := sendWith(h, t.Context(), f.path, f.body()); w.Code != http.StatusServiceUnavailable || len(m.kept) != 0 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%+v: %d %s", f, w.Code, w.Body)
		}
	}
}

func FuzzWhatModelServersSay(f *testing.F) {
	for _, form := range chatForms {
		_, text := speech(form.path, form.stream, true)
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, path := range []string{chatPath, generatePath, chatV1Path, completionV1Path} {
			h := hear(path, true)
			for frame := range strings.SplitSeq(string(text), "\n") {
				h.take([]byte(frame))
			}
			s := h.whole(true)
			if s == nil {
				continue
			}
			for _, m := range []meaning{{}, {stream: true}, {stream: true, usage: true}} {
				if _, frames := s.frames(path, m); len(frames) == 0 {
					t.Errorf("%s: %+v has no frames", path, s)
				}
			}
		}
	})
}

func BenchmarkAHit(b *testing.B) {
	for _, f := range []form{{chatPath, false, false}, {chatV1Path, true, false}} {
		b.Run(fmt.Sprintf("%s stream=%t", f.path, f.stream), func(b *testing.B) {
			h, _, _ := keeping(&speaker{}, "all")
			for b.Loop() {
				if w := sendWith(h, context.Background(), f.path, f.body()); w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
