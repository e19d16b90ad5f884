package rag

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// choir is an engine's ports for many questions at once: a model that says a word every ten milliseconds, and a cache that keeps
// nothing.
type choir struct {
	words   int
	fault   error // after the words
	panics  bool
	mu      sync.Mutex
	change  uint64
	calls   int
	live    []context.Context
	overlap bool // a call began while another one was wanted
}

func (c *choir) engine() *Engine {
	return &Engine{
		Bases: c, Embedders: c, Retriever: c, Models: c, Generator: c, Cache: c, Limits: Limits{4096, 768}, Provider: "ollama",
		Normalise: strings.TrimSpace, Joins: &Joins{},
	}
}

func (c *choir) KnowledgeBase(context.Context, string) (KnowledgeBase, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return KnowledgeBase{Name: "docs", ID: 1, Change: c.change}, nil
}

func (c *choir) ChatModel(context.Context, string) (Model, error) { return Model{Name: "m"}, nil }

func (c *choir) EmbedderFor(context.Context, string) (Embedder, EmbedderID, error) {
	return nil, EmbedderID{}, nil
}

func (c *choir) Retrieve(context.Context, Query) (Retrieval, error) {
	return Retrieval{Hits: []Hit{hit(1, "One passage.")}}, nil
}

func (c *choir) On() bool                                        { return true }
func (c *choir) RecallExact(CacheKey) (Recalled, bool)           { return Recalled{}, false }
func (c *choir) RecallNear(CacheKey, []float32) (Recalled, bool) { return Recalled{}, false }
func (c *choir) Remember(CacheKey, []float32, uint64, Answer) bool {
	return true
}
func (c *choir) Served(Recalled, CacheStatus, uint64) bool { return false }
func (c *choir) Compared(Recalled, Answer)                 {}
func (c *choir) Missed(*Recalled, Stale)                   {}
func (c *choir) Generate(ctx context.Context, _ Prompt) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		c.mu.Lock()
		c.calls++
		c.overlap = c.overlap || slices.ContainsFunc(c.live, func(ctx context.Context) bool { return ctx.Err() == nil })
		c.live = append(c.live, ctx)
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.live = slices.DeleteFunc(c.live, func(other context.Context) bool { return other == ctx })
		}()
		for i := range c.words {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				yield(Chunk{}, ctx.Err())
				return
			}
			if !yield(Chunk{Text: word(i)}, nil) {
				return
			}
		}
		if c.panics {
			panic("a fault of ours")
		}
		if c.fault != nil {
			yield(Chunk{}, c.fault)
			return
		}
		yield(Chunk{Done: true, DoneReason: "stop"}, nil)
	}
}

func word(i int) string { return fmt.Sprintf("w%d ", i) }

// song is the whole answer.
func (c *choir) song() (s string) {
	for i := range c.words {
		s += word(i)
	}
	return s
}

// heard is what one reader got.
type heard struct {
	text   string
	events []EventKind
	done   *Answer
	err    error
}

// listen reads, pace by pace, and leaves after some events; 0 stays to the end.
func listen(ctx context.Context, e *Engine, req Request, pace time.Duration, leaveAfter int) (h heard) {
	for ev, err := range e.Ask(ctx, req) {
		if err != nil {
			h.err = err
			return h
		}
		h.events, h.text = append(h.events, ev.Kind), h.text+ev.Token
		if ev.Kind == EventDone {
			h.done = ev.Answer
		}
		if len(h.events) == leaveAfter {
			return h
		}
		time.Sleep(pace)
	}
	return h
}

// chorus asks n times at once.
func chorus(t *testing.T, e *Engine, reqs []Request, leaveAfter func(i int) int) []heard {
	t.Helper()
	all := make([]heard, len(reqs))
	var wg sync.WaitGroup
	for i, req := range reqs {
		wg.Go(func() { all[i] = listen(t.Context(), e, req, 0, leaveAfter(i)) })
		synctest.Wait() // the first is the leader
	}
	wg.Wait()
	return all
}

func stay(int) int { return 0 }

func TestLaw9OneHundredIdenticalQuestionsAreOneCallAndOneHundredAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &choir{words: 20}
		e := c.engine()
		all := chorus(t, e, slices.Repeat([]Request{request}, 100), stay)
		followers := 0
		for i, h := range all {
			if h.err != nil || h.text != c.song() || h.done == nil || h.done.Text != c.song() || !slices.Equal(h.events, all[0].events) {
				t.Fatalf("reader %d: %+v", i, h)
			}
			if h.done.Cache.Status == CacheCoalesced {
				followers++
			}
		}
		if c.calls != 1 || followers != 99 || e.Joins.Coalesced() != 99 || all[0].done.Cache.Status != CacheMiss {
			t.Errorf("%d calls, %d followers, %d counted, the leader: %s", c.calls, followers, e.Joins.Coalesced(), all[0].done.Cache.Status)
		}
	})
}

