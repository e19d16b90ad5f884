package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
	"github.com/ollama-rag/ollama-rag/internal/wire"
)

// setting reads how long a test is to be from the environment: make test and make soak set it.
func setting[T any](t *testing.T, name string, usual T, parse func(string) (T, error)) T {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	v, err := parse(text)
	if err != nil {
		t.Fatalf("%s=%s: %v", name, text, err)
	}
	return v
}

// echo answers a chat with its last message.
func echo(messages []wire.Message) string { return messages[len(messages)-1].Content }

// told puts the pieces of a streamed chat together; whole says whether it has its end.
func told(stream string) (text string, whole bool) {
	for line := range strings.Lines(stream) {
		_, rest, ok := strings.Cut(line, `"content":"`)
		if !ok {
			continue
		}
		piece, _, _ := strings.Cut(rest, `"`)
		text += piece
		whole = strings.Contains(line, `"done":true`)
	}
	return text, whole
}

// TestNoPostedStreamIsCut sends SOAK_STREAMS streams, 600 if it is not set.
func TestNoPostedStreamIsCut(t *testing.T) {
	streams := setting(t, "SOAK_STREAMS", 600, strconv.Atoi)
	srv := ollamatest.New(t)
	srv.OnlyCount()
	srv.SetAnswer(echo)
	c := client(t, quick(t, srv.URL))
	const workers = 8
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for i := range streams / workers {
				words := strings.TrimSpace(strings.Repeat(fmt.Sprintf("w%d ", i), 1+random.IntN(60)))
				pad := strings.Repeat(" ", random.IntN(200_000)>>random.IntN(8))
				body := `{"model":"llama3.1:8b","messages":[{"role":"user","content":"` + words + `"}]` + pad + `}`
				status, answer, err := post(t.Context(), c, "/api/chat", body)
				if text, whole := told(answer); err != nil || status != 200 || !whole || text != words {
					t.Errorf("worker %d, stream %d: %d, %v, %q for %q", worker, i, status, err, text, words)
					return
				}
			}
		})
	}
	all.Wait()
	s := c.Stats()[0]
	sent := uint64(streams / workers * workers)
	if s.Requests != sent || uint64(srv.Total()) != sent || s.Breaker.Successes != sent || s.Reused+workers*2 < sent || s.InFlight != 0 || s.InUse != 0 {
		t.Errorf("%d sent, %d counted, %d seen by the server, %d reused, breaker %+v", sent, s.Requests, srv.Total(), s.Reused, s.Breaker)
	}
}

// disasters are what goes wrong in the chaos, each for a while.
func disasters(random *rand.Rand) ollamatest.Fault {
	after := random.IntN(6)
	faults := []ollamatest.Fault{
		ollamatest.Reset(ollamatest.BeforeHeader), ollamatest.Reset(ollamatest.AfterHeader), ollamatest.Hang(),
		ollamatest.Status(500), ollamatest.Status(502), ollamatest.Status(503), ollamatest.Status(429), ollamatest.Busy(time.Second),
		ollamatest.Slow(150*time.Millisecond, 0), ollamatest.Slow(0, 10*time.Millisecond),
		ollamatest.Ends(ollamatest.MidLine, after), ollamatest.Ends(ollamatest.ErrorLine, after), ollamatest.Ends(ollamatest.NoDone, after),
		ollamatest.Ends(ollamatest.Stall, after), ollamatest.Ends(ollamatest.Loop, after),
	}
	return faults[random.IntN(len(faults))]
}

