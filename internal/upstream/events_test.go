package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// chatBody asks the scripted server for a streamed answer.
const chatBody = `{"model":"llama3.1:8b","messages":[{"role":"user","content":"x"}]}`

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// quick is a configuration for tests that do not wait: retries come at once.
func quick(t testing.TB, urls ...string) Config {
	cfg := DefaultConfig()
	for _, u := range urls {
		cfg.Hosts = append(cfg.Hosts, mustURL(t, u))
	}
	cfg.RetryBackoff = time.Millisecond
	return cfg
}

func client(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// post sends a body as clients do, and reads the whole answer.
func post(ctx context.Context, rt http.RoundTripper, path, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://ollama"+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	return send(rt, req)
}

func get(ctx context.Context, rt http.RoundTripper, path string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ollama"+path, nil)
	if err != nil {
		return 0, "", err
	}
	return send(rt, req)
}

func send(rt http.RoundTripper, req *http.Request) (int, string, error) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func counted(counts []Count, label string) uint64 {
	for _, c := range counts {
		if c.Label == label {
			return c.Count
		}
	}
	return ^uint64(0)
}

// event is one row of the table in which this house says what happens when.
type event struct {
	name     string
	fault    ollamatest.Fault
	refuse   bool
	path     string // /api/chat where empty
	body     string
	outcome  breaker.Outcome // of the attempt
	tried    bool            // a second host, or the same again
	status   int             // that the client sees of a lone host; 0 is an error
	code     string          // of that error
	answered bool            // the client's answer has a beginning
}

var events = []event{
	{name: "all is well", outcome: breaker.Success, status: 200, answered: true},
	{name: "dial refused", refuse: true, outcome: breaker.Failure, tried: true, code: rag.CodeUnreachable},
	{name: "reset before the first byte", fault: ollamatest.Reset(ollamatest.BeforeHeader), outcome: breaker.Failure, tried: true,
		code: "bad_upstream"},
	{name: "500", fault: ollamatest.Status(500), outcome: breaker.Failure, tried: true, status: 500},
	{name: "502", fault: ollamatest.Status(502), outcome: breaker.Failure, tried: true, status: 502},
	{name: "504", fault: ollamatest.Status(504), outcome: breaker.Failure, tried: true, status: 504},
	{name: "503", fault: ollamatest.Status(503), outcome: breaker.Neutral, tried: true, status: 503},
	{name: "429", fault: ollamatest.Status(429), outcome: breaker.Neutral, tried: true, status: 429},
	{name: "503 that wants a long wait", fault: ollamatest.Busy(time.Hour), outcome: breaker.Neutral, status: 503},
	{name: "404 model", body: `{"model":"nope","messages":[]}`, outcome: breaker.Neutral, status: 404},
	{name: "400", body: `{"model":`, outcome: breaker.Neutral, status: 400},
	{name: "500 of an option's type", body: `{"model":"llama3.1:8b","options":{"num_predict":"x"}}`, outcome: breaker.Neutral,
		status: 500},
	{name: "500 of a format", body: `{"model":"llama3.1:8b","format":"xml"}`, outcome: breaker.Neutral, status: 500},
	{name: "500 of /v1 that is the client's fault", outcome: breaker.Neutral, status: 500, fault: ollamatest.Status(500,
		`{"error":{"message":"invalid format: \"x\"","type":"api_error","param":null,"code":null}}`)},
	{name: "500 on a look-up", path: "/api/show", fault: ollamatest.Status(500), outcome: breaker.Neutral, status: 500},
	{name: "a look-up that is refused", path: "/api/show", refuse: true, outcome: breaker.Failure, code: rag.CodeUnreachable},
	{name: "reset after the header", fault: ollamatest.Reset(ollamatest.AfterHeader), outcome: breaker.Failure, code: "bad_upstream",
		status: 200},
	{name: "cut in mid-line", fault: ollamatest.Ends(ollamatest.MidLine, 1), outcome: breaker.Failure, code: "bad_upstream",
		status: 200, answered: true},
	{name: "error line", fault: ollamatest.Ends(ollamatest.ErrorLine, 1), outcome: breaker.Failure, status: 200, answered: true},
	{name: "end without done", fault: ollamatest.Ends(ollamatest.NoDone, 2), outcome: breaker.Failure, code: "bad_upstream",
		status: 200, answered: true},
	{name: "a model that repeats itself", fault: ollamatest.Ends(ollamatest.Loop, 1), outcome: breaker.Neutral, status: 200,
		answered: true},
}

func TestEventsMeanWhatTheTableSays(t *testing.T) {
	for _, e := range events {
		t.Run(e.name, func(t *testing.T) {
			srv := ollamatest.New(t)
			path, body := "/api/chat", chatBody
			if e.path != "" {
				path, body = e.path, `{"model":"llama3.1:8b"}`
			}
			if e.body != "" {
				body = e.body
			}
			if e.fault != (ollamatest.Fault{}) {
				srv.FailPath(path, -1, e.fault)
			}
			if e.refuse {
				srv.Refuse()
			}
			c := client(t, quick(t, srv.URL))
			status, answer, err := post(t.Context(), c, path, body)
			if status != e.status || rag.CodeOf(err) != e.code || (answer != "") != (e.answered || status >= 400) {
				t.Errorf("the client sees %d %q, %v (%q)", status, answer, err, rag.CodeOf(err))
			}
			attempts := 1
			if e.tried {
				attempts = 4
			}
			s := c.Stats()[0]
			if got := counted(s.Outcomes, e.outcome.String()); got != uint64(attempts) {
				t.Errorf("%d attempts were %v, want %d: %v", got, e.outcome, attempts, s.Outcomes)
			}
			if !e.refuse && (srv.Count(path) != attempts || s.Requests != uint64(attempts)) {
				t.Errorf("server saw %d, counted %d, want %d", srv.Count(path), s.Requests, attempts)
			}
			if s.InFlight != 0 || s.InUse != 0 {
				t.Errorf("places leak: %d in flight, %d in use", s.InFlight, s.InUse)
			}
		})
	}
}

func TestEventsAreTriedOnAnotherHostWhereTheTableSaysSo(t *testing.T) {
	for _, e := range events {
		t.Run(e.name, func(t *testing.T) {
			bad, good := ollamatest.New(t), ollamatest.New(t, ollamatest.ChatModel("llama3.1:8b"), ollamatest.ChatModel("nope:latest"))
			if e.path != "" || e.body != "" && e.status != 404 {
				t.Skip("not about hosts")
			}
			bad.Fail(-1, e.fault)
			if e.refuse {
				bad.Refuse()
			}
			body := chatBody
			if e.body != "" {
				body = e.body
			}
			c := client(t, quick(t, bad.URL, good.URL))
			status, _, err := post(t.Context(), c, "/api/chat", body)
			elsewhere := e.tried || e.status == 404 || e.name == "503 that wants a long wait"
			if elsewhere && (status != 200 || err != nil || good.Count("/api/chat") != 1 || c.Stats()[0].Failovers != 1) {
				t.Errorf("not answered elsewhere: %d, %v, %+v", status, err, c.Stats()[0])
			}
			if !elsewhere && good.Total() != 0 {
				t.Error("must not be tried elsewhere")
			}
		})
	}
}

func TestClientsThatLeaveCountAsNothing(t *testing.T) {
	srv := ollamatest.New(t)
	c := client(t, quick(t, srv.URL))
	srv.Fail(50, ollamatest.Hang())
	srv.Fail(50, ollamatest.Ends(ollamatest.Stall, 1))
	for i := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://ollama/api/chat", strings.NewReader(chatBody))
		stop := context.AfterFunc(ctx, func() {})
		if i < 50 { // before the first byte
			go func() {
				for srv.Count("/api/chat") <= i && ctx.Err() == nil {
					runtime.Gosched()
				}
				cancel()
			}()
			if _, err := c.RoundTrip(req); !errors.Is(err, context.Canceled) {
				t.Fatalf("call %d: %v", i, err)
			}
		} else { // after it
			resp, err := c.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := resp.Body.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				cancel()
				if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
					t.Fatalf("call %d: %v", i, err)
				}
			}
			resp.Body.Close()
		}
		stop()
		cancel()
		if _, err := srv.AwaitDisconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s := c.Stats()[0]
	if s.Breaker.State != breaker.Closed || s.Breaker.Neutral != 100 || s.Breaker.Failures != 0 || s.InFlight != 0 {
		t.Errorf("a hundred clients left, and: %+v", s)
	}
	if status, _, err := post(t.Context(), c, "/api/chat", chatBody); status != 200 || err != nil {
		t.Errorf("the next request: %d, %v", status, err)
	}
}

