package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

var callsConfig = CallsConfig{Enabled: true, MaxSize: 100, MaxBytes: 1 << 20, TTL: time.Hour}

func saying(key, data string) rag.KeptCall { return rag.KeptCall{Key: key, Data: []byte(data)} }

func (c *Calls) has(key string) bool {
	_, _, _, ok := c.Recall(key, 0)
	return ok
}

func TestCallsAreServedUnderTheirKeyWithTheirAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls(callsConfig)
		c.Remember(saying("a", "one"))
		time.Sleep(20 * time.Minute)
		data, age, left, ok := c.Recall("a", 0)
		if string(data) != "one" || age != 20*time.Minute || left != 40*time.Minute || !ok {
			t.Error(string(data), age, left, ok)
		}
		if _, _, _, ok := c.Recall("a", 19*time.Minute); ok {
			t.Error("older than was asked for")
		}
		if !c.has("a") || c.has("b") {
			t.Error("another key")
		}
		time.Sleep(40*time.Minute + 1)
		if c.has("a") {
			t.Error("served past its time: a hit must not renew it")
		}
		if s := c.Stats(); s.Hits != 2 || s.Misses != 3 || s.Expired != 1 || s.Size != 0 || s.Bytes != 0 || s.HitRate() != .4 {
			t.Errorf("%+v", s)
		}
		forever := NewCalls(CallsConfig{Enabled: true, MaxSize: 1, MaxBytes: 1 << 20})
		forever.Remember(saying("a", "one"))
		time.Sleep(10 * 365 * 24 * time.Hour)
		if _, _, left, ok := forever.Recall("a", 0); !ok || left > 0 {
			t.Error("a TTL of 0 has no end", left)
		}
	})
}

func TestCallsStayWithinTheirBoundsAndTheLeastRecentlyUsedGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		conf := CallsConfig{Enabled: true, MaxSize: rapid.IntRange(1, 6).Draw(t, "size"), MaxBytes: int64(rapid.IntRange(300, 4000).Draw(t, "bytes"))}
		c := NewCalls(conf)
		var order []string // least recently used first
		use := func(key string) {
			order = append(slices.DeleteFunc(order, func(k string) bool { return k == key }), key)
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			key := fmt.Sprint("k", rapid.IntRange(0, 9).Draw(t, "key"))
			if rapid.Bool().Draw(t, "look") {
				if c.has(key) {
					use(key)
				}
			} else if c.Remember(rag.KeptCall{Key: key, Data: make([]byte, rapid.IntRange(0, 2000).Draw(t, "data"))}) {
				use(key)
			}
			s := c.Stats()
			if s.Size > conf.MaxSize || s.Bytes > conf.MaxBytes {
				t.Fatalf("%+v", s)
			}
			var bytes int64
			for _, el := range c.entries {
				bytes += sizeOf(el.Value.(rag.KeptCall))
			}
			if bytes != s.Bytes || len(c.entries) != s.Size {
				t.Fatalf("%d bytes counted, %d held", s.Bytes, bytes)
			}
			for i, k := range order[len(order)-min(s.Size, len(order)):] {
				if c.entries[k] == nil {
					t.Fatalf("%s was used as %d of the last %d and is gone", k, i, s.Size)
				}
			}
		}
	})
}

func TestCallsThatAreOffKeepAndCountNothing(t *testing.T) {
	c := NewCalls(CallsConfig{MaxSize: 10, MaxBytes: 1 << 20})
	if c.Remember(saying("a", "one")) || c.has("a") || c.Stats() != (rag.CallStats{MaxSize: 10, MaxBytes: 1 << 20}) {
		t.Errorf("%+v", c.Stats())
	}
}