func TestLaw9ALeaderThatLeavesHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &choir{words: 20}
		all := chorus(t, c.engine(), slices.Repeat([]Request{request}, 100), func(i int) int {
			if i == 0 {
				return 10
			}
			return 0
		})
		if h := all[0]; len(h.events) != 10 || !strings.HasPrefix(c.song(), h.text) {
			t.Errorf("the leader heard %+v", h)
		}
		for i, h := range all[1:] {
			if h.err != nil || h.text != c.song() || h.done == nil {
				t.Fatalf("follower %d: %+v", i, h)
			}
		}
		if c.calls != 1 {
			t.Errorf("%d calls", c.calls)
		}
	})
}

func TestLaw9TheModelIsStoppedWithTheLastReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &choir{words: 1000}
		e := c.engine()
		start := time.Now()
		chorus(t, e, slices.Repeat([]Request{request}, 5), func(i int) int { return 5 * (i + 1) })
		// The last one left after its 25th event: contexts, status, 23 words.
		if len(c.live) != 0 || len(e.Joins.all.byKey) != 0 || time.Since(start) != 230*time.Millisecond {
			t.Errorf("after %s: %d calls run, %d flights", time.Since(start), len(c.live), len(e.Joins.all.byKey))
		}
		if h := listen(t.Context(), e, request, 0, 3); c.calls != 2 || len(h.events) != 3 {
			t.Errorf("whoever comes after it: %d calls, %+v", c.calls, h)
		}
	})
}

func TestLaw9AReaderIsLetGoWhileNothingIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &choir{words: 3}
		e := c.engine()
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Millisecond, gone)
		defer cancel()
		var left heard
		var wg sync.WaitGroup
		wg.Go(func() { left = listen(ctx, e, request, 0, 0) })
		synctest.Wait()
		h := listen(t.Context(), e, request, 0, 0)
		wg.Wait()
		if !errors.Is(left.err, gone) || left.text != "" || h.text != c.song() || c.calls != 1 {
			t.Errorf("left: %+v, stayed: %+v, %d calls", left, h, c.calls)
		}
	})
}

func TestLaw9ASlowFollowerSlowsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &choir{words: 10}
		e := c.engine()
		var slow heard
		var wg sync.WaitGroup
		wg.Go(func() { slow = listen(t.Context(), e, request, time.Hour, 0) })
		synctest.Wait()
		start := time.Now()
		h := listen(t.Context(), e, request, 0, 0)
		if took := time.Since(start); took != 100*time.Millisecond || h.text != c.song() {
			t.Errorf("%s, %+v", took, h)
		}
		wg.Wait()
		if slow.text != c.song() || slow.done == nil || c.calls != 1 {
			t.Errorf("the slow one: %+v, %d calls", slow, c.calls)
		}
	})
}

func TestLaw9AnErrorReachesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &choir{words: 3, fault: Errorf(BadUpstream, "", "cut")}
		for i, h := range chorus(t, c.engine(), slices.Repeat([]Request{request}, 10), stay) {
			if KindOf(h.err) != BadUpstream || h.text != c.song() || h.done != nil {
				t.Errorf("reader %d: %+v", i, h)
			}
		}
		if c.calls != 1 {
			t.Errorf("%d calls", c.calls)
		}
	})
}

func TestAPanicReachesTheReadersAndNotTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &choir{words: 1, panics: true}
		e := c.engine()
		for range 2 {
			func() {
				defer func() {
					if p := fmt.Sprint(recover()); !strings.Contains(p, "a fault of ours") || !strings.Contains(p, "join_test.go") {
						t.Errorf("recovered %s", p)
					}
				}()
				listen(t.Context(), e, request, 0, 0)
			}()
		}
		if len(e.Joins.all.byKey) != 0 {
			t.Error("the flight is still there")
		}
	})
}

