package cache

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// costing is an answer that took so many seconds to make, and takes about so many bytes.
func costing(seconds float64, bytes int) rag.Answer {
	a := answer(strings.Repeat("x", bytes))
	a.Timings.Total = seconds
	return a
}

func left(c *Cache, questions ...string) (there []string) {
	for _, q := range questions {
		if c.entries[key(q)] != nil {
			there = append(there, q)
		}
	}
	return there
}

func TestLaw2ADearAnswerOutlivesACheapOneOfTheSameAge(t *testing.T) {
	for _, x := range []struct {
		name     string
		a, b     rag.Answer
		stays    string
		coldLoad float64
	}{
		{"dear and cheap", costing(30, 1000), costing(1, 1000), "a", 0},
		{"cheap and dear", costing(1, 1000), costing(30, 1000), "b", 0},
		{"large and small", costing(1, 9000), costing(1, 100), "b", 0},
		{"dear by a load that the next call does not need", costing(30, 1000), costing(3, 1000), "b", 29},
	} {
		c := New(config)
		x.a.Usage.LoadSeconds = x.coldLoad
		c.Remember(key("a"), nil, 1, x.a)
		c.Remember(key("b"), nil, 1, x.b)
		c.Remember(key("c"), nil, 1, costing(1000, 1))
		c.Remember(key("d"), nil, 1, costing(1000, 1))
		if got := left(c, "a", "b"); !slices.Equal(got, []string{x.stays}) {
			t.Errorf("%s: left %v", x.name, got)
		}
	}
}

func TestLaw2WhatIsDearButNotUsedLeavesInTheEnd(t *testing.T) {
	c := New(config)
	c.Remember(key("dear"), nil, 1, costing(10, 1000))
	for n := range 100 {
		c.Remember(key(fmt.Sprintf("%03d", n)), nil, 1, costing(1, 1000))
		if n == 5 && left(c, "dear") == nil {
			t.Fatal("it left at once")
		}
	}
	if left(c, "dear") != nil {
		t.Error("it stays for ever")
	}
}

// Where all cost and take the same, GreedyDual-Size is plain LRU: compared with one, over random uses.
func TestLaw2WithEqualCostAndSizeTheLeastRecentlyUsedGoesFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cost := rapid.SampledFrom([]float64{0, .1, 3}).Draw(t, "cost")
		conf := config
		conf.Size = rapid.IntRange(1, 6).Draw(t, "size")
		c := New(conf)
		var lru []string // the least recently used first
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			q := string(rune('a' + rapid.IntRange(0, 9).Draw(t, "question")))
			_, hit := c.RecallExact(key(q))
			if hit != slices.Contains(lru, q) {
				t.Fatalf("%s: hit %t, kept by LRU: %v", q, hit, lru)
			}
			lru = append(slices.DeleteFunc(lru, func(s string) bool { return s == q }), q)
			if !hit {
				c.Remember(key(q), nil, 1, costing(cost, 100))
			}
			lru = lru[max(len(lru)-conf.Size, 0):]
		}
	})
}

func TestLaw2NothingIsEverOverItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		conf := rag.CacheConfig{Enabled: true, Threshold: .5, Size: rapid.IntRange(1, 8).Draw(t, "size"), Bytes: rapid.Int64Range(2000, 30_000).Draw(t, "bytes"), TTL: time.Hour}
		conf.StaleIfError = time.Duration(rapid.IntRange(0, 1).Draw(t, "spare")) * time.Hour
		c := New(conf)
		now := time.Unix(1_000_000, 0)
		c.now = func() time.Time { return now }
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			q := key(fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "question")))
			q.Scope = fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "scope"))
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2, 3, 4:
				a := costing(rapid.Float64Range(0, 60).Draw(t, "seconds"), rapid.IntRange(0, 12_000).Draw(t, "text"))
				a.Hits = []rag.Hit{{Passage: rag.Passage{ID: rapid.Int64Range(1, 5).Draw(t, "passage")}}}
				kept := c.Remember(q, at(rapid.Float64Range(0, 1).Draw(t, "vector")), 0, a)
				if kept != (c.entries[q] != nil && len(c.entries[q].answer.Text) == len(a.Text)) {
					t.Fatalf("kept: %t", kept)
				}
			case 5:
				if r, ok := c.RecallExact(q); ok {
					r.Answer.Form.Keep(make([]byte, rapid.IntRange(0, 20_000).Draw(t, "body")))
				}
			case 6:
				c.RecallNear(q, at(rapid.Float64Range(0, 1).Draw(t, "vector")))
			case 7:
				now = now.Add(time.Duration(rapid.IntRange(0, 70).Draw(t, "minutes")) * time.Minute)
			case 8:
				_ = c.Apply(t.Context(), "kb", rag.Update{Remove: []int64{rapid.Int64Range(1, 5).Draw(t, "gone")}})
			case 9:
				conf.TTL = time.Duration(rapid.IntRange(1, 3).Draw(t, "hours")) * time.Hour
				conf.Size, conf.Bytes = rapid.IntRange(1, 8).Draw(t, "size"), rapid.Int64Range(2000, 30_000).Draw(t, "bytes")
				c.SetConfig(conf)
			}
			if s := c.Stats(); s.Size > conf.Size || s.Bytes > conf.Bytes || s.Bytes < 0 || (len(c.entries) == 0) != (s.Bytes == 0) || len(c.entries) > conf.Size {
				t.Fatalf("%+v, bounds %+v", s, conf)
			}
			whole(t, c)
		}
	})
}

