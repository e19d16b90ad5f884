package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// script is an engine that does with every question what a test says.
type script func(ctx context.Context, yield func(rag.Event, error) bool)

func (s script) Ask(ctx context.Context, _ rag.Request) iter.Seq2[rag.Event, error] {
	return func(yield func(rag.Event, error) bool) { s(ctx, yield) }
}

func (script) Explain(context.Context, rag.Request) (rag.Explanation, error) {
	return rag.Explanation{}, nil
}

func (script) Search(context.Context, rag.Request) (rag.Found, error) { return rag.Found{}, nil }

// catalog knows the knowledge base "default".
type catalog struct{ Catalog }

func (catalog) KnowledgeBase(_ context.Context, name string) (rag.KnowledgeBase, error) {
	if name != "default" {
		return rag.KnowledgeBase{}, rag.Errorf(rag.NotFound, "", "no knowledge base of this name")
	}
	return rag.KnowledgeBase{Name: name}, nil
}

// settled is an answer cache with fixed settings.
type settled struct{ Cache }

func (settled) Config() rag.CacheConfig {
	return rag.CacheConfig{Enabled: true, Threshold: .9, TTL: time.Hour}
}

// lab is a server for tests: its handler and what it logs.
type lab struct {
	t   *testing.T
	h   http.Handler
	log *bytes.Buffer
}

func newLab(t *testing.T, change func(*Config)) lab {
	t.Helper()
	l := lab{t: t, log: &bytes.Buffer{}}
	c := Config{
		Engine: script(func(_ context.Context, yield func(rag.Event, error) bool) {
			yield(rag.Event{Kind: rag.EventDone, Answer: &rag.Answer{Text: "yes"}}, nil)
		}),
		Catalog: catalog{}, Cache: settled{}, Calls: func() rag.CallStats { return rag.CallStats{} }, Log: slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})), MaxBody: 1 << 20, MaxUpload: 1 << 20, MaxUploadTotal: 1 << 30,
		SpoolDir: t.TempDir(), Defaults: Defaults{DB: "default", Provider: "ollama", RRFK: 60}, Page: fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}},
	}
	if change != nil {
		change(&c)
	}
	l.h = New(c).Handler()
	return l
}

func (l lab) send(method, target, body string, header ...string) *httptest.ResponseRecorder {
	l.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	l.h.ServeHTTP(w, r)
	return w
}

func object(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}
	return m
}

func TestTheLogSaysWhyAnAnswerIsDegraded(t *testing.T) {
	const notice = "No language model answered, so these are the passages themselves: no Ollama answers"
	answered := func() []Host { return []Host{{}, {Breaker: breaker.Stats{Successes: 1}}} }
	seen := func() []Host { return []Host{{Version: "0.12.0", Down: true}} }
	never := func() []Host { return []Host{{Down: true, Breaker: breaker.Stats{Failures: 9}}} }
	for _, c := range []struct {
		reason rag.Reason
		hosts  func() []Host
		level  string
	}{
		{rag.ReasonNoModel, answered, "WARN"},
		{rag.ReasonCircuitOpen, seen, "WARN"},
		{rag.ReasonTimeout, answered, "WARN"},
		{rag.ReasonQueueFull, answered, "WARN"},
		{rag.ReasonNoVectors, answered, "INFO"},
		{rag.ReasonNoModel, never, "INFO"},
		{rag.ReasonCircuitOpen, never, "INFO"},
		{"", answered, "INFO"},
	} {
		for _, path := range []string{"/api/query", "/api/stream_query"} {
			l := newLab(t, func(cfg *Config) {
				cfg.Hosts = c.hosts
				cfg.Engine = script(func(_ context.Context, yield func(rag.Event, error) bool) {
					a := &rag.Answer{Text: "the treasure", Degraded: c.reason != "", DegradedReason: c.reason, Notice: notice}
					yield(rag.Event{Kind: rag.EventDone, Answer: a}, nil)
				})
			})
			l.send("POST", path, `{"query":"where is the gold?"}`)
			line := l.log.String()
			if want := "degraded_reason=" + string(c.reason) + ` notice="` + notice + `"`; strings.Contains(line, want) != (c.reason != "") || !strings.Contains(line, "level="+c.level+" msg=request") {
				t.Errorf("%s, %q, level %s: %s", path, c.reason, c.level, line)
			}
			if strings.Contains(line, "treasure") || strings.Contains(line, "gold") || c.reason == "" && strings.Contains(line, "degraded") {
				t.Errorf("%s: %s", path, line)
			}
		}
	}
}

