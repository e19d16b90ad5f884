package cache

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

var config = rag.CacheConfig{Enabled: true, Threshold: .95, Size: 3, TTL: time.Hour}

func key(question string) rag.CacheKey {
	return rag.CacheKey{DB: "kb", Scope: "s", Question: question}
}

func answer(text string) rag.Answer { return rag.Answer{DB: "kb", Text: text} }

// at is the unit vector whose similarity to {1, 0} is given.
func at(similarity float64) []float32 {
	cosine := 1 - (1-similarity)/2.5
	return []float32{float32(cosine), float32(math.Sqrt(1 - cosine*cosine))}
}

// look is one whole look-up, exact, then near, whose evidence holds.
func look(c *Cache, k rag.CacheKey, vector []float32) (rag.Recalled, string) {
	if r, ok := c.RecallExact(k); ok {
		c.Served(r, rag.CacheExact, r.Change)
		return r, "exact"
	}
	if r, ok := c.RecallNear(k, vector); ok {
		c.Served(r, rag.CacheSemantic, r.Change)
		return r, "semantic"
	}
	c.Missed(nil, "")
	return rag.Recalled{}, "miss"
}

func TestTheSameQuestionInTheSameScopeIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(config)
		c.Remember(key("q"), nil, 1, answer("a"))
		time.Sleep(5 * time.Second)
		r, ok := c.RecallExact(key("q"))
		if !ok || r.Answer.Text != "a" || r.Similarity != 1 || r.Age != 5*time.Second || r.Question != "q" || r.EntryID == "" {
			t.Errorf("%+v, %t", r, ok)
		}
	})
}

func TestScopesNeverMix(t *testing.T) {
	c := New(config)
	c.Remember(key("q"), at(1), 1, answer("a"))
	for field := range reflect.TypeFor[rag.CacheKey]().NumField() {
		k := key("q")
		switch v := reflect.ValueOf(&k).Elem().Field(field); v.Kind() {
		case reflect.String:
			v.SetString("other")
		case reflect.Uint64:
			v.SetUint(2)
		}
		name := reflect.TypeFor[rag.CacheKey]().Field(field).Name
		want := "miss"
		if name == "Question" {
			want = "semantic" // that is what the tier is for
		}
		if _, how := look(c, k, at(1)); how != want {
			t.Errorf("another %s: %s, want %s", name, how, want)
		}
	}
}

func TestTheNearestQuestionIsServedFromTheThresholdOn(t *testing.T) {
	for _, c := range []struct {
		threshold, similarity float64
		want                  string
	}{
		{.95, .95, "semantic"}, {.95, .9501, "semantic"}, {.95, .9499, "miss"}, {1, 1, "semantic"}, {1, .9999, "miss"}, {.5, .5, "semantic"}, {.9, 0, "miss"},
	} {
		conf := config
		conf.Threshold = c.threshold
		cache := New(conf)
		cache.Remember(key("stored"), at(1), 1, answer("a"))
		r, how := look(cache, key("asked"), at(c.similarity))
		if how != c.want || how == "semantic" && (math.Abs(r.Similarity-c.similarity) > 1e-6 || r.Similarity > 1 || r.Question != "stored") {
			t.Errorf("threshold %g, similarity %g: %s, %+v", c.threshold, c.similarity, how, r)
		}
	}
	cache := New(config)
	cache.Remember(key("near"), at(.97), 1, answer("near"))
	cache.Remember(key("nearest"), at(.99), 1, answer("nearest"))
	cache.Remember(key("no vector"), nil, 1, answer("no vector"))
	if r, _ := look(cache, key("asked"), at(1)); r.Answer.Text != "nearest" {
		t.Errorf("served %+v", r)
	}
	for name, vector := range map[string][]float32{"none": nil, "empty": {}, "of another length": {1, 0, 0}, "broken": {float32(math.NaN()), 0}} {
		if _, how := look(cache, key("asked"), vector); how != "miss" {
			t.Errorf("a vector that is %s: %s", name, how)
		}
	}
}

// Every unit vector reaches every threshold with itself: rounding is nobody's fault.
func TestAQuestionIsAlwaysNearToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float32Range(-1, 1), 384, 384).Draw(t, "vector")
		sum := 0.0
		for _, x := range v {
			sum += float64(x) * float64(x)
		}
		if sum < .01 {
			return
		}
		for i := range v {
			v[i] = float32(float64(v[i]) / math.Sqrt(sum))
		}
		conf := config
		conf.Threshold = 1
		c := New(conf)
		c.Remember(key("stored"), v, 1, answer("a"))
		if r, how := look(c, key("asked"), v); how != "semantic" || r.Similarity > 1 {
			t.Fatalf("%s at %g", how, r.Similarity)
		}
	})
}