// whole says whether all that the cache knows of its entries agrees.
func whole(t *rapid.T, c *Cache) {
	var bytes int64
	vectors := 0
	for k, e := range c.entries {
		if e.key != k || c.byID[e.id] != e || c.worth[e.place] != e || e.turn.Value != any(e) || c.old(e) != (e.shelf == nil) {
			t.Fatalf("%+v is lost", e)
		}
		if e.shelf != nil {
			vectors++
			if e.shelf.rows[e.row] != e || c.shelves[shelfKey{k.DB, k.Scope, len(e.vector)}] != e.shelf {
				t.Fatalf("%+v is on no shelf", e)
			}
		}
		bytes += e.bytes
	}
	for i, e := range c.worth {
		if i > 0 && c.worth.Less(i, (i-1)/2) || c.entries[e.key] != e {
			t.Fatalf("the heap is none at %d", i)
		}
	}
	rows := 0
	for _, s := range c.shelves {
		if len(s.rows) == 0 || s.Rows() != len(s.rows) {
			t.Fatalf("a shelf of %d rows and %d entries", s.Rows(), len(s.rows))
		}
		rows += len(s.rows)
	}
	if bytes != c.bytes || rows != vectors || len(c.byID) != len(c.entries) || len(c.worth) != len(c.entries) || c.made.Len()+c.spare.Len() != len(c.entries) {
		t.Fatalf("%d of %d bytes, %d of %d rows, %d entries, %d ids, %d in the heap, %d by age", bytes, c.bytes, rows, vectors, len(c.entries), len(c.byID), len(c.worth), c.made.Len()+c.spare.Len())
	}
}

func TestLaw2AnAnswerThatIsLargerThanTheBoundIsNotKept(t *testing.T) {
	conf := config
	conf.Bytes = 20_000
	c := New(conf)
	if !c.Remember(key("a"), nil, 1, costing(1, 10_000)) || c.Remember(key("b"), nil, 1, costing(1000, 20_000)) {
		t.Error("kept, or not")
	}
	if s := c.Stats(); s.Size != 1 || s.Outgrown+s.Evicted != 0 || s.MaxBytes != 20_000 {
		t.Errorf("room was made for nothing: %+v", s)
	}
	c.Remember(key("c"), nil, 1, costing(1, 15_000))
	if s := c.Stats(); s.Size != 1 || s.Outgrown != 1 || s.Evicted != 0 || !slices.Equal(left(c, "a", "c"), []string{"c"}) {
		t.Errorf("%+v", s)
	}
	r, _ := c.RecallExact(key("c"))
	before := c.Stats().Bytes
	r.Answer.Form.Keep(make([]byte, 5000))
	if c.Stats().Bytes != before || r.Answer.Form.Load() != nil {
		t.Error("what a server made of an answer pushed it over the bound")
	}
	r.Answer.Form.Keep([]byte("small"))
	r.Answer.Form.Keep([]byte("again"))
	if again, _ := c.RecallExact(key("c")); string(again.Answer.Form.Load()) != "small" || c.Stats().Bytes <= before {
		t.Errorf("kept %q, %d bytes after %d", again.Answer.Form.Load(), c.Stats().Bytes, before)
	}
}

func TestWhatIsTooOldGoesBeforeWhatIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(config)
		c.Remember(key("old and dear"), nil, 1, costing(1000, 1))
		time.Sleep(config.TTL + 1)
		for _, q := range []string{"a", "b", "c"} {
			c.Remember(key(q), nil, 1, costing(0, 1))
		}
		if got := left(c, "a", "b", "c"); len(got) != 3 || c.Stats().Expired != 1 {
			t.Errorf("left %v: %+v", got, c.Stats())
		}
	})
}

