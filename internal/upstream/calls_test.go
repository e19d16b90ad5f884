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

// leave asks and goes away: before the first byte, after it by closing, or after it by giving up.
func leave(t *testing.T, c *Client, srv *ollamatest.Server, i int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://ollama/api/chat", strings.NewReader(chatBody))
	if i%2 == 0 {
		srv.Fail(1, ollamatest.Hang())
		go func() {
			defer cancel()
			_ = srv.AwaitCount(ctx, "/api/chat", i+1)
		}()
		if _, err := c.RoundTrip(req); !errors.Is(err, context.Canceled) {
			t.Fatalf("call %d: %v", i, err)
		}
		return
	}
	srv.Fail(1, ollamatest.Ends(ollamatest.Stall, 1))
	resp, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if i%4 == 1 {
		cancel()
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}

func TestClientsThatLeaveCountAsNothing(t *testing.T) {
	srv := ollamatest.New(t)
	c := client(t, quick(t, srv.URL))
	for i := range 100 {
		leave(t, c, srv, i)
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
	if after.Requests != before.Requests || srv.Total() != 5 || after.Breaker.Rejected != 1 { // a look-up is refused too, and not counted: it asks no leave
		t.Errorf("refused calls reached the network: %+v", after)
	}
	if v, err := c.Probe(t.Context(), Label); err != nil || v != ollamatest.Version {
		t.Errorf("a probe must pass the breaker: %q, %v", v, err)
	}
	if s := c.Stats()[0]; s.Requests != 6 || s.Breaker.Rejected != 1 || s.Breaker.Successes != 0 {
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

func TestLookUpsNeitherHarmNorHealABreaker(t *testing.T) {
	srv := ollamatest.New(t)
	c := client(t, quick(t, srv.URL))
	srv.Refuse()
	for range 20 {
		if _, _, err := get(t.Context(), c, "/api/tags"); rag.CodeOf(err) != rag.CodeUnreachable {
			t.Fatalf("got %v", err)
		}
	}
	if s := c.Stats()[0].Breaker; s.State != breaker.Closed || s.Failures+s.Successes+s.Rejected != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWaitingForAConnectionOfOursSaysNothingAboutTheHost(t *testing.T) {
	srv := ollamatest.New(t)
	cfg := quick(t, srv.URL)
	cfg.PoolMaxSize, cfg.PoolBlock, cfg.FirstByteTimeout = 1, true, 50*time.Millisecond
	c := client(t, cfg)
	srv.FailPath("/api/chat", 1, ollamatest.Ends(ollamatest.Stall, 1)) // holds the one connection
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://ollama/api/chat", strings.NewReader(chatBody))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for range 6 {
		if _, _, err := post(t.Context(), c, "/api/chat", chatBody); rag.KindOf(err) != rag.Overloaded || rag.CodeOf(err) != rag.CodeQueueFull {
			t.Fatalf("got %v", err)
		}
	}
	if s := c.Stats()[0].Breaker; s.State != breaker.Closed || s.Failures != 0 {
		t.Errorf("%+v", s)
	}
}
