package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
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
	secure   bool // TLS is spoken to a host that has none
	change   func(*Config)
	ask      func(*testing.T, *Client, *ollamatest.Server) (int, string, error) // in place of a plain chat
	way      bool                                                               // the fault is on the way to the host: its models are not to blame
	path     string                                                             // /api/chat where empty
	body     string
	outcome  breaker.Outcome // of the attempt
	why      string          // the host says afterwards that it failed with, from the beginning on; "" is nothing
	tried    bool            // a second host, or the same again
	once     bool            // a second host, but not the same again
	status   int             // that the client sees of a lone host; 0 is an error
	code     string          // of that error
	answered bool            // the client's answer has a beginning
}

var events = []event{
	{name: "all is well", outcome: breaker.Success, status: 200, answered: true},
	{name: "dial refused", refuse: true, way: true, outcome: breaker.Failure, why: "connection refused", tried: true, code: rag.CodeUnreachable},
	{name: "TLS error", secure: true, way: true, outcome: breaker.Failure, why: "no secure connection: ", tried: true, code: rag.CodeUnreachable},
	{name: "reset before the first byte", fault: ollamatest.Reset(ollamatest.BeforeHeader), way: true, outcome: breaker.Failure, why: "the connection ended before the answer", tried: true,
		code: "bad_upstream"},
	{name: "500", fault: ollamatest.Status(500), outcome: breaker.Failure, why: "status 500: ", tried: true, status: 500},
	{name: "502", fault: ollamatest.Status(502), outcome: breaker.Failure, why: "status 502: ", tried: true, status: 502},
	{name: "504", fault: ollamatest.Status(504), outcome: breaker.Failure, why: "status 504: ", tried: true, status: 504},
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
	{name: "a look-up that is refused", path: "/api/show", refuse: true, outcome: breaker.Failure, why: "connection refused", code: rag.CodeUnreachable},
	{name: "reset after the header", fault: ollamatest.Reset(ollamatest.AfterHeader), way: true, outcome: breaker.Failure, why: "the connection ended in the middle of the answer", code: "bad_upstream",
		status: 200},
	{name: "cut in mid-line", fault: ollamatest.Ends(ollamatest.MidLine, 1), way: true, outcome: breaker.Failure, why: "the connection ended in the middle of the answer", code: "bad_upstream",
		status: 200, answered: true},
	{name: "error line", fault: ollamatest.Ends(ollamatest.ErrorLine, 1), outcome: breaker.Failure, why: "an error in the middle of the answer: ", status: 200, answered: true},
	{name: "end without done", fault: ollamatest.Ends(ollamatest.NoDone, 2), outcome: breaker.Failure, why: "the stream ended without its final message", code: "bad_upstream",
		status: 200, answered: true},
	{name: "no first byte in time", fault: ollamatest.Hang(), change: func(c *Config) { c.FirstByteTimeout = 30 * time.Millisecond },
		outcome: breaker.Failure, why: "timeout: waited 30ms for the first byte", tried: true, once: true, code: rag.CodeTimeout},
	{name: "a first token that is late", fault: ollamatest.Slow(30*time.Millisecond, 0), change: func(c *Config) { c.Breaker.SlowCall = 10 * time.Millisecond },
		outcome: breaker.Failure, why: "slow: the first token took longer than 10ms", status: 200, answered: true},
	{name: "stall in mid-stream", fault: ollamatest.Ends(ollamatest.Stall, 1), change: func(c *Config) { c.IdleTimeout = 30 * time.Millisecond },
		outcome: breaker.Failure, why: "timeout: waited 30ms for the next byte", code: rag.CodeTimeout, status: 200, answered: true},
	{name: "an answer without end", fault: ollamatest.Slow(0, 20*time.Millisecond), change: func(c *Config) { c.TotalTimeout = 50 * time.Millisecond },
		outcome: breaker.Neutral, code: rag.CodeTimeout, status: 200, answered: true},
	{name: "the client goes away before the first byte", fault: ollamatest.Hang(), ask: leaveEarly, outcome: breaker.Neutral},
	{name: "the client goes away in mid-stream", fault: ollamatest.Ends(ollamatest.Stall, 1), ask: leaveLate, outcome: breaker.Neutral,
		status: 200, answered: true},
	{name: "a model that repeats itself", fault: ollamatest.Ends(ollamatest.Loop, 1), outcome: breaker.Neutral, status: 200,
		answered: true},
}

// leaveEarly asks and goes away as soon as the server has the request.
func leaveEarly(t *testing.T, c *Client, srv *ollamatest.Server) (int, string, error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = srv.AwaitCount(ctx, "/api/chat", 1)
		cancel()
	}()
	status, answer, err := post(ctx, c, "/api/chat", chatBody)
	if errors.Is(err, context.Canceled) {
		err = nil // its own
	}
	return status, answer, err
}