func TestAnEntryIsServedUntilItsTimeAndAHitDoesNotRenewIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(config)
		c.Remember(key("q"), at(1), 1, answer("a"))
		time.Sleep(config.TTL)
		if _, how := look(c, key("q"), nil); how != "exact" {
			t.Errorf("exactly at its time: %s", how)
		}
		if _, how := look(c, key("other"), at(1)); how != "semantic" {
			t.Errorf("exactly at its time: %s", how)
		}
		time.Sleep(time.Nanosecond)
		if s := c.Stats(); s.Size != 0 {
			t.Errorf("size %d counts what cannot be served", s.Size)
		}
		if _, how := look(c, key("other"), at(1)); how != "miss" {
			t.Errorf("after its time: %s", how)
		}
		if _, how := look(c, key("q"), at(1)); how != "miss" {
			t.Errorf("after its time: %s", how)
		}
		if s := c.Stats(); s.Expired != 1 || s.Evicted != 0 || s.FillRatio() != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestTheLeastRecentlyUsedGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(config)
		for _, q := range []string{"a", "b", "c"} {
			c.Remember(key(q), nil, 1, answer(q))
		}
		c.RecallExact(key("a"))
		c.Remember(key("d"), nil, 1, answer("d"))
		if _, how := look(c, key("b"), nil); how != "miss" {
			t.Errorf("b: %s", how)
		}
		c.Remember(key("near"), at(1), 1, answer("near")) // c goes
		look(c, key("x"), at(1))
		c.Remember(key("e"), nil, 1, answer("e")) // a goes: a semantic hit is a use as well
		var left []string
		for _, q := range []string{"a", "b", "c", "d", "near", "e"} {
			if _, ok := c.RecallExact(key(q)); ok {
				left = append(left, q)
			}
		}
		if !slices.Equal(left, []string{"d", "near", "e"}) {
			t.Errorf("left %v", left)
		}
		if s := c.Stats(); s.Size != 3 || s.MaxSize != 3 || s.FillRatio() != 1 || s.Evicted != 3 {
			t.Errorf("stats %+v", s)
		}
		time.Sleep(config.TTL + 1)
		c.Remember(key("f"), nil, 1, answer("f"))
		if s := c.Stats(); s.Size != 1 || s.Evicted != 3 || s.Expired != 3 {
			t.Errorf("what is too old goes before what is in use: %+v", s)
		}
	})
}

func TestAnAnswerTakesThePlaceOfTheOlderOneOfItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(config)
		c.Remember(key("q"), at(1), 1, answer("old"))
		time.Sleep(time.Minute)
		c.Remember(key("q"), at(0), 1, answer("new"))
		if r, _ := c.RecallExact(key("q")); r.Answer.Text != "new" || r.Age != 0 {
			t.Errorf("%+v", r)
		}
		if _, how := look(c, key("x"), at(1)); how != "miss" || c.Stats().Size != 1 {
			t.Error("the older one is still there:", how)
		}
	})
}

func showing(text string, passages ...int64) rag.Answer {
	a := answer(text)
	for _, id := range passages {
		a.Hits = append(a.Hits, rag.Hit{Passage: rag.Passage{ID: id, Hash: fmt.Sprint("h", id)}})
	}
	return a
}