func TestRejectedCallTouchesNoNetworkAndSaysWhenToComeBack(t *testing.T) {
	srv := ollamatest.New(t)
	cfg := quick(t, srv.URL)
	cfg.MaxRetries = 0
	c := client(t, cfg)
	srv.Fail(5, ollamatest.Status(500))
	for range 5 {
		if _, _, err := post(t.Context(), c, "/api/chat", chatBody); err != nil {
			t.Fatal(err)
		}
	}
	before := c.Stats()[0]
	for _, ask := range []func() (int, string, error){
		func() (int, string, error) { return post(t.Context(), c, "/api/chat", chatBody) },
		func() (int, string, error) { return get(t.Context(), c, "/api/tags") },
	} {
		_, _, err := ask()
		e, ok := errors.AsType[*rag.Error](err)
		if !ok || e.Kind != rag.Unavailable || e.Code != rag.CodeCircuitOpen || e.RetryAfter <= 0 || e.RetryAfter > 30*time.Second {
			t.Errorf("got %#v", err)
		}
	}
	after := c.Stats()[0]
	if after.Requests != before.Requests || srv.Total() != 5 || after.Breaker.Rejected != 2 {
		t.Errorf("refused calls reached the network: %+v", after)
	}
	if v, err := c.Probe(t.Context(), Label); err != nil || v != ollamatest.Version {
		t.Errorf("a probe must pass the breaker: %q, %v", v, err)
	}
	if s := c.Stats()[0]; s.Requests != 6 || s.Breaker.Rejected != 2 || s.Breaker.Successes != 0 {
		t.Errorf("a probe is a request and nothing else: %+v", s)
	}
}

