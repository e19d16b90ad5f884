package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// parallel is a host that answers n calls at once and lets the others wait inside it, as Ollama does.
type parallel struct {
	slots  chan struct{}
	stream bool          // pieces come one by one, else all at the end
	pieces int           // of an answer
	each   time.Duration // for one piece

	mu      sync.Mutex
	now     int // calls in it
	most    int
	busy    int // samples of now, and their sum
	sum     int
	answers int
}

func newParallel(n int, stream bool) *parallel {
	return &parallel{slots: make(chan struct{}, n), stream: stream, pieces: 20, each: 50 * time.Millisecond}
}

func (p *parallel) enter(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now += by
	p.most = max(p.most, p.now)
	p.busy++
	p.sum += p.now
	if by < 0 {
		p.answers++
	}
}

func (p *parallel) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most, p.busy, p.sum, p.answers = 0, 0, 0, 0
}

func (p *parallel) figures() (most int, mean float64, answers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most, float64(p.sum) / float64(max(1, p.busy)), p.answers
}

func (p *parallel) serve(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	p.enter(1)
	return respond(200, nil, written(ctx, func(w io.Writer) {
		defer p.enter(-1)
		select {
		case p.slots <- struct{}{}:
			defer func() { <-p.slots }()
		case <-ctx.Done():
			return
		}
		if !p.stream {
			time.Sleep(time.Duration(p.pieces) * p.each)
			_, _ = io.WriteString(w, strings.Repeat(firstLine, p.pieces))
		} else {
			for range p.pieces {
				time.Sleep(p.each)
				_, _ = io.WriteString(w, firstLine)
			}
		}
		_, _ = io.WriteString(w, lastLine)
	})), nil
}

func TestAsManyCallsGoToAHostAsItDoesAtOnce(t *testing.T) {
	for _, stream := range []bool{true, false} {
		for _, n := range []int{1, 2, 4, 12} {
			t.Run(fmt.Sprintf("%d at once, streamed %v", n, stream), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					host := newParallel(n, stream)
					c := clientOf(t, DefaultConfig(), host.serve)
					ctx, stop := context.WithCancel(t.Context())
					var callers sync.WaitGroup
					for range 40 {
						callers.Go(func() {
							for ctx.Err() == nil {
								_, _, _ = post(ctx, c, "/api/chat", chatBody)
							}
						})
					}
					time.Sleep(3 * time.Minute) // to learn
					learnt, _, _ := host.figures()
					host.forget()
					const measured = 5 * time.Minute
					time.Sleep(measured)
					most, mean, answers := host.figures()
					stop()
					callers.Wait()
					time.Sleep(time.Minute) // what was given up ends
					full := n * int(measured/(20*50*time.Millisecond))
					t.Logf("at most %d while learning, then at most %d and %.2f on average; %d of %d answers", learnt, most, mean, answers, full)
					if answers < full*9/10 {
						t.Errorf("the host gave %d answers, it could %d", answers, full)
					}
					if most > 5*n/2+1 || mean > 1.3*float64(n)+0.5 {
						t.Errorf("flooded: at most %d, %.2f on average", most, mean)
					}
				})
			})
		}
	}
}

// held is a host that answers when told, and notes the order of the calls.
type held struct {
	mu    sync.Mutex
	order []string
	open  chan struct{}
}