// What is too old but may still serve where no model answers is found by the very same question alone, leaves before all others, and
// comes back where the time is made longer.
func TestLaw13WhatIsTooOldWaitsAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := config
		conf.StaleIfError = time.Hour
		c := New(conf)
		c.Remember(key("old"), at(1), 1, costing(1000, 1))
		time.Sleep(conf.TTL + 1)
		if _, ok := c.RecallNear(key("near"), at(1)); ok || c.Stats().Size != 0 || c.Stats().Expired != 0 {
			t.Errorf("near: %t, %+v", ok, c.Stats())
		}
		if r, ok := c.RecallExact(key("old")); !ok || !r.Expired || !r.Spare {
			t.Errorf("exact: %t, %+v", ok, r)
		}
		conf.TTL = 2 * time.Hour
		c.SetConfig(conf)
		if r, ok := c.RecallNear(key("near"), at(1)); !ok || r.Expired || c.Stats().Size != 1 {
			t.Errorf("with more time: %t, %+v", ok, c.Stats())
		}
		time.Sleep(time.Hour)
		for _, q := range []string{"a", "b", "c"} {
			c.Remember(key(q), nil, 1, costing(0, 1))
		}
		if got := left(c, "old", "a", "b", "c"); !slices.Equal(got, []string{"a", "b", "c"}) || c.Stats().Evicted != 1 {
			t.Errorf("left %v, %+v", got, c.Stats())
		}
		time.Sleep(conf.TTL + conf.StaleIfError + 1)
		if s := c.Stats(); s.Size != 0 || s.Bytes != 0 || s.Expired != 3 {
			t.Errorf("in the end: %+v", s)
		}
	})
}

// What is counted is what the process really takes, within a sixth.
func TestTheBytesThatAreCountedAreTaken(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, passages := range []int{0, 5} {
		before := heap()
		c := New(rag.CacheConfig{Enabled: true, Threshold: .9, Size: 1 << 20, TTL: time.Hour})
		const entries = 3000
		for i := range entries {
			k := rag.CacheKey{DB: "kb", Scope: strings.Repeat("s", 64), Question: fmt.Sprintf("question %d", i)}
			c.Remember(k, randomUnit(rng), 1, keptSample(i, passages))
		}
		took, said := heap()-before, c.Stats().Bytes
		t.Logf("%d passages: %d bytes an entry, %d counted", passages, took/entries, said/entries)
		if took > said+said/6 || took < said-said/6 {
			t.Errorf("%d passages: %d bytes are counted, %d taken", passages, said, took)
		}
		runtime.KeepAlive(c)
	}
}

// The nearest found by codes is the nearest of all, by the vectors themselves and then by id.
func TestLaw3TheNearestIsTheOneThatAPlainScanFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		c := New(rag.CacheConfig{Enabled: true, Threshold: .01, Size: 1000, TTL: time.Hour})
		closeBy := rapid.SampledFrom([]float32{0, 1e-6, 1e-3, 1}).Draw(t, "apart")
		center := randomUnit(rng)
		for i := range rapid.IntRange(1, 80).Draw(t, "entries") {
			v := randomUnit(rng)
			for j := range v {
				v[j] = center[j] + closeBy*v[j]
			}
			c.Remember(key(spelt(i)), v, 1, answer(""))
			if rng.IntN(5) == 0 {
				if e := c.entries[key(spelt(rng.IntN(i+1)))]; e != nil {
					c.ClearEntry(e.id)
				}
			}
		}
		asked := vec.Normalize(center)
		if rapid.Bool().Draw(t, "another") {
			asked = vec.Normalize(randomUnit(rng))
		}
		var want *entry
		most := float32(-2)
		for _, e := range c.entries {
			if d := vec.Dot(e.vector, asked); d > most || d == most && e.id < want.id {
				want, most = e, d
			}
		}
		s, _ := c.shelf(key(""), asked)
		if s == nil {
			if want != nil {
				t.Fatal("there is no shelf")
			}
			return
		}
		if got, similarity := s.nearest(asked); got != want || similarity != Similarity(float64(most)) {
			t.Fatalf("%v at %g, want %v at %g", got.key, similarity, want.key, Similarity(float64(most)))
		}
	})
}

func TestTheSimilarityOfEverySemanticLookUpIsKept(t *testing.T) {
	c := New(config)
	c.Remember(key("What costs 5 euros?"), at(1), 1, answer("a"))
	look(c, key("5 euros cost what?"), at(.96))  // served
	look(c, key("what costs 6 euros?"), at(.98)) // refused
	look(c, key("far"), at(.3))                  // a miss
	look(c, key("What costs 5 euros?"), at(1))   // exact: no semantic look-up
	look(c, key("no vector"), nil)
	s := c.Stats().Nearest
	if s.Count != 3 || s.Sum < 2.23 || s.Sum > 2.25 || s.Buckets[.5] != 1 || s.Buckets[.95] != 1 || s.Buckets[.97] != 2 || s.Buckets[1] != 3 || len(s.Buckets) != len(similarityBounds) {
		t.Errorf("%+v", s)
	}
}