func TestUnknownFieldsAreWarningsWhateverTheirCaseAndNumber(t *testing.T) {
	l := newLab(t, nil)
	w := l.send("POST", "/api/query", `{"QUERY":"x","Bm25_Weight":0.5,"tpyo":1,"Another":{}}`)
	if got := fmt.Sprint(object(t, w)["warnings"]); w.Code != http.StatusOK || got != "[field Another is unknown and was passed over field tpyo is unknown and was passed over]" {
		t.Errorf("%d %s", w.Code, got)
	}
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, `,"f%d%s":1`, i, strings.Repeat("x", 100))
	}
	w = l.send("POST", "/api/query", `{"query":"x"`+many.String()+`}`)
	if warnings := object(t, w)["warnings"].([]any); len(warnings) != maxWarnings+1 || w.Body.Len() > 8000 {
		t.Errorf("%d warnings in %d bytes", len(warnings), w.Body.Len())
	}
}

func TestWhatABodyIsNotIsSaidInShort(t *testing.T) {
	l := newLab(t, nil)
	for _, c := range []struct{ body, says string }{
		{`null`, "query"},
		{`"x"`, "JSON object, not a string"},
		{`{"query":"x"} {"query":"y"}`, "fault at byte"},
		{`{"query":"x","seed":"7"}`, "seed: a JSON string is not allowed here, it must be a whole number"},
		{`{"query":"x","languages":[1]}`, "languages: a JSON number is not allowed here, it must be a string"},
		{`{"query":"x","k":` + strings.Repeat("1", 100_000) + `}`, "k: a JSON number 111"},
		{`{"query":"x","method":"` + strings.Repeat("m", 100_000) + `"}`, "method"},
		{`{"query":"x","provider":"` + strings.Repeat("m", 100_000) + `"}`, "provider"},
		{strings.Repeat("[", 100_000), "JSON"},
	} {
		w := l.send("POST", "/api/query", c.body)
		if detail := fmt.Sprint(object(t, w)["detail"]); w.Code < 400 || w.Code > 422 || !strings.Contains(detail, c.says) || len(detail) > 500 {
			t.Errorf("%.40s: %d %.300s, want %q", c.body, w.Code, detail, c.says)
		}
	}
}

func FuzzBodies(f *testing.F) {
	for _, seed := range []string{`{"query":"x"}`, `{"query":"x","k":3,"languages":["en"],"seed":1}`, `null`, `[]`, `{"query":"\ud800"}`, `{"a":`, `{"query":"x","temperature":1e400}`} {
		f.Add([]byte(seed))
	}
	s := New(Config{Cache: settled{}, Log: slog.New(slog.DiscardHandler), MaxBody: 1 << 16, Defaults: Defaults{DB: "default", RRFK: 60}})
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := s.decodeQuery(httptest.NewRecorder(), httptest.NewRequest("POST", "/api/query", bytes.NewReader(body)))
		switch q := a.request; {
		case err != nil:
			if kind := rag.KindOf(err); len(body) <= 1<<16 && kind != rag.Malformed && kind != rag.OutOfBounds {
				t.Errorf("%q is a fault of kind %s: %v", body, kind, err)
			}
		case q.K < 1 || q.K > MaxK || q.BM25Weight != nil && !(*q.BM25Weight >= 0 && *q.BM25Weight <= 1) || !(q.RRFK > 0 && q.RRFK <= MaxRRFK) || strings.TrimSpace(q.Question) == "" || q.DB == "":
			t.Errorf("%q was let in as %+v", body, q)
		}
	})
}

// stamped is a ResponseWriter that notes what was written when, and fails the test once closed.
type stamped struct {
	*httptest.ResponseRecorder
	t      *testing.T
	start  time.Time
	closed bool
	lines  []string
}

func (s *stamped) Write(p []byte) (int, error) {
	if s.closed {
		s.t.Errorf("%q was written after the handler returned", p)
	}
	s.lines = append(s.lines, fmt.Sprintf("%v %s", time.Since(s.start), bytes.TrimSpace(p)))
	return s.ResponseRecorder.Write(p)
}