func TestRetriesStopWhenTheBreakerOpens(t *testing.T) {
	srv := ollamatest.New(t)
	srv.Fail(-1, ollamatest.Status(500))
	c := client(t, quick(t, srv.URL))
	for range 2 {
		if status, _, err := post(t.Context(), c, "/api/chat", chatBody); status != 500 || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
	}
	s := c.Stats()[0]
	if srv.Total() != 5 || s.Breaker.State != breaker.Open || s.Breaker.Rejected != 0 || counted(s.Retries, "status") != 3 {
		t.Errorf("server saw %d: %+v", srv.Total(), s)
	}
}

func TestRetriesStayWithinTheirBudget(t *testing.T) {
	srv := ollamatest.New(t)
	srv.Fail(-1, ollamatest.Status(503))
	c := client(t, quick(t, srv.URL))
	const calls = 100
	for range calls {
		if status, _, err := post(t.Context(), c, "/api/chat", chatBody); status != 503 || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
	}
	s := c.Stats()[0]
	retries := counted(s.Retries, "saturated")
	if retries < calls/5 || retries > 10+calls/5 {
		t.Errorf("%d retries for %d calls", retries, calls)
	}
	if got := uint64(srv.Total()); got != calls+retries || s.Requests != got {
		t.Errorf("server saw %d, counted %d; want %d", got, s.Requests, calls+retries)
	}
}