// What a change removed leaves memory; law 6's own test is with the real store.
func TestLaw6AnswersThatShowARemovedPassageLeave(t *testing.T) {
	c := New(config)
	other := key("one")
	other.DB = "other"
	c.Remember(key("one"), nil, 1, showing("a", 1, 2))
	c.Remember(key("two"), nil, 1, showing("b", 3))
	c.Remember(other, nil, 1, showing("c", 1))
	entry := func(id int64, hash string) rag.Entry { return rag.Entry{Passage: rag.Passage{ID: id, Hash: hash}} }
	steps := []struct {
		name string
		u    rag.Update
		left int
	}{
		{"a new document", rag.Update{Change: 2, Add: []rag.Entry{entry(9, "h9")}}, 3},
		{"a vector for a passage", rag.Update{Change: 3, Remove: []int64{3}, Add: []rag.Entry{entry(3, "h3")}}, 3},
		{"other words under the same id", rag.Update{Change: 4, Remove: []int64{3}, Add: []rag.Entry{entry(3, "other")}}, 2},
		{"a deletion", rag.Update{Change: 5, Remove: []int64{2}}, 1},
	}
	for _, step := range steps {
		if err := c.Apply(t.Context(), "kb", step.u); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Size != step.left || int(s.Changed) != 3-step.left {
			t.Errorf("%s: %+v", step.name, s)
		}
	}
	if _, how := look(c, other, nil); how != "exact" {
		t.Errorf("the other knowledge base: %s", how)
	}
	c.Remember(key("under way"), nil, 4, answer("stale")) // it may show what change 5 removed
	if _, how := look(c, key("under way"), nil); how != "miss" {
		t.Errorf("an answer from before the change: %s", how)
	}
	c.Remember(key("now"), nil, 5, answer("d"))
	if _, how := look(c, key("now"), nil); how != "exact" {
		t.Errorf("an answer from after the change: %s", how)
	}
	// A deleted knowledge base leaves nothing, not by a question under way either. Another one of its name counts from the start.
	c.Forget("kb")
	if c.Remember(key("under way"), nil, 5, showing("e", 2)) || c.Stats().Size != 1 {
		t.Error("an answer from a deleted knowledge base was kept")
	}
	if err := c.Apply(t.Context(), "kb", rag.Update{Change: 1, Add: []rag.Entry{entry(10, "h10")}}); err != nil {
		t.Fatal(err)
	}
	c.Remember(key("now"), nil, 1, answer("d"))
	if _, how := look(c, key("now"), nil); how != "exact" {
		t.Errorf("in a new one of the name: %s", how)
	}
}

func TestLaw6AnEntryKeepsForWhichChangeItsEvidenceHeld(t *testing.T) {
	c := New(config)
	c.Remember(key("q"), at(1), 1, showing("a", 1))
	recall := func() uint64 {
		r, _ := c.RecallExact(key("q"))
		return r.Change
	}
	r, ok := c.RecallNear(key("near"), at(1))
	if !ok || r.Change != 1 {
		t.Fatalf("%+v", r)
	}
	c.Served(r, rag.CacheSemantic, 7)
	if got := recall(); got != 1 {
		t.Errorf("what held for another question says nothing of this one: %d", got)
	}
	c.Served(r, rag.CacheExact, 7)
	c.Served(r, rag.CacheExact, 5) // a slower one
	if got := recall(); got != 7 {
		t.Errorf("held at change %d", got)
	}
	c.Missed(&r, rag.StaleRanking)
	if got := recall(); got != 7 {
		t.Error("another ranking took the entry away")
	}
	c.Missed(&r, rag.StaleGone)
	if _, ok := c.RecallExact(key("q")); ok {
		t.Error("an entry whose passage is gone is still there")
	}
	if s := c.Stats(); s.Stale[rag.StaleRanking] != 1 || s.Stale[rag.StaleGone] != 1 || s.Misses != 2 || s.Exact != 2 || s.Semantic != 1 || s.Changed != 1 || len(s.Stale) != len(rag.StaleReasons()) {
		t.Errorf("stats %+v", s)
	}
}

func TestClearRemovesOneKnowledgeBaseOrAll(t *testing.T) {
	c := New(config)
	other := key("q")
	other.DB = "other"
	c.Remember(key("q"), nil, 1, answer("a"))
	c.Remember(other, nil, 1, answer("b"))
	if n := c.Clear("none"); n != 0 {
		t.Error(n)
	}
	if n := c.Clear("kb"); n != 1 || c.Stats().Size != 1 {
		t.Error(n, c.Stats())
	}
	c.Remember(key("q"), nil, 1, answer("a"))
	if n := c.Clear(""); n != 2 || c.Stats().Size != 0 || c.Stats().Cleared != 3 {
		t.Error(n, c.Stats())
	}
	if len(c.shelves) != 0 || len(c.worth) != 0 || c.made.Len() != 0 || c.bytes != 0 {
		t.Errorf("left: %v, %v, %d bytes", c.shelves, c.worth, c.bytes)
	}
}