func TestCallsThatShowAPassageThatIsGoneGo(t *testing.T) {
	c := NewCalls(callsConfig)
	for key, passages := range map[string][]int64{"12": {1, 2}, "23": {2, 3}, "3": {3}} {
		c.Remember(rag.KeptCall{Key: key, DB: "kb", Passages: passages})
	}
	c.Remember(rag.KeptCall{Key: "other", DB: "other", Passages: []int64{1}})
	c.Remember(rag.KeptCall{Key: "pass"})
	vector := rag.Update{Remove: []int64{3}, Add: []rag.Entry{{Passage: rag.Passage{ID: 3}}}}
	for _, u := range []rag.Update{{Remove: []int64{1}}, vector} {
		if err := c.Apply(t.Context(), "kb", u); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Sorted(maps.Keys(c.entries)); !slices.Equal(got, []string{"23", "3", "other", "pass"}) {
		t.Error(got)
	}
	if c.Clear("kb"); len(c.entries) != 2 {
		t.Error("clear one knowledge base")
	}
	if c.ClearPrompts(); !c.has("pass") || len(c.entries) != 1 {
		t.Error("clear what was made from any")
	}
	if n := c.Clear(""); n != 1 || c.Stats().Bytes != 0 {
		t.Error("clear", n)
	}
}

// callFile is a file in memory.
type callFile struct {
	mu   sync.Mutex
	kept map[string]rag.KeptCall
	err  error
}

func (s *callFile) KeptCalls(context.Context) ([]rag.KeptCall, error) {
	return slices.SortedFunc(maps.Values(s.kept), func(a, b rag.KeptCall) int { return int(a.Made - b.Made) }), nil
}

func (s *callFile) KeepCalls(_ context.Context, put []rag.KeptCall, remove []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range put {
		s.kept[k.Key] = k
	}
	for _, key := range remove {
		delete(s.kept, key)
	}
	return s.err
}

func TestCallsOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := &callFile{kept: map[string]rag.KeptCall{}}
		reopen := func() *Calls {
			c := NewCalls(callsConfig)
			if err := c.Keep(t.Context(), file, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			return c
		}
		c := reopen()
		c.Remember(saying("a", "one"))
		time.Sleep(30 * time.Minute)
		c.Remember(saying("b", "two"))
		c.Remember(rag.KeptCall{Key: "gone", DB: "kb"})
		c.Clear("kb")
		c.Close()
		c.Close()
		c.Remember(saying("late", "kept in memory alone"))
		if got := slices.Sorted(maps.Keys(file.kept)); !slices.Equal(got, []string{"a", "b"}) {
			t.Fatal(got)
		}
		time.Sleep(31 * time.Minute)
		c = reopen()
		if c.has("a") || !c.has("b") {
			t.Error("only b is young enough")
		}
		file.err = errors.New("disk full")
		c.Remember(saying("c", "three"))
		synctest.Wait()
		if !c.has("c") {
			t.Error("a file that cannot be written takes nothing from memory")
		}
		c.Close()
	})
}

// teller is a model that says chunks, then fails with err.
type teller struct {
	calls  int
	chunks []rag.Chunk
	err    error
}

func (m *teller) Generate(context.Context, rag.Prompt) iter.Seq2[rag.Chunk, error] {
	m.calls++
	return func(yield func(rag.Chunk, error) bool) {
		for _, c := range m.chunks {
			if !yield(c, nil) {
				return
			}
		}
		if m.err != nil {
			yield(rag.Chunk{}, m.err)
		}
	}
}

var good = []rag.Chunk{{Text: "It "}, {Text: "does."}, {Done: true, DoneReason: "stop", Usage: rag.Usage{OutputTokens: 2}}}

func listen(g rag.Generator, p rag.Prompt) (text string, last rag.Chunk) {
	for chunk, err := range g.Generate(context.Background(), p) {
		if err != nil {
			return text, rag.Chunk{}
		}
		text, last = text+chunk.Text, chunk
		if chunk.Done {
			break // as the engine's readers may
		}
	}
	return text, last
}

var prompt = rag.Prompt{Provider: "ollama", Model: "m", Digest: "d", Messages: []rag.Message{{Role: "user", Content: "Does it?"}}, NumCtx: 4096, MaxTokens: 100}

func TestThePromptThatWasAnsweredIsNotAskedAgain(t *testing.T) {
	m := &teller{chunks: good}
	g := Generator{Generator: m, Calls: NewCalls(callsConfig)}
	first, end := listen(g, prompt)
	same := prompt
	same.DB, same.Passages = "kb", []int64{1}
	again, last := listen(g, same)
	if m.calls != 1 || first != "It does." || again != first || end.Cached || !last.Cached || last.Usage != end.Usage || last.DoneReason != "stop" {
		t.Errorf("%d calls, %q %+v, then %q %+v", m.calls, first, end, again, last)
	}
	seed, other := 1, 2
	for name, change := range map[string]func(*rag.Prompt){
		"provider": func(p *rag.Prompt) { p.Provider = "openai" }, "model": func(p *rag.Prompt) { p.Model = "n" }, "digest": func(p *rag.Prompt) { p.Digest = "e" },
		"role": func(p *rag.Prompt) { p.Messages = []rag.Message{{Role: "system", Content: "Does it?"}} }, "num_ctx": func(p *rag.Prompt) { p.NumCtx++ },
		"max tokens": func(p *rag.Prompt) { p.MaxTokens++ }, "seed": func(p *rag.Prompt) { p.Seed = &seed }, "other seed": func(p *rag.Prompt) { p.Seed = &other },
		"temperature": func(p *rag.Prompt) { p.Temperature, p.Seed = .5, &seed },
		"messages":    func(p *rag.Prompt) { p.Messages = append(slices.Clone(p.Messages), rag.Message{Role: "user"}) },
	} {
		p, before := prompt, m.calls
		change(&p)
		if _, last := listen(g, p); m.calls != before+1 || last.Cached {
			t.Errorf("another %s was answered from memory", name)
		}
	}
}

