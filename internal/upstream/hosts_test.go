package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

func chats(t *testing.T, c *Client, n int, model string) (answered int) {
	t.Helper()
	for range n {
		status, _, err := post(t.Context(), c, "/api/chat", `{"model":"`+model+`","messages":[]}`)
		if status == 200 && err == nil {
			answered++
		}
	}
	return answered
}

func loaded(m ollamatest.Model) ollamatest.Model { m.Loaded = true; return m }

func TestModelIsAskedForWhereItIsInMemory(t *testing.T) {
	m := ollamatest.ChatModel("m:1")
	a, b := ollamatest.New(t, m), ollamatest.New(t, loaded(m))
	c := client(t, quick(t, a.URL, b.URL))
	if a.Total()+b.Total() != 0 {
		t.Fatal("something was sent before the first call")
	}
	if n := chats(t, c, 20, "m:1"); n != 20 || a.Count("/api/chat") != 0 {
		t.Errorf("%d answered, %d by the host that would have had to load it", n, a.Count("/api/chat"))
	}
	for _, srv := range []*ollamatest.Server{a, b} {
		if srv.Count("/api/ps") != 1 || srv.Count("/api/tags") != 1 {
			t.Errorf("looked up %d and %d times", srv.Count("/api/ps"), srv.Count("/api/tags"))
		}
	}
	s := c.Stats()
	if len(s[0].Loaded) != 0 || len(s[1].Loaded) != 1 || !s[1].Models[0].Resident {
		t.Errorf("figures: %+v and %+v", s[0].Loaded, s[1].Loaded)
	}
}

func TestHostsAreAskedWhatTheyHoldAtMostEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		looked := 0
		server := func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodGet {
				mu.Lock()
				looked++
				mu.Unlock()
			}
			return ok(r)
		}
		c := clientOf(t, DefaultConfig(), server, server)
		for range 600 { // ten minutes
			if n := chats(t, c, 1, "m"); n != 1 {
				t.Fatal("not answered")
			}
			time.Sleep(time.Second)
		}
		if looked != 60*2*2 {
			t.Errorf("%d look-ups", looked)
		}
		time.Sleep(time.Hour)
		if looked != 60*2*2 {
			t.Errorf("%d look-ups when nobody asks", looked)
		}
	})
}

func TestFewestCallsInFlightDecideAmongEqualHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &held{open: make(chan struct{})}, &held{open: make(chan struct{})}
		lists := func(h *held) serverFunc {
			return func(r *http.Request) (*http.Response, error) {
				if r.Method == http.MethodGet {
					return ok(r)
				}
				return h.serve(r)
			}
		}
		c := clientOf(t, DefaultConfig(), lists(a), lists(b))
		for i := range 6 {
			ask(t.Context(), c, rag.ClassChat, fmt.Sprint(i))
		}
		if len(a.order) != 3 || len(b.order) != 3 {
			t.Errorf("%v and %v", a.order, b.order)
		}
		close(a.open)
		close(b.open)
		synctest.Wait()
	})
}

func TestCallerIsLoadedElsewhereOnlyAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy, idle := &held{open: make(chan struct{})}, new(atomic.Int32)
		cfg := DefaultConfig()
		cfg.MaxPlaces = 1
		c := clientOf(t, cfg, func(r *http.Request) (*http.Response, error) {
			switch r.URL.Path {
			case "/api/ps":
				return respond(200, nil, text(`{"models":[{"name":"m:latest"}]}`)), nil
			case "/api/tags":
				return respond(200, nil, text(`{"models":[{"name":"m:latest","digest":"d"}]}`)), nil
			}
			return busy.serve(r)
		}, func(r *http.Request) (*http.Response, error) {
			switch r.URL.Path {
			case "/api/ps":
				return respond(200, nil, text(`{"models":[]}`)), nil
			case "/api/tags":
				return respond(200, nil, text(`{"models":[{"name":"m:latest","digest":"d"}]}`)), nil
			}
			idle.Add(1)
			return ok(r)
		})
		ask(t.Context(), c, rag.ClassChat, "")
		start := time.Now()
		second := ask(t.Context(), c, rag.ClassChat, "")
		if idle.Load() != 0 {
			t.Error("the model was loaded a second time at once")
		}
		if err := <-second; err != nil || idle.Load() != 1 || time.Since(start) != spillAfter {
			t.Errorf("after %v: %v, %d calls", time.Since(start), err, idle.Load())
		}
		close(busy.open)
		synctest.Wait()
	})
}