func TestNoPostedStreamIsCut(t *testing.T) {
	srv := ollamatest.New(t)
	srv.SetText(strings.Repeat("word ", 40))
	c := client(t, quick(t, srv.URL))
	pad := strings.Repeat(" ", 200_000)
	body := `{"model":"llama3.1:8b","messages":[{"role":"user","content":"x"}]` + pad + `}`
	results := make(chan error)
	const streams, workers = 600, 8
	for range workers {
		go func() {
			for range streams / workers {
				_, answer, err := post(t.Context(), c, "/api/chat", body)
				if err == nil && !strings.Contains(answer, `"done":true`) {
					err = errors.New("cut: " + answer)
				}
				results <- err
			}
		}()
	}
	for range streams {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	s := c.Stats()[0]
	if s.Requests != streams || s.Breaker.Successes != streams || s.Reused < streams-40 || s.InFlight != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestRequestIsAddressedToTheHost(t *testing.T) {
	srv := ollamatest.New(t)
	u := strings.Replace(srv.URL, "http://", "http://me:secret@", 1)
	c := client(t, quick(t, u+"/base/"))
	req, _ := http.NewRequest(http.MethodPost, "http://placeholder/api/chat?x=1", strings.NewReader(chatBody))
	req.Header.Set("Origin", "https://evil.example")
	if _, _, err := send(c, req); err != nil {
		t.Fatal(err)
	}
	got := srv.Requests("/base/api/chat")
	if len(got) != 1 || got[0].Host != mustURL(t, srv.URL).Host || got[0].Header.Get("Origin") != "" || string(got[0].Body) != chatBody {
		t.Fatalf("got %+v", srv.Requests(""))
	}
	if got[0].Header.Get("Authorization") == "" || req.Header.Get("Authorization") != "" || req.Header.Get("Origin") == "" {
		t.Error("credentials must be sent, and the caller's request left alone")
	}
	srv.Refuse()
	c.CloseIdleConnections()
	_, _, err := get(t.Context(), c, "/api/tags")
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "ollama serve") {
		t.Errorf("got %v", err)
	}
	if s := c.Stats()[0]; strings.Contains(s.URL, "secret") {
		t.Errorf("URL %q", s.URL)
	}
}

func TestFastFailingHostDoesNotDrawTheTraffic(t *testing.T) {
	bad, good := ollamatest.New(t), ollamatest.New(t)
	bad.Fail(-1, ollamatest.Status(500))
	cfg := quick(t, bad.URL, good.URL)
	cfg.BreakerEnabled = false
	c := client(t, cfg)
	for range 50 {
		if status, _, err := post(t.Context(), c, "/api/chat", chatBody); status != 200 || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
	}
	if bad.Total() > 5 {
		t.Errorf("the failing host was asked %d of 50 times", bad.Total())
	}
}

func TestLabelsAndPoolFiguresAreThereBeforeAnyCall(t *testing.T) {
	cfg := quick(t, "http://a:1", "http://user:pw@b:2/x?token=1")
	c := client(t, cfg)
	s := c.Stats()
	if s[0].Label != "ollama_client" || s[1].Label != "ollama_client/b:2" || s[1].URL != "http://b:2/x" {
		t.Errorf("got %q, %q at %q", s[0].Label, s[1].Label, s[1].URL)
	}
	if s[0].PoolConnections != 10 || s[0].PoolMaxSize != 20 || len(s[0].Dials) != 4 || len(s[0].Retries) != 6 || len(s[0].Outcomes) != 3 {
		t.Errorf("got %+v", s[0])
	}
}

func TestPoolBlockBoundsTheConnections(t *testing.T) {
	srv := ollamatest.New(t)
	cfg := quick(t, srv.URL)
	cfg.PoolMaxSize, cfg.PoolBlock = 2, true
	c := client(t, cfg)
	results := make(chan error)
	for range 20 {
		go func() {
			_, _, err := post(t.Context(), c, "/api/chat", chatBody)
			results <- err
		}()
	}
	for range 20 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if s := c.Stats()[0]; counted(s.Dials, "ok") > 2 || s.Connections > 2 {
		t.Errorf("got %+v", s)
	}
}

func TestImpossibleConfigurationsAreRefusedByNameAndValue(t *testing.T) {
	err := Config{Hosts: []*url.URL{mustURL(t, "ftp://user:pw@x"), nil}}.Validate()
	for _, want := range []string{"Hosts[0] is ftp://x", "Hosts[1] is nil", "PoolMaxSize is 0", "FirstByteTimeout is 0s", "FailureThreshold is 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want a fault that says %q, got %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "pw") {
		t.Error("a password is shown")
	}
	if _, err := New(Config{}); err == nil {
		t.Error("New takes it")
	}
}

func TestBodyBeyondTheReplayLimitIsSentOnceAndWhole(t *testing.T) {
	srv := ollamatest.New(t)
	cfg := quick(t, srv.URL)
	cfg.MaxReplayBytes = 100
	c := client(t, cfg)
	body := chatBody + strings.Repeat(" ", 500)
	for _, length := range []int64{-1, int64(len(body))} {
		srv.Forget()
		srv.Fail(1, ollamatest.Status(500))
		req, _ := http.NewRequest(http.MethodPost, "http://ollama/api/chat", io.NopCloser(strings.NewReader(body)))
		req.ContentLength = length
		if status, _, err := send(c, req); status != 500 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
		if got := srv.Requests(""); len(got) != 1 || string(got[0].Body) != body {
			t.Errorf("server saw %d requests", len(got))
		}
	}
}

func BenchmarkOverhead(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = io.WriteString(w, `{"message":{"role":"assistant","content":"x"},"done":true}`+"\n")
	})}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	u := "http://" + l.Addr().String()
	run := func(rt http.RoundTripper) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req, _ := http.NewRequest(http.MethodPost, u+"/api/chat", strings.NewReader(chatBody))
				if _, _, err := send(rt, req); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("bare transport", run(&http.Transport{DisableCompression: true}))
	b.Run("upstream", run(client(b, quick(b, u))))
}