func TestWhatIsServedIsACopyOfWhatWasKept(t *testing.T) {
	c := New(config)
	score, vector := 0.0, at(1)
	a := rag.Answer{
		DB: "kb", Text: "text", Hits: []rag.Hit{{Passage: rag.Passage{ID: 1, Hash: "h", Text: "p"}, BM25: &score}}, Method: rag.Hybrid, Model: "m",
		Citations: []rag.Citation{{N: 1, Quote: "p", Hash: "h", Verdict: rag.Supported}}, Dropped: []rag.Dropped{{N: 2, Reason: "context_window"}},
		Usage: rag.Usage{InputTokens: 3}, DoneReason: "stop",
	}
	c.Remember(key("q"), vector, 1, a)
	first, _ := c.RecallExact(key("q"))
	first.Answer.Form = nil
	if !reflect.DeepEqual(first.Answer, a) {
		t.Errorf("served\n%+v, kept\n%+v", first.Answer, a)
	}
	a.Hits[0].Passage.Text, a.Citations[0].Quote, vector[0] = "changed", "changed", 0
	first.Answer.Hits[0].Passage.Text, first.Answer.Citations[0].Quote, *first.Answer.Hits[0].BM25 = "changed", "changed", 9
	again, how := look(c, key("other"), at(1))
	if how != "semantic" || again.Answer.Hits[0].Passage.Text != "p" || again.Answer.Citations[0].Quote != "p" || *again.Answer.Hits[0].BM25 != 0 {
		t.Errorf("%s: %+v", how, again.Answer)
	}
}

func TestALookUpIsCountedOnce(t *testing.T) {
	c := New(config)
	c.Remember(key("q"), at(1), 1, answer("a"))
	for range 10 {
		look(c, key("q"), at(1))
	}
	for range 5 {
		look(c, key("near"), at(.99))
	}
	for range 5 {
		look(c, key("far"), at(0))
	}
	if s := c.Stats(); s.Exact != 10 || s.Semantic != 5 || s.Misses != 5 || s.HitRate() != .75 {
		t.Errorf("stats %+v", s)
	}
}

func TestNewBoundsTakeEffectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(config)
		for _, q := range []string{"a", "b", "c"} {
			c.Remember(key(q), at(1), 1, answer(q))
			time.Sleep(time.Minute)
		}
		next := rag.CacheConfig{Enabled: true, Threshold: .5, Size: 2, TTL: time.Hour}
		c.SetConfig(next)
		if s := c.Stats(); s.Size != 2 || s.MaxSize != 2 || s.Evicted != 1 || c.Config() != next {
			t.Errorf("smaller: %+v", s)
		}
		if _, how := look(c, key("x"), at(.6)); how != "semantic" {
			t.Errorf("lower threshold: %s", how)
		}
		next.TTL = 90 * time.Second
		c.SetConfig(next)
		if s := c.Stats(); s.Size != 1 || s.Expired != 1 || s.TTL != next.TTL {
			t.Errorf("shorter: %+v", s)
		}
		next.Enabled = false
		c.SetConfig(next)
		c.Remember(key("d"), nil, 1, answer("d"))
		if s := c.Stats(); c.On() || s.Size != 0 || s.MaxSize != 2 || s.Enabled {
			t.Errorf("off: %+v", s)
		}
		next.Enabled = true
		c.SetConfig(next)
		c.Remember(key("d"), nil, 1, answer("d"))
		if _, how := look(c, key("d"), nil); how != "exact" || !c.On() {
			t.Errorf("on again: %s", how)
		}
	})
}

func TestManyAtOnceKeepTheBoundsAndTheSums(t *testing.T) {
	c := New(rag.CacheConfig{Enabled: true, Threshold: .99, Size: 8, TTL: time.Hour})
	var wg sync.WaitGroup
	const workers, rounds = 8, 200
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				k := rag.CacheKey{DB: fmt.Sprint(i % 2), Scope: fmt.Sprint(i % 3), Question: fmt.Sprint(i % 11)}
				if r, how := look(c, k, at(float64(i%7)/7)); how == "exact" && r.Answer.Text != fmt.Sprint(k) {
					t.Errorf("%v got %q", k, r.Answer.Text)
				}
				c.Remember(k, at(float64(i%7)/7), 1, answer(fmt.Sprint(k)))
				switch (i + w) % 20 {
				case 0:
					_ = c.Apply(context.Background(), "0", rag.Update{Change: 1})
				case 1:
					c.Clear("1")
				case 2:
					c.SetConfig(rag.CacheConfig{Enabled: true, Threshold: .99, Size: 4 + i%4, TTL: time.Hour})
				}
				if s := c.Stats(); s.Size > 8 {
					t.Errorf("size %d", s.Size)
				}
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Exact+s.Semantic+s.Misses != workers*rounds {
		t.Errorf("%d look-ups were counted as %+v", workers*rounds, s)
	}
}