func TestOfTwoHostsWithOneFailingAtOnceNearlyAllCallsAreAnswered(t *testing.T) {
	for name, fault := range map[string]ollamatest.Fault{"500": ollamatest.Status(500), "reset": ollamatest.Reset(ollamatest.BeforeHeader), "503": ollamatest.Status(503)} {
		for _, guarded := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, breaker %v", name, guarded), func(t *testing.T) {
				bad, good := ollamatest.New(t), ollamatest.New(t)
				bad.FailPath("/api/chat", -1, fault)
				cfg := quick(t, bad.URL, good.URL)
				cfg.BreakerEnabled = guarded
				c := client(t, cfg)
				var callers sync.WaitGroup
				var mu sync.Mutex
				answered := 0
				for range 8 {
					callers.Go(func() {
						n := chats(t, c, 25, "llama3.1:8b")
						mu.Lock()
						answered += n
						mu.Unlock()
					})
				}
				callers.Wait()
				if answered < 190 {
					t.Errorf("%d of 200 answered", answered)
				}
				if n := bad.Count("/api/chat"); n > 40 {
					t.Errorf("the failing host was asked %d times", n)
				}
			})
		}
	}
}

func TestHostThatLacksTheModelIsAskedLast(t *testing.T) {
	a, b := ollamatest.New(t, ollamatest.ChatModel("other:1")), ollamatest.New(t, ollamatest.ChatModel("m:1"))
	c := client(t, quick(t, a.URL, b.URL))
	if n := chats(t, c, 10, "m:1"); n != 10 || a.Count("/api/chat") != 0 {
		t.Errorf("%d answered, %d asked in vain", n, a.Count("/api/chat"))
	}
	status, answer, err := post(t.Context(), c, "/api/chat", `{"model":"nope"}`)
	if status != 404 || err != nil || !strings.Contains(answer, "not found") {
		t.Errorf("a model that nobody has: %d %s, %v", status, answer, err)
	}
	status, answer, err = post(t.Context(), c, "/api/show", `{"model":"m:1"}`)
	if status != 200 || err != nil || a.Count("/api/show") != 0 {
		t.Errorf("show: %d %s, %v", status, answer, err)
	}
}

func TestListsAreThoseOfAllHostsEachEntryAsItsHostWroteIt(t *testing.T) {
	a := ollamatest.New(t, loaded(ollamatest.ChatModel("both:1")), ollamatest.ChatModel("a:1"))
	b := ollamatest.New(t, ollamatest.ChatModel("both:1"), loaded(ollamatest.ChatModel("b:1")))
	c := client(t, quick(t, a.URL, b.URL))
	names := func(answer string) (names []string) {
		var list struct{ Models []struct{ Name string } }
		if err := json.Unmarshal([]byte(answer), &list); err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
		for _, m := range list.Models {
			names = append(names, m.Name)
		}
		return names
	}
	_, tags, err := get(t.Context(), c, "/api/tags")
	if err != nil || !slices.Equal(names(tags), []string{"both:1", "a:1", "b:1"}) {
		t.Errorf("tags %s, %v", tags, err)
	}
	_, own, err := get(t.Context(), client(t, quick(t, b.URL)), "/api/tags")
	if err != nil || !strings.Contains(tags, own[strings.Index(own, `{"name":"b:1"`):len(own)-2]) {
		t.Errorf("the entry of %s was rewritten in %s", own, tags)
	}
	if _, ps, err := get(t.Context(), c, "/api/ps"); err != nil || !slices.Equal(names(ps), []string{"both:1", "b:1"}) {
		t.Errorf("ps %s, %v", ps, err)
	}
	a.Refuse()
	if _, tags, err := get(t.Context(), c, "/api/tags"); err != nil || !slices.Equal(names(tags), []string{"both:1", "b:1"}) {
		t.Errorf("with one host down: %s, %v", tags, err)
	}
	b.Refuse()
	if _, _, err := get(t.Context(), c, "/api/tags"); rag.CodeOf(err) != rag.CodeUnreachable {
		t.Errorf("with both down: %v", err)
	}
}

func TestDifferentModelsUnderOneNameAreNotMixed(t *testing.T) {
	m, other := ollamatest.ChatModel("m:1"), ollamatest.ChatModel("m:1")
	other.Digest = strings.Repeat("0", 64)
	a, b, third := ollamatest.New(t, m), ollamatest.New(t, loaded(other)), ollamatest.New(t, m)
	cfg := quick(t, a.URL, b.URL, third.URL)
	var told []string
	cfg.OnMixed = func(model, host string) { told = append(told, model+" at "+host) }
	c := client(t, cfg)
	if n := chats(t, c, 20, "m:1"); n != 20 || b.Count("/api/chat") != 0 {
		t.Errorf("%d answered, %d by another model", n, b.Count("/api/chat"))
	}
	c.lookAtAll(make(chan struct{}))
	if !slices.Equal(told, []string{"m:1 at " + b.URL}) {
		t.Errorf("told %v", told)
	}
	a.Fail(-1, ollamatest.Status(500))
	if n := chats(t, c, 20, "m:1"); n != 20 || b.Count("/api/chat") != 0 || third.Count("/api/chat") == 0 {
		t.Errorf("%d answered after a failover, %d by another model", n, b.Count("/api/chat"))
	}
	third.Refuse()
	c.Reset()
	if n := chats(t, c, 3, "m:1"); n != 0 || b.Count("/api/chat") != 0 {
		t.Errorf("%d answered, %d by another model", n, b.Count("/api/chat"))
	}
}

func TestHostThatComesBackIsUsedWithinFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		down, asked := true, 0
		flaky := func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case down:
				return nil, errors.New("connection reset by peer")
			case r.URL.Path == "/api/version":
				return respond(200, http.Header{}, text(`{"version":"0.17.4"}`)), nil
			case r.Method == http.MethodPost:
				asked++
			}
			return ok(r)
		}
		stopped := func(r *http.Request) (*http.Response, error) { return nil, errors.New("connection reset by peer") }
		for name, other := range map[string]serverFunc{"the other works": ok, "the other is down too": stopped} {
			mu.Lock()
			down, asked = true, 0
			mu.Unlock()
			c := clientOf(t, DefaultConfig(), flaky, other)
			ctx, cancel := context.WithCancel(t.Context())
			var watch sync.WaitGroup
			watch.Go(func() { c.Watch(ctx) })
			for range 20 {
				chats(t, c, 1, "m")
				time.Sleep(time.Second)
			}
			mu.Lock()
			down = false
			mu.Unlock()
			time.Sleep(5 * time.Second)
			for range 4 {
				chats(t, c, 1, "m")
			}
			if s := c.Stats()[0]; s.Down || asked == 0 && name != "the other works" || s.Breaker.State == breaker.Open {
				t.Errorf("%s: asked %d times, %+v", name, asked, s.Breaker)
			}
			cancel()
			watch.Wait()
			time.Sleep(time.Minute)
		}
	})
}

func TestBrokenModelDoesNotCloseOffTheOthers(t *testing.T) {
	srv := ollamatest.New(t, ollamatest.ChatModel("bad:1"), ollamatest.ChatModel("good:1"))
	failing := func(c *Client, n int) {
		for range n {
			srv.Fail(1, ollamatest.Status(500))
			if status, _, err := post(t.Context(), c, "/api/chat", `{"model":"bad:1"}`); status != 500 && rag.CodeOf(err) != rag.CodeCircuitOpen {
				t.Fatalf("%d, %v", status, err)
			}
			srv.Heal()
		}
	}
	cfg := quick(t, srv.URL)
	cfg.MaxRetries = 0
	t.Run("in turns", func(t *testing.T) {
		c := client(t, cfg)
		for range 10 {
			failing(c, 1)
			if chats(t, c, 1, "good:1") != 1 {
				t.Fatal("the good model is closed off")
			}
		}
		s := c.Stats()[0]
		if s.Breaker.State != breaker.Closed || s.Models[0].Breaker.State != breaker.Open || s.Models[1].Breaker.State != breaker.Closed {
			t.Errorf("host %v, bad %v, good %v", s.Breaker.State, s.Models[0].Breaker.State, s.Models[1].Breaker.State)
		}
	})
	t.Run("after five in a row", func(t *testing.T) {
		c := client(t, cfg)
		failing(c, 5)
		if s := c.Stats()[0].Breaker; s.State != breaker.Open || s.Failures != 5 {
			t.Fatalf("five failures in a row open the host's breaker: %+v", s)
		}
		seen := srv.Total()
		_, _, err := post(t.Context(), c, "/api/chat", `{"model":"bad:1"}`)
		if rag.CodeOf(err) != rag.CodeCircuitOpen || srv.Total() != seen || c.Stats()[0].Breaker.Rejected != 1 {
			t.Errorf("the bad model is refused: %v, %+v", err, c.Stats()[0].Breaker)
		}
		if chats(t, c, 2, "good:1") != 2 || c.Stats()[0].Breaker.State != breaker.Closed {
			t.Errorf("the good model is closed off: %+v", c.Stats()[0].Breaker)
		}
		if _, _, err := post(t.Context(), c, "/api/chat", `{"model":"bad:1"}`); rag.CodeOf(err) != rag.CodeCircuitOpen {
			t.Errorf("the bad model is still the bad one: %v", err)
		}
	})
	t.Run("connections are the host's", func(t *testing.T) {
		c := client(t, cfg)
		srv.Refuse()
		chats(t, c, 5, "bad:1")
		s := c.Stats()[0]
		if s.Breaker.State != breaker.Open || len(s.Models) != 0 {
			t.Errorf("%+v, %+v", s.Breaker, s.Models)
		}
		if _, _, err := post(t.Context(), c, "/api/chat", `{"model":"good:1"}`); rag.CodeOf(err) != rag.CodeCircuitOpen {
			t.Errorf("got %v", err)
		}
	})
}