// stream asks with a script inside a time bubble and gives the lines of the answer, each with its time.
func stream(t *testing.T, accept string, engine script) *stamped {
	t.Helper()
	var w *stamped
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *Config) { c.Engine = engine })
		w = &stamped{ResponseRecorder: httptest.NewRecorder(), t: t, start: time.Now()}
		r := httptest.NewRequest("POST", "/api/stream_query", strings.NewReader(`{"query":"x"}`))
		r.Header.Set("Accept", accept)
		l.h.ServeHTTP(w, r)
		w.closed = true
		time.Sleep(10 * keepAlive)
		synctest.Wait()
	})
	return w
}

func TestASilentStreamShowsEveryFifteenSecondsThatItLives(t *testing.T) {
	engine := func(_ context.Context, yield func(rag.Event, error) bool) {
		time.Sleep(8 * time.Second)
		yield(rag.Event{Kind: rag.EventToken, Token: "a"}, nil)
		time.Sleep(31 * time.Second)
		yield(rag.Event{Kind: rag.EventToken, Token: "b"}, nil)
		time.Sleep(14 * time.Second)
		yield(rag.Event{Kind: rag.EventDone, Answer: &rag.Answer{}}, nil)
	}
	for accept, want := range map[string][]string{
		"application/x-ndjson": {`8s {"event":"token","token":"a"}`, `23s {"event":"status","status":"waiting"}`, `38s {"event":"status","status":"waiting"}`, `39s {"event":"token","token":"b"}`, `53s {"event":"done",`},
		"text/event-stream":    {"8s event: token\ndata: {\"event\":\"token\",\"token\":\"a\"}", "23s : waiting", "38s : waiting", "39s event: token", "53s event: done"},
	} {
		w := stream(t, accept, engine)
		if len(w.lines) != len(want) {
			t.Fatalf("%s: %d lines: %q", accept, len(w.lines), w.lines)
		}
		for i, line := range w.lines {
			if !strings.HasPrefix(line, want[i]) {
				t.Errorf("%s: line %d is %.80q, want %q", accept, i, line, want[i])
			}
		}
		if !w.Flushed || w.Header().Get("Content-Type") != accept {
			t.Errorf("%s: %v, flushed: %v", accept, w.Header(), w.Flushed)
		}
	}
}

func TestAStreamThatHasBegunEndsWithAnErrorFrameAndOneThatHasNotWithAStatus(t *testing.T) {
	busy := rag.Errorf(rag.Overloaded, rag.CodeQueueFull, "busy")
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		engine script
		code   int
		last   string
	}{
		{"at once", func(_ context.Context, yield func(rag.Event, error) bool) { yield(rag.Event{}, busy) }, 503, `"code":"queue_full"`},
		{"in the second of the first sign of life", func(_ context.Context, yield func(rag.Event, error) bool) {
			time.Sleep(keepAlive)
			yield(rag.Event{}, busy)
		}, 0, `"code":"queue_full"`},
		{"after a sign of life", func(_ context.Context, yield func(rag.Event, error) bool) {
			time.Sleep(keepAlive + 1)
			yield(rag.Event{}, busy)
		}, 200, `"code":"queue_full"`},
		{"after a token", func(_ context.Context, yield func(rag.Event, error) bool) {
			yield(rag.Event{Kind: rag.EventToken, Token: "a"}, nil)
			yield(rag.Event{}, busy)
		}, 200, `{"event":"error","error":{`},
		{"without an end", func(_ context.Context, yield func(rag.Event, error) bool) {
			yield(rag.Event{Kind: rag.EventToken, Token: "a"}, nil)
		}, 200, `"code":"internal"`},
		{"with nothing at all", func(context.Context, func(rag.Event, error) bool) {}, 500, `"code":"internal"`},
		{"with a figure that JSON has not", func(_ context.Context, yield func(rag.Event, error) bool) {
			yield(rag.Event{Kind: rag.EventToken, Token: "a"}, nil)
			yield(rag.Event{Kind: rag.EventDone, Answer: &rag.Answer{Hits: []rag.Hit{{Cosine: &nan}}}}, nil)
		}, 200, `"code":"internal"`},
	} {
		w := stream(t, "", c.engine)
		if c.code != 0 && w.Code != c.code || len(w.lines) == 0 || !strings.Contains(w.lines[len(w.lines)-1], c.last) {
			t.Errorf("%s: %d %q", c.name, w.Code, w.lines)
		}
	}
}