// TestChaosLeavesNothingBehind runs for CHAOS_TIME, 3 s if it is not set, with the seed CHAOS_SEED. Two hosts refuse, reset, hang,
// fail, are slow, cut streams and restart, clients come and go. Every answer that looks whole is whole; when all is
// well again all breakers close, and no place, connection, goroutine or memory is left over.
func TestChaosLeavesNothingBehind(t *testing.T) {
	length := setting(t, "CHAOS_TIME", 3*time.Second, time.ParseDuration)
	seed := setting(t, "CHAOS_SEED", rand.Uint64(), func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) })
	t.Logf("CHAOS_SEED=%d for %v", seed, length)

	hosts := []*ollamatest.Server{}
	models := []ollamatest.Model{ollamatest.ChatModel("a:1"), ollamatest.ChatModel("b:1")}
	for range 2 {
		srv := ollamatest.NewReturning(t, models...)
		srv.OnlyCount()
		srv.SetAnswer(echo)
		hosts = append(hosts, srv)
	}
	before := runtime.NumGoroutine()
	cfg := quick(t, hosts[0].URL, hosts[1].URL)
	cfg.Breaker.OpenTimeout, cfg.Breaker.MaxOpenTimeout = 100*time.Millisecond, 400*time.Millisecond
	cfg.FirstByteTimeout, cfg.IdleTimeout, cfg.TotalTimeout = 200*time.Millisecond, 100*time.Millisecond, 2*time.Second
	cfg.QueueTimeout, cfg.MaxRetryAfter, cfg.RetryBackoff = time.Second, time.Second, 5*time.Millisecond
	cfg.HedgeAfter = 50 * time.Millisecond
	c := client(t, cfg)

	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	watching, stopWatching := context.WithCancel(t.Context())
	defer stopWatching()
	var background, callers sync.WaitGroup
	background.Go(func() { c.Watch(watching) })
	for i, srv := range hosts {
		callers.Go(func() { torment(t, ctx, srv, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	var asked, answered, refused atomic.Int64
	for i := range 24 {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(100+i)))
			for ctx.Err() == nil {
				asked.Add(1)
				ok, err := tormented(ctx, c, random)
				switch {
				case err != nil:
					t.Error(err)
					return
				case ok:
					answered.Add(1)
				default:
					refused.Add(1)
					pause(ctx, time.Millisecond)
				}
			}
		})
	}
	heap := memory(ctx, length)
	callers.Wait()
	t.Logf("%d asked, %d answered whole, %d told why not", asked.Load(), answered.Load(), refused.Load())
	if answered.Load() == 0 || refused.Load() == 0 {
		t.Error("this was no chaos")
	}

	for _, srv := range hosts {
		srv.Accept(t)
		srv.Heal()
	}
	recovered := recover5(t, c)
	stopWatching()
	background.Wait()
	for i, s := range c.Stats() {
		if s.InFlight != 0 || s.InUse != 0 || s.Connections != s.Idle {
			t.Errorf("host %d: %d calls in flight, %d connections in use of %d", i, s.InFlight, s.InUse, s.Connections)
		}
		for _, m := range s.Models {
			if m.InUse != 0 {
				t.Errorf("host %d, %s: %d places in use", i, m.Name, m.InUse)
			}
		}
	}
	if !recovered || len(c.queue.lines) != 0 {
		t.Errorf("after %v the breakers are %v, %d lines", 5*time.Second, states(c), len(c.queue.lines))
	}
	c.CloseIdleConnections()
	for _, srv := range hosts {
		srv.Refuse()
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; pause(t.Context(), 10*time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
	for _, s := range c.Stats() {
		if s.Connections != 0 {
			t.Errorf("%d connections left over", s.Connections)
		}
	}
	if early, late := heap[0], heap[1]; late > early+early/2+16<<20 {
		t.Errorf("memory grew from %d to %d bytes", early, late)
	}
}

// torment lets a host go wrong in one way after the other.
func torment(t *testing.T, ctx context.Context, srv *ollamatest.Server, random *rand.Rand) {
	for ctx.Err() == nil {
		switch random.IntN(8) {
		case 0: // a restart
			srv.Refuse()
			pause(ctx, time.Duration(random.IntN(100))*time.Millisecond)
			srv.Accept(t)
		case 1, 2, 3: // well for a while
			srv.Heal()
			pause(ctx, time.Duration(random.IntN(300))*time.Millisecond)
		default:
			srv.FailPath("/api/chat", 1+random.IntN(8), disasters(random))
			pause(ctx, time.Duration(random.IntN(50))*time.Millisecond)
		}
	}
}

// tormented sends one chat, or leaves in the middle of one. It says whether it was answered; an answer that looks whole and
// is not is an error.
func tormented(ctx context.Context, c *Client, random *rand.Rand) (answered bool, err error) {
	one, leave := context.WithCancel(ctx)
	defer leave()
	if random.IntN(10) == 0 {
		time.AfterFunc(time.Duration(random.IntN(50))*time.Millisecond, leave)
	}
	words := strings.TrimSpace(strings.Repeat(fmt.Sprintf("w%d ", random.IntN(1000)), 1+random.IntN(12)))
	model := []string{"a:1", "b:1"}[random.IntN(2)]
	status, answer, askErr := post(one, c, "/api/chat", `{"model":"`+model+`","messages":[{"role":"user","content":"`+words+`"}]}`)
	text, whole := told(answer)
	switch {
	case askErr == nil && status == 200 && whole && text == words:
		return true, nil
	case askErr == nil && status == 200 && whole:
		return false, fmt.Errorf("%q came for %q", text, words)
	case askErr == nil && status == 200 && !strings.Contains(answer, `{"error":`) && !strings.Contains(answer, " again"): // a model that repeats itself ends like that
		return false, fmt.Errorf("a cut answer looks whole: %q", answer)
	case askErr != nil && errors.Is(askErr, io.EOF) && !errors.Is(askErr, io.ErrUnexpectedEOF) && status == 200:
		return false, fmt.Errorf("a cut answer ends in %w", askErr)
	}
	return false, nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// memory gives the heap after a quarter of the time and at its end.
func memory(ctx context.Context, length time.Duration) (heap [2]uint64) {
	for i, at := range []time.Duration{length / 4, length} {
		pause(ctx, at)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap[i] = m.HeapAlloc
	}
	return heap
}

func states(c *Client) (all []string) {
	for _, s := range c.Stats() {
		all = append(all, s.Breaker.State.String())
		for _, m := range s.Models {
			all = append(all, m.Name+" "+m.Breaker.State.String())
		}
	}
	return all
}

// recover5 sends calls until every breaker is closed, for at most 5 seconds. Each host must be asked: what one serves says
// nothing about the other.
func recover5(t *testing.T, c *Client) bool {
	t.Helper()
	closed := breaker.Closed.String()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); pause(t.Context(), time.Millisecond) {
		if all := states(c); !slices.ContainsFunc(all, func(s string) bool { return !strings.HasSuffix(s, closed) }) {
			return true
		}
		for _, model := range []string{"a:1", "b:1"} {
			for _, not := range c.hosts {
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://ollama/api/chat", strings.NewReader(`{"model":"`+model+`","messages":[{"role":"user","content":"x"}]}`))
				call, err := newCall(req, &c.cfg)
				if err != nil {
					t.Fatal(err)
				}
				call.avoid = []*host{not}
				s, err := c.seat(call)
				if err != nil {
					continue
				}
				r := c.attempt(call, s)
				if r.err == nil {
					_, _ = io.Copy(io.Discard, r.resp.Body)
				}
				r.discard()
			}
		}
	}
	return false
}