func TestHedgeAsksAnotherHostThatHoldsTheModelAndTheLoserSaysNothing(t *testing.T) {
	m := loaded(ollamatest.ChatModel("m:1"))
	a, b := ollamatest.New(t, m), ollamatest.New(t, m)
	cfg := quick(t, a.URL, b.URL)
	cfg.HedgeAfter = 10 * time.Millisecond
	c := client(t, cfg)
	a.Fail(-1, ollamatest.Hang())
	var round atomic.Int64
	b.SetAnswer(func([]wire.Message) string { // not before the first has been asked: a call that never got there is not broken off
		_ = a.AwaitCount(t.Context(), "/api/chat", int(round.Load()))
		return "yes"
	})
	for range 5 { // the first is asked first while it is equal
		round.Add(1)
		if n := chats(t, c, 1, "m:1"); n != 1 {
			t.Fatal("not answered")
		}
		if _, err := a.AwaitDisconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); c.Stats()[0].InFlight > 0 && time.Now().Before(deadline); {
			runtime.Gosched() // the loser's end is noted in its own time
		}
	}
	s := c.Stats()
	if s[0].Breaker.Failures != 0 || s[0].Breaker.Neutral != 5 || s[1].Hedges != 5 || s[1].HedgesWon != 5 || s[0].Failovers != 0 {
		t.Errorf("first %+v, second %+v", s[0], s[1])
	}
	// Without budget there is no hedge: the first is waited for.
	for c.budget.spend() {
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := post(ctx, c, "/api/chat", `{"model":"m:1"}`); rag.KindOf(err) != rag.Timeout || c.Stats()[1].Hedges != 5 {
		t.Errorf("got %v, %d hedges", err, c.Stats()[1].Hedges)
	}
	if s := c.Stats(); s[0].InFlight+s[1].InFlight != 0 {
		t.Errorf("places leak: %d, %d", s[0].InFlight, s[1].InFlight)
	}
}

func TestServerThatIsNoOllamaIsAskedNothingOfOllama(t *testing.T) {
	a, b := ollamatest.New(t), ollamatest.New(t)
	for _, srv := range []*ollamatest.Server{a, b} {
		srv.FailPath("/v1/chat/completions", -1, ollamatest.Fault{Code: 200, Text: `{"choices":[]}`})
	}
	cfg := quick(t, a.URL, b.URL)
	cfg.Label, cfg.Server = "openai_client", "the OpenAI server"
	c := client(t, cfg)
	status, _, err := post(t.Context(), c, "/v1/chat/completions", `{"model":"gpt-x","messages":[]}`)
	s := c.Stats()
	if status != 200 || err != nil || a.Total() != 1 || b.Total() != 0 || s[0].Label != "openai_client" || s[0].Models[0].Breaker.Name != "openai_client#gpt-x" {
		t.Errorf("%d, %v, %d and %d requests, %+v", status, err, a.Total(), b.Total(), s[0].Models)
	}
	a.Refuse()
	b.Refuse()
	c.CloseIdleConnections()
	if _, _, err := post(t.Context(), c, "/v1/chat/completions", `{}`); err == nil || strings.Contains(err.Error(), "ollama serve") || !strings.Contains(err.Error(), "OPENAI_BASE_URL") {
		t.Errorf("got %v", err)
	}
}

func FuzzListsOfHostsArePutTogether(f *testing.F) {
	f.Add(`{"models":[{"name":"a","digest":"d"}]}`, `{"models":[{"name":"a"},{"name":"b"}]}`)
	f.Add(`{"object":"list","data":[]}`+"\n", `null`)
	f.Add(`{"models":null}`, `{"models":[1,"x",null]}`)
	c := client(f, quick(f, "http://a:1", "http://b:1"))
	f.Fuzz(func(t *testing.T, one, two string) {
		for path, keys := range listKeys {
			c.hosts[0].know.learn(path, []byte(one)) // anything at all must not panic
			merged, err := c.merge(path, [][]byte{[]byte(one), nil, []byte(two)})
			if err != nil {
				continue
			}
			var list map[string]json.RawMessage
			var entries []json.RawMessage
			if err := errors.Join(json.Unmarshal(merged, &list), json.Unmarshal(list[keys[0]], &entries)); err != nil {
				t.Errorf("%q and %q become %q: %v", one, two, merged, err)
			}
		}
	})
}