func TestLaw9QuestionsThatDifferOrBypassTheCacheDoNotJoin(t *testing.T) {
	one, seed := 1.0, 7
	for name, change := range map[string]func(*Request){
		"no-cache": func(r *Request) { r.NoRecall = true }, "no-store": func(r *Request) { r.NoRemember = true }, "sampled": func(r *Request) { r.Temperature = .7 },
		"another question": func(r *Request) { r.Question = "What else?" }, "another base": func(r *Request) { r.DB = "other" }, "an error wanted": func(r *Request) { r.NoDegrade = true },
		"a higher threshold": func(r *Request) { r.MinSimilarity = one }, "a fresher answer": func(r *Request) { r.MaxAge = time.Second },
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &choir{words: 3}
			other := request
			change(&other)
			e := c.engine()
			own := 1 // calls for three of the others
			if other.NoRecall || other.NoRemember || other.Temperature > 0 {
				own = 3
			}
			for _, h := range chorus(t, e, []Request{request, other, request, other, other}, stay) {
				if h.err != nil || h.text != c.song() {
					t.Fatalf("%s: %+v", name, h)
				}
			}
			if c.calls != 1+own {
				t.Errorf("%s: %d calls, want %d", name, c.calls, 1+own)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // a seed makes sampling repeatable
		c := &choir{words: 3}
		sampled := request
		sampled.Temperature, sampled.Seed = .7, &seed
		chorus(t, c.engine(), []Request{sampled, sampled}, stay)
		if c.calls != 1 {
			t.Errorf("%d calls", c.calls)
		}
	})
	synctest.Test(t, func(t *testing.T) { // what is in flight is not kept yet
		c := &choir{words: 3}
		kept := request
		kept.OnlyIfCached = true
		for i, h := range chorus(t, c.engine(), []Request{request, kept, request}, stay) {
			if wants := i == 1; wants && CodeOf(h.err) != CodeNotCached || !wants && h.text != c.song() {
				t.Errorf("%d, only if kept: %+v", i, h)
			}
		}
		if c.calls != 1 {
			t.Errorf("%d calls", c.calls)
		}
	})
	synctest.Test(t, func(t *testing.T) { // documents changed meanwhile
		c := &choir{words: 3}
		e := c.engine()
		var wg sync.WaitGroup
		wg.Go(func() { listen(t.Context(), e, request, 0, 0) })
		synctest.Wait()
		c.mu.Lock()
		c.change++
		c.mu.Unlock()
		listen(t.Context(), e, request, 0, 0)
		wg.Wait()
		if c.calls != 2 {
			t.Errorf("%d calls", c.calls)
		}
	})
}

// TestLaw9WhoeverComesAndGoes draws arrivals, paces and leavings: who stays hears all, who leaves heard a part, no call begins
// while another is wanted, and none outlives its readers.
func TestLaw9WhoeverComesAndGoes(t *testing.T) {
	type reader struct {
		Arrives, Pace, Patience time.Duration // Patience 0: for ever
		LeaveAfter              int
	}
	ms := func(t *rapid.T, most int, name string) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
	}
	draw := rapid.Custom(func(t *rapid.T) reader {
		r := reader{Arrives: ms(t, 200, "arrives"), Pace: ms(t, 30, "pace")}
		switch rapid.IntRange(0, 2).Draw(t, "way") {
		case 0:
			r.LeaveAfter = rapid.IntRange(1, 12).Draw(t, "leave after")
		case 1:
			r.Patience = ms(t, 150, "patience") + time.Millisecond
		}
		return r
	})
	rapid.Check(t, func(rt *rapid.T) {
		readers := rapid.SliceOfN(draw, 1, 20).Draw(rt, "readers")
		c := &choir{words: rapid.IntRange(1, 10).Draw(rt, "words")}
		if rapid.Bool().Draw(rt, "fails") {
			c.fault = Errorf(BadUpstream, "", "cut")
		}
		all := make([]heard, len(readers))
		var flights int
		synctest.Test(t, func(t *testing.T) {
			e := c.engine()
			var wg sync.WaitGroup
			for i, r := range readers {
				wg.Go(func() {
					time.Sleep(r.Arrives)
					ctx := t.Context()
					if r.Patience > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, r.Patience)
						defer cancel()
					}
					all[i] = listen(ctx, e, request, r.Pace, r.LeaveAfter)
				})
			}
			wg.Wait()
			flights = len(e.Joins.all.byKey)
		})
		if c.overlap || flights != 0 || len(c.live) != 0 || c.calls > len(readers) {
			rt.Fatalf("overlap %t, %d flights, %d calls run, %d were made", c.overlap, flights, len(c.live), c.calls)
		}
		for i, h := range all {
			whole := h.text == c.song() && (h.done != nil) == (c.fault == nil) && errors.Is(h.err, c.fault)
			left := readers[i].LeaveAfter > 0 && len(h.events) == readers[i].LeaveAfter || readers[i].Patience > 0 && errors.Is(h.err, context.DeadlineExceeded)
			if !whole && (!left || !strings.HasPrefix(c.song(), h.text)) {
				rt.Fatalf("reader %d %+v of %d words heard %q, error %v", i, readers[i], c.words, h.text, h.err)
			}
		}
	})
}