// leaveLate reads the beginning of an answer and no more.
func leaveLate(t *testing.T, c *Client, _ *ollamatest.Server) (int, string, error) {
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://ollama/api/chat", strings.NewReader(chatBody))
	resp, err := c.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	start := make([]byte, 10)
	_, err = io.ReadFull(resp.Body, start)
	resp.Body.Close()
	return resp.StatusCode, string(start), err
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
			cfg := quick(t, srv.URL)
			if e.secure {
				cfg.Hosts[0].Scheme = "https"
			}
			if e.change != nil {
				e.change(&cfg)
			}
			c := client(t, cfg)
			ask := e.ask
			if ask == nil {
				ask = func(t *testing.T, c *Client, _ *ollamatest.Server) (int, string, error) {
					return post(t.Context(), c, path, body)
				}
			}
			status, answer, err := ask(t, c, srv)
			if status != e.status || rag.CodeOf(err) != e.code || (answer != "") != (e.answered || status >= 400) {
				t.Errorf("the client sees %d %q, %v (%q)", status, answer, err, rag.CodeOf(err))
			}
			attempts := 1
			if e.tried && !e.once {
				attempts = 4
			}
			s := c.Stats()[0]
			ofHost, ofModel := s.Breaker.Failures, uint64(0)
			for _, m := range s.Models {
				ofModel += m.Breaker.Failures
			}
			if e.outcome == breaker.Failure && e.path == "" && (ofHost != uint64(attempts) || (ofModel == 0) != e.way) {
				t.Errorf("%d failures count for the host, %d for the model", ofHost, ofModel)
			}
			if got := counted(s.Outcomes, e.outcome.String()); got != uint64(attempts) {
				t.Errorf("%d attempts were %v, want %d: %v", got, e.outcome, attempts, s.Outcomes)
			}
			if !e.refuse && !e.secure && (srv.Count(path) != attempts || s.Requests != uint64(attempts)) {
				t.Errorf("server saw %d, counted %d, want %d", srv.Count(path), s.Requests, attempts)
			}
			if s.LastFailure.At.IsZero() != (e.why == "") || !strings.HasPrefix(s.LastFailure.Text, e.why) || strings.Contains(s.LastFailure.Text, srv.URL) {
				t.Errorf("the host's last failure is %+v, want %q", s.LastFailure, e.why)
			}
			for _, m := range s.Models {
				if m.LastFailure.Text != "" && (e.way || m.LastFailure.Text != s.LastFailure.Text) || m.LastFailure.Text == "" && ofModel > 0 {
					t.Errorf("the model's last failure is %+v, the host's %+v", m.LastFailure, s.LastFailure)
				}
			}
			if s.InFlight != 0 || s.InUse != 0 || len(c.queue.lines) != 0 || c.queue.lane(c.hosts[0], "llama3.1:8b").inUse != 0 {
				t.Errorf("places leak: %d in flight, %d in use", s.InFlight, s.InUse)
			}
		})
	}
}

func TestEventsAreTriedOnAnotherHostWhereTheTableSaysSo(t *testing.T) {
	for _, e := range events {
		if e.path != "" || e.body != "" && e.status != 404 || e.ask != nil {
			continue // not about hosts
		}
		t.Run(e.name, func(t *testing.T) {
			both := []ollamatest.Model{ollamatest.ChatModel("llama3.1:8b"), ollamatest.ChatModel("nope:latest")}
			bad, good := ollamatest.New(t, both...), ollamatest.New(t, both...)
			body := chatBody
			if e.body != "" {
				body = e.body
			}
			cfg := quick(t, bad.URL, good.URL)
			if e.change != nil {
				e.change(&cfg)
			}
			c := client(t, cfg)
			c.look(t.Context()) // what comes about later is not known yet
			bad.SetModels(both[0])
			bad.Fail(-1, e.fault)
			if e.refuse {
				bad.Refuse()
			}
			if e.secure {
				c.CloseIdleConnections()
				c.hosts[0].url.Scheme = "https"
			}
			status, _, err := post(t.Context(), c, "/api/chat", body)
			elsewhere := e.tried || e.status == 404 || e.name == "503 that wants a long wait"
			if elsewhere && (status != 200 || err != nil || good.Count("/api/chat") != 1 || c.Stats()[0].Failovers != 1) {
				t.Errorf("not answered elsewhere: %d, %v, %+v", status, err, c.Stats()[0])
			}
			if !elsewhere && good.Count("/api/chat") != 0 {
				t.Error("must not be tried elsewhere")
			}
		})
	}
}