func TestAClientThatLeftEndsTheEngine(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	ended := false
	l := newLab(t, func(c *Config) {
		c.Engine = script(func(ctx context.Context, yield func(rag.Event, error) bool) {
			leave()
			yield(rag.Event{}, ctx.Err())
			ended = true
		})
	})
	w := httptest.NewRecorder()
	l.h.ServeHTTP(w, httptest.NewRequest("POST", "/api/stream_query", strings.NewReader(`{"query":"x"}`)).WithContext(ctx))
	if !ended || w.Body.Len() != 0 || !strings.Contains(l.log.String(), "status=499") || strings.Contains(l.log.String(), "ERROR") {
		t.Errorf("ended %v, answered %q, logged %s", ended, w.Body, l.log)
	}
}

func TestAPanicIsA500WithoutAStackAndALineInTheLog(t *testing.T) {
	l := newLab(t, func(c *Config) {
		c.Engine = script(func(context.Context, func(rag.Event, error) bool) { panic("secret of the house") })
	})
	for _, path := range []string{"/api/query", "/api/stream_query"} {
		w := l.send("POST", path, `{"query":"x"}`, "X-Request-ID", "abc")
		if w.Code != http.StatusInternalServerError || object(t, w)["request_id"] != "abc" || strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "goroutine") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if log := l.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "secret of the house") || !strings.Contains(log, "request_id=abc") || !strings.Contains(log, "server_test.go") {
			t.Errorf("%s: log %s", path, log)
		}
		l.log.Reset()
	}
}