func (h *held) serve(r *http.Request) (*http.Response, error) {
	call, _ := rag.CallOf(r.Context())
	h.mu.Lock()
	h.order = append(h.order, call.Class.String()+r.Header.Get("N"))
	h.mu.Unlock()
	select {
	case <-h.open:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return ok(r)
}

// ask sends a chat of the given class in the background.
func ask(ctx context.Context, c *Client, class rag.Class, n string) <-chan error {
	done := make(chan error, 1)
	go func() {
		ctx := rag.WithCall(ctx, rag.Call{Model: "m", Class: class})
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://ollama/api/chat", strings.NewReader(chatBody))
		req.Header.Set("N", n)
		_, _, err := send(c, req)
		done <- err
	}()
	synctest.Wait()
	return done
}

// single has one place, taken.
func single(t *testing.T, change func(*Config)) (*Client, *held) {
	cfg := DefaultConfig()
	cfg.MaxPlaces = 1
	if change != nil {
		change(&cfg)
	}
	h := &held{open: make(chan struct{})}
	c := clientOf(t, cfg, h.serve)
	ask(t.Context(), c, rag.ClassChat, "first")
	return c, h
}

func TestChatBeforeEmbeddingBeforeIngestAndFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := single(t, nil)
		for _, n := range []string{"1", "2"} {
			for _, class := range []rag.Class{rag.ClassIngest, rag.ClassEmbedding, rag.ClassChat} {
				ask(t.Context(), c, class, n)
			}
		}
		s := c.Queue()
		for _, class := range []string{"chat", "embedding", "ingest"} {
			if counted(s.Waiting, class) != 2 {
				t.Errorf("%s: %v wait", class, s.Waiting)
			}
		}
		close(h.open)
		synctest.Wait()
		want := []string{"chatfirst", "chat1", "chat2", "embedding1", "embedding2", "ingest1", "ingest2"}
		if !slices.Equal(h.order, want) {
			t.Errorf("served %v", h.order)
		}
		if s := c.Queue(); s.Waits["chat"].Count != 3 || s.Waits["ingest"].Count != 2 {
			t.Errorf("waits: %+v", s.Waits)
		}
	})
}

func TestIngestDoesNotStarveUnderEndlessChats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := single(t, nil)
		ask(t.Context(), c, rag.ClassIngest, "")
		time.Sleep(time.Second)
		for range 2 * everyNth {
			ask(t.Context(), c, rag.ClassChat, "")
		}
		close(h.open)
		synctest.Wait()
		if i := slices.Index(h.order, "ingest"); i < 2 || i > everyNth {
			t.Errorf("ingest came as number %d: %v", i, h.order)
		}
	})
}

func TestFullQueueRefusesAtOnceWithAComputedRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := single(t, func(cfg *Config) { cfg.QueueSize = 3 })
		time.Sleep(8 * time.Second)
		h.open <- struct{}{} // a place is held for 8 seconds
		synctest.Wait()
		for range 4 { // one has the place, three wait
			ask(t.Context(), c, rag.ClassEmbedding, "")
		}
		start := time.Now()
		err := <-ask(t.Context(), c, rag.ClassEmbedding, "")
		e, isOurs := errors.AsType[*rag.Error](err)
		if !isOurs || e.Kind != rag.Overloaded || e.Code != rag.CodeQueueFull || time.Since(start) != 0 {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		if e.RetryAfter != 32*time.Second { // four calls, eight seconds each
			t.Errorf("Retry-After %v", e.RetryAfter)
		}
		chat := ask(t.Context(), c, rag.ClassChat, "urgent")
		if s := c.Queue(); counted(s.Waiting, "embedding") != 2 || counted(s.Waiting, "chat") != 1 || counted(s.Rejected, "full") != 2 {
			t.Errorf("a chat must find room: %+v", s)
		}
		close(h.open)
		if err := <-chat; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(c.queue.lines) != 0 {
			t.Errorf("%d lines left", len(c.queue.lines))
		}
		if s := c.Stats()[0]; s.Breaker.Rejected+s.Breaker.Failures != 0 {
			t.Errorf("a full queue says nothing about the host: %+v", s.Breaker)
		}
	})
}

func TestWaitingHasALimitAndThoseWhoLeaveAreGoneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := single(t, func(cfg *Config) { cfg.QueueTimeout = time.Minute })
		start := time.Now()
		limited := ask(t.Context(), c, rag.ClassChat, "")
		ctx, cancel := context.WithCancel(t.Context())
		left := ask(ctx, c, rag.ClassChat, "left")
		soon, cancelSoon := context.WithTimeout(t.Context(), time.Second)
		defer cancelSoon()
		short := ask(soon, c, rag.ClassChat, "short")
		cancel()
		synctest.Wait()
		if err := <-left; !errors.Is(err, context.Canceled) || counted(c.Queue().Waiting, "chat") != 2 {
			t.Errorf("%v, %v wait", err, c.Queue().Waiting)
		}
		if err := <-short; rag.KindOf(err) != rag.Timeout || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		err := <-limited
		if rag.CodeOf(err) != rag.CodeQueueFull || !strings.Contains(err.Error(), "OLLAMA_QUEUE_TIMEOUT") || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		close(h.open)
		synctest.Wait()
		if len(h.order) != 1 || counted(c.Queue().Rejected, "timeout") != 1 || len(c.queue.lines) != 0 {
			t.Errorf("who left was served: %v, %+v", h.order, c.Queue())
		}
	})
}