func TestLaw7OnlyGoodGenerationsAreKept(t *testing.T) {
	sampled, seeded, unseeded, seed, none := prompt, prompt, prompt, 7, -1
	sampled.Temperature = .8
	seeded.Temperature, seeded.Seed = .8, &seed
	unseeded.Temperature, unseeded.Seed = .8, &none
	unknown, fresh, private := prompt, prompt, prompt
	unknown.Digest, fresh.NoRecall, private.NoRecall, private.NoRemember = "", true, true, true
	for name, c := range map[string]struct {
		chunks []rag.Chunk
		err    error
		prompt rag.Prompt
		all    bool // SEMANTIC_CACHE_SAMPLED
		server string
		kept   bool
	}{
		"good": {chunks: good, prompt: prompt, kept: true}, "cut": {chunks: good[:2], prompt: prompt}, "failed": {chunks: good[:2], err: errors.New("x"), prompt: prompt},
		"too long": {chunks: []rag.Chunk{{Text: "It"}, {Done: true, DoneReason: "length"}}, prompt: prompt}, "empty": {chunks: good[2:], prompt: prompt},
		"sampled": {chunks: good, prompt: sampled}, "sampled, wanted": {chunks: good, prompt: sampled, all: true, kept: true}, "seeded": {chunks: good, prompt: seeded, kept: true},
		"a seed that is none": {chunks: good, prompt: unseeded},
		"unknown model":       {chunks: good, prompt: unknown}, "known server": {chunks: good, prompt: unknown, server: "https://x/v1", kept: true},
		"no-cache": {chunks: good, prompt: fresh, kept: true}, "no-store": {chunks: good, prompt: private},
	} {
		g := Generator{Generator: &teller{chunks: c.chunks, err: c.err}, Calls: NewCalls(callsConfig), Sampled: c.all, Server: c.server}
		listen(g, c.prompt)
		if kept := len(g.Calls.entries) == 1; kept != c.kept {
			t.Errorf("%s: kept %t", name, kept)
		}
		if _, last := listen(g, c.prompt); last.Cached != (c.kept && !c.prompt.NoRecall) {
			t.Errorf("%s: asked again, cached is %t", name, last.Cached)
		}
	}
	left, leave := context.WithCancel(t.Context())
	defer leave()
	g := Generator{Generator: &teller{chunks: good}, Calls: NewCalls(callsConfig)}
	for range g.Generate(left, prompt) {
		leave()
	}
	if len(g.Calls.entries) != 0 {
		t.Error("an answer whose asker left was kept")
	}
}

// teaches tells of a change of the documents while it writes.
type teaches struct {
	teller
	change func()
}

func (m *teaches) Generate(ctx context.Context, p rag.Prompt) iter.Seq2[rag.Chunk, error] {
	m.change()
	return m.teller.Generate(ctx, p)
}

func TestLaw6AGenerationThatADeletionOvertakesIsNotKept(t *testing.T) {
	asked := prompt
	asked.DB, asked.Change, asked.Passages = "kb", 3, []int64{7}
	for _, c := range []struct {
		change func(*Calls)
		kept   int
	}{
		{func(*Calls) {}, 1},
		{func(c *Calls) { _ = c.Apply(t.Context(), "kb", rag.Update{Change: 4, Remove: []int64{7}}) }, 0},
		{func(c *Calls) { _ = c.Apply(t.Context(), "another", rag.Update{Change: 4, Remove: []int64{7}}) }, 1},
		{func(c *Calls) { // a new knowledge base of the same name counts from the start
			_ = c.Apply(t.Context(), "kb", rag.Update{Change: 9})
			c.Forget("kb")
			_ = c.Apply(t.Context(), "kb", rag.Update{Change: 1})
		}, 1},
		{func(c *Calls) { c.Forget("kb") }, 0},
		{func(c *Calls) { c.Forget("another") }, 1},
	} {
		calls := NewCalls(callsConfig)
		listen(Generator{Generator: &teaches{teller{chunks: good}, func() { c.change(calls) }}, Calls: calls}, asked)
		if got := len(calls.entries); got != c.kept {
			t.Errorf("%d kept, want %d", got, c.kept)
		}
	}
}