// Half an answer must not look like a whole one: the connection breaks.
func TestAPanicInMidStreamBreaksTheConnection(t *testing.T) {
	l := newLab(t, func(c *Config) {
		c.Engine = script(func(_ context.Context, yield func(rag.Event, error) bool) {
			yield(rag.Event{Kind: rag.EventToken, Token: "a"}, nil)
			panic("boom")
		})
	})
	srv := httptest.NewServer(l.h)
	resp, err := http.Post(srv.URL+"/api/stream_query", "application/json", strings.NewReader(`{"query":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%q came to a good end", body)
	}
	srv.Close()
	if !strings.Contains(l.log.String(), "boom") || !strings.Contains(l.log.String(), "level=ERROR") {
		t.Errorf("log: %s", l.log)
	}
}

func TestALoopbackServerAnswersToItsOwnNamesOnly(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Loopback, c.CORSOrigins = true, []string{"https://rag.example:8443"} })
	for host, code := range map[string]int{
		"localhost:8000": 200, "127.0.0.1:8000": 200, "127.0.0.1": 200, "[::1]:8000": 200, "[::1]": 200, "app.localhost:8000": 200, "rag.example:8443": 200, "rag.example": 200,
		"evil.example:8000": 403, "localhost.evil.example": 403, "evillocalhost": 403, "127.0.0.1.evil.example": 403, "": 403,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			if w := l.send(method, "/", "", "Host", host); w.Code != code {
				t.Errorf("%s for host %q: %d, want %d", method, host, w.Code, code)
			}
		}
	}
	open := newLab(t, nil)
	if w := open.send("GET", "/", "", "Host", "rag.example"); w.Code != http.StatusOK {
		t.Errorf("a server on the network has any name: %d", w.Code)
	}
}

func TestForeignOriginsMayReadNothingAndChangeNothing(t *testing.T) {
	l := newLab(t, func(c *Config) { c.CORSOrigins = []string{"https://app.example"} })
	for _, c := range []struct {
		method, origin, site string
		code                 int
		allowed              string
	}{
		{"POST", "", "", 200, ""},
		{"POST", "http://example.com", "", 200, ""}, // the recorder's own host
		{"POST", "https://app.example", "cross-site", 200, "https://app.example"},
		{"POST", "https://evil.example", "", 403, ""},
		{"POST", "https://app.example.evil.example", "", 403, ""},
		{"POST", "null", "", 403, ""},
		{"POST", "", "cross-site", 403, ""},
		{"POST", "%zz", "", 403, ""},
		{"OPTIONS", "https://app.example", "", 204, "https://app.example"},
		{"OPTIONS", "https://evil.example", "", 403, ""},
	} {
		header := []string{"Access-Control-Request-Method", "POST"}
		if c.origin != "" {
			header = append(header, "Origin", c.origin)
		}
		if c.site != "" {
			header = append(header, "Sec-Fetch-Site", c.site)
		}
		w := l.send(c.method, "/api/query", `{"query":"x"}`, header...)
		if w.Code != c.code || w.Header().Get("Access-Control-Allow-Origin") != c.allowed || !strings.Contains(w.Header().Get("Vary"), "Origin") {
			t.Errorf("%+v: %d %v", c, w.Code, w.Header())
		}
	}
	if w := l.send("GET", "/", "", "Origin", "https://evil.example"); w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("a foreign page may read: %v", w.Header())
	}
}

func TestARequestHasAPlainID(t *testing.T) {
	l := newLab(t, nil)
	for id, kept := range map[string]bool{"a": true, "A-b_c.9": true, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "a b": false, "a\tb": false, "é": false, "<b>": false, "": false} {
		got := l.send("GET", "/", "", "X-Request-ID", id).Header().Get("X-Request-ID")
		if (got == id) != kept || !plainID(got) {
			t.Errorf("%q came back as %q", id, got)
		}
		if !strings.Contains(l.log.String(), "request_id="+got) {
			t.Errorf("the log does not name %q", got)
		}
	}
}

func TestHeadIsGetWithoutABodyAndOtherMethodsAreToldWhatIsAllowed(t *testing.T) {
	srv := httptest.NewServer(newLab(t, nil).h)
	defer srv.Close()
	resp, err := http.Head(srv.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len("<!doctype html>")) || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("HEAD /: %d %d %v", resp.StatusCode, resp.ContentLength, resp.Header)
	}
	l := newLab(t, nil)
	for _, c := range []struct {
		method, path string
		code         int
		allow        string
	}{
		{"GET", "/api/query", 405, "POST"},
		{"HEAD", "/api/query", 405, "POST"},
		{"POST", "/", 405, "GET, HEAD"},
		{"PUT", "/api/docs", 405, "GET, HEAD, DELETE"},
		{"OPTIONS", "/api/query", 405, "POST"},
		{"PATCH", "/api/jobs/x", 405, "GET, HEAD, DELETE"},
		{"GET", "/nowhere", 404, ""},
		{"GET", "/api/", 404, ""},
		{"GET", "/static/", 404, ""},
		{"GET", "/static/%2e%2e/web.go", 404, ""},
	} {
		if w := l.send(c.method, c.path, ""); w.Code != c.code || w.Header().Get("Allow") != c.allow || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %v", c.method, c.path, w.Code, w.Header())
		}
	}
}

func TestTheLogHasOneLineARequestWithItsStageAndItsTraceAndNoQuestion(t *testing.T) {
	const secret = "sk-not-for-the-log"
	for _, questions := range []bool{false, true} {
		l := newLab(t, func(c *Config) {
			c.LogQuestions, c.Keys = questions, []string{"read:" + secret}
			engine := &rag.Engine{Bases: catalog{}, Models: nobody{}, Cache: off{}, Embedders: nobody{}}
			c.Engine = engine
			c.Observe = func(_ string, next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					rag.RequestOf(r.Context()).Trace = "4bf92f"
					next.ServeHTTP(w, r)
				})
			}
		})
		if w := l.send("POST", "/api/query", `{"query":"What does Mallory earn?","model":"gone"}`, "Authorization", "Bearer "+secret); w.Code != http.StatusNotFound {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		line := l.log.String()
		if strings.Count(line, "\n") != 1 || !strings.Contains(line, `stage="find model"`) || !strings.Contains(line, "trace_id=4bf92f") || !strings.Contains(line, "request_id=") || strings.Contains(line, secret) {
			t.Errorf("%s", line)
		}
		if strings.Contains(line, "Mallory") != questions {
			t.Errorf("questions %v: %s", questions, line)
		}
	}
}

// nobody has no model and no embedder.
type nobody struct{}

func (nobody) ChatModel(context.Context, string) (rag.Model, error) {
	return rag.Model{}, rag.Errorf(rag.NotFound, rag.CodeModelNotFound, "no such model")
}

func (nobody) EmbedderFor(context.Context, string) (rag.Embedder, rag.EmbedderID, error) {
	return nil, rag.EmbedderID{}, nil
}

// off is an answer cache that takes no part.
type off struct{ rag.Recaller }

func (off) On() bool { return false }

// Each path has series of its own: more of them than this, and the largest configuration passes the budget of series (internal/metrics,
// largest).
func TestThePathsAreAsManyAsTheBudgetOfSeriesCounts(t *testing.T) {
	paths := map[string]bool{}
	New(Config{Observe: func(route string, next http.Handler) http.Handler {
		_, path, found := strings.Cut(route, " ")
		if !found {
			path = route
		}
		paths[path] = true
		return next
	}})
	if n := len(paths); n != 35 {
		t.Errorf("%d paths: say so in routesOfOurs of internal/metrics too", n)
	}
}