func TestPlaceInTheQueueIsHeldUntilTheBodyIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.MaxPlaces = 1
		c := clientOf(t, cfg, ok)
		req, _ := http.NewRequest(http.MethodPost, "http://ollama/api/chat", strings.NewReader(chatBody))
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		next := ask(t.Context(), c, rag.ClassChat, "")
		select {
		case <-next: // another model: it has places of its own
		default:
			t.Fatal("another model waits")
		}
		same := make(chan error, 1)
		go func() { _, _, err := post(t.Context(), c, "/api/chat", chatBody); same <- err }()
		synctest.Wait()
		if counted(c.Queue().Waiting, "chat") != 1 {
			t.Error("the place was given away with the header")
		}
		resp.Body.Close()
		if err := <-same; err != nil {
			t.Error(err)
		}
	})
}

func TestLookUpsNeverQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := single(t, func(cfg *Config) { cfg.QueueSize = 0 })
		close(h.open)
		for _, path := range []string{"/api/tags", "/api/ps", "/api/version"} {
			if status, _, err := get(t.Context(), c, path); status != 200 || err != nil {
				t.Errorf("%s: %d, %v", path, status, err)
			}
		}
	})
}

func TestHostThatHasNoRoomIsTrustedWithLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []time.Time
		c := clientOf(t, DefaultConfig(), busyFor(1, http.Header{"Retry-After": {"7"}}, &seen))
		start := time.Now()
		if status, _, err := post(t.Context(), c, "/api/chat", chatBody); status != 200 || err != nil {
			t.Fatalf("%d, %v", status, err)
		}
		m := c.Stats()[0].Models[0]
		if m.Limit != startLimit/2 || m.Breaker.Failures != 0 {
			t.Errorf("got %+v", m)
		}
		if time.Since(start) != 7*time.Second {
			t.Errorf("after %v", time.Since(start))
		}
	})
}

func TestModelsWithoutALaneOfTheirOwnShareOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(t, DefaultConfig(), ok)
		for i := range 10 * maxLanes {
			body := fmt.Sprintf(`{"model":"model-%d"}`, i)
			if _, _, err := post(t.Context(), c, "/api/chat", body); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(c.hosts[0].lanes.all); n > maxLanes {
			t.Errorf("%d lanes", n)
		}
		if n := len(c.Stats()[0].Models); n >= maxLanes {
			t.Errorf("%d models in view", n)
		}
	})
}

func TestBusyModelsBeyondTheLimitTakeTurnsInTheSharedLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.MaxPlaces = 1
		h := &held{open: make(chan struct{})}
		c := clientOf(t, cfg, h.serve)
		const calls = maxLanes + 5
		results := make(chan error, calls)
		for i := range calls {
			go func() {
				_, _, err := post(t.Context(), c, "/api/chat", fmt.Sprintf(`{"model":"model-%d"}`, i))
				results <- err
			}()
		}
		synctest.Wait()
		if n := len(h.order); n != maxLanes {
			t.Errorf("%d calls at once", n)
		}
		close(h.open)
		for range calls {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if len(c.queue.lines) != 0 {
			t.Errorf("%d lines left", len(c.queue.lines))
		}
	})
}

func TestNamesOfClientsDoNotPushOutModelsThatAreThere(t *testing.T) {
	srv := ollamatest.New(t)
	c := client(t, quick(t, srv.URL))
	chats(t, c, 1, "llama3.1:8b")
	for i := range 3 * maxLanes {
		chats(t, c, 1, fmt.Sprintf("nobody-has-%d", i))
	}
	if models := c.Stats()[0].Models; len(models) != 1 || models[0].Name != "llama3.1:8b" || models[0].Breaker.Successes != 1 {
		t.Errorf("left: %+v", models)
	}
	if len(c.queue.lines) != 0 {
		t.Errorf("%d lines left", len(c.queue.lines))
	}
}

func TestFiguresOfTwoClientsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, h := single(t, nil)
		b, i := single(t, func(cfg *Config) { cfg.QueueSize = 0 })
		ask(t.Context(), a, rag.ClassIngest, "")
		<-ask(t.Context(), b, rag.ClassChat, "refused")
		s := a.Queue().Plus(b.Queue())
		if counted(s.Waiting, "ingest") != 1 || counted(s.Rejected, "full") != 1 || s.Waits["chat"].Count != 2 || s.Waits["chat"].Buckets[600] != 2 {
			t.Errorf("got %+v", s)
		}
		close(h.open)
		close(i.open)
		synctest.Wait()
	})
}

func BenchmarkRefusalOfAFullQueue(b *testing.B) {
	cfg := quick(b, "http://127.0.0.1:1")
	cfg.QueueSize, cfg.MaxPlaces = 0, 1
	c := client(b, cfg)
	c.queue.lane(c.hosts[0], "llama3.1:8b").take(time.Now())
	for b.Loop() {
		if _, _, err := post(b.Context(), c, "/api/chat", chatBody); rag.KindOf(err) != rag.Overloaded {
			b.Fatal(err)
		}
	}
}

// TestNoHistoryOfCallersLosesAPlaceOrTheOrder draws callers who come, leave and are served by a host that at times has no
// room, and checks: within a class the first come is the first served, everybody hears something, nothing is left over.
func TestNoHistoryOfCallersLosesAPlaceOrTheOrder(t *testing.T) {
	type step struct{ Kind, Which int }
	draw := rapid.Custom(func(t *rapid.T) step {
		return step{rapid.IntRange(0, 9).Draw(t, "kind"), rapid.IntRange(0, 1000).Draw(t, "which")}
	})
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(draw, 10, 150).Draw(rt, "history")
		var fault string
		synctest.Test(t, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.QueueSize, cfg.MaxPlaces, cfg.MaxRetries = 6, 2, 0
			var mu sync.Mutex
			served := map[string][]int{} // by class
			var pending []chan bool
			c := clientOf(t, cfg, func(r *http.Request) (*http.Response, error) {
				call, _ := rag.CallOf(r.Context())
				n, _ := strconv.Atoi(r.Header.Get("N"))
				answer := make(chan bool, 1)
				mu.Lock()
				served[call.Class.String()] = append(served[call.Class.String()], n)
				pending = append(pending, answer)
				mu.Unlock()
				select {
				case well := <-answer:
					if well {
						return ok(r)
					}
					return respond(503, nil, text(`{"error":"server busy"}`)), nil
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			})
			answer := func(well bool) {
				mu.Lock()
				defer mu.Unlock()
				if len(pending) > 0 {
					pending[0] <- well // to nobody, where the caller has left
					pending = pending[1:]
				}
			}
			var results []<-chan error
			var leaves []context.CancelFunc
			for i, s := range steps {
				switch {
				case s.Kind <= 4:
					ctx, cancel := context.WithCancel(t.Context())
					leaves = append(leaves, cancel)
					results = append(results, ask(ctx, c, rag.Class(s.Which%classes), strconv.Itoa(i)))
				case s.Kind <= 7:
					answer(s.Kind < 7 || s.Which%4 > 0)
				case s.Kind == 8 && len(leaves) > 0:
					leaves[s.Which%len(leaves)]()
				default:
					time.Sleep(time.Duration(s.Which) * time.Millisecond)
				}
				synctest.Wait()
			}
			for len(results) > 0 {
				time.Sleep(time.Second)
				answer(true)
				synctest.Wait()
				results = slices.DeleteFunc(results, func(r <-chan error) bool {
					select {
					case <-r:
						return true
					default:
						return false
					}
				})
			}
			for class, order := range served {
				if !slices.IsSorted(order) {
					fault = fmt.Sprintf("%s was served in the order %v", class, order)
				}
			}
			for _, cancel := range leaves {
				cancel()
			}
			if s := c.Stats()[0]; len(c.queue.lines) != 0 || s.InFlight != 0 || c.queue.lane(c.hosts[0], "m:latest").inUse != 0 {
				fault = fmt.Sprintf("left over: %d lines, %+v", len(c.queue.lines), s)
			}
		})
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}
