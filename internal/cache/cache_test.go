package cache

import (
	"context"
	"fmt"
	"maps"
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
	return rag.CacheKey{DB: "kb", Change: 1, Scope: "s", Question: question}
}

func answer(text string) rag.Answer { return rag.Answer{DB: "kb", Text: text} }

// at is the unit vector whose similarity to {1, 0} is given.
func at(similarity float64) []float32 {
	cosine := 1 - (1-similarity)/2.5
	return []float32{float32(cosine), float32(math.Sqrt(1 - cosine*cosine))}
}

// look is one whole look-up: exact, then near.
func look(c *Cache, k rag.CacheKey, vector []float32) (rag.Recalled, string) {
	if r, ok := c.RecallExact(k); ok {
		return r, "exact"
	}
	if r, ok := c.RecallNear(k, vector); ok {
		return r, "semantic"
	}
	return rag.Recalled{}, "miss"
}

func TestTheSameQuestionInTheSameScopeIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(config)
		c.Remember(key("q"), nil, answer("a"))
		time.Sleep(5 * time.Second)
		r, ok := c.RecallExact(key("q"))
		if !ok || r.Answer.Text != "a" || r.Similarity != 1 || r.Age != 5*time.Second || r.Question != "q" || r.EntryID == "" {
			t.Errorf("%+v, %t", r, ok)
		}
	})
}

func TestScopesNeverMix(t *testing.T) {
	c := New(config)
	c.Remember(key("q"), at(1), answer("a"))
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
		cache.Remember(key("stored"), at(1), answer("a"))
		r, how := look(cache, key("asked"), at(c.similarity))
		if how != c.want || how == "semantic" && (math.Abs(r.Similarity-c.similarity) > 1e-6 || r.Similarity > 1 || r.Question != "stored") {
			t.Errorf("threshold %g, similarity %g: %s, %+v", c.threshold, c.similarity, how, r)
		}
	}
	cache := New(config)
	cache.Remember(key("near"), at(.97), answer("near"))
	cache.Remember(key("nearest"), at(.99), answer("nearest"))
	cache.Remember(key("no vector"), nil, answer("no vector"))
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
		c.Remember(key("stored"), v, answer("a"))
		if r, how := look(c, key("asked"), v); how != "semantic" || r.Similarity > 1 {
			t.Fatalf("%s at %g", how, r.Similarity)
		}
	})
}

func TestAnEntryIsServedUntilItsTimeAndAHitDoesNotRenewIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(config)
		c.Remember(key("q"), at(1), answer("a"))
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
			c.Remember(key(q), nil, answer(q))
		}
		c.RecallExact(key("a"))
		c.Remember(key("d"), nil, answer("d"))
		if _, how := look(c, key("b"), nil); how != "miss" {
			t.Errorf("b: %s", how)
		}
		c.Remember(key("near"), at(1), answer("near")) // c goes
		look(c, key("x"), at(1))
		c.Remember(key("e"), nil, answer("e")) // a goes: a semantic hit is a use as well
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
		c.Remember(key("f"), nil, answer("f"))
		if s := c.Stats(); s.Size != 1 || s.Evicted != 3 || s.Expired != 3 {
			t.Errorf("what is too old goes before what is in use: %+v", s)
		}
	})
}

func TestAnAnswerTakesThePlaceOfTheOlderOneOfItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(config)
		c.Remember(key("q"), at(1), answer("old"))
		time.Sleep(time.Minute)
		c.Remember(key("q"), at(0), answer("new"))
		if r, _ := c.RecallExact(key("q")); r.Answer.Text != "new" || r.Age != 0 {
			t.Errorf("%+v", r)
		}
		if _, how := look(c, key("x"), at(1)); how != "miss" || c.Stats().Size != 1 {
			t.Error("the older one is still there:", how)
		}
	})
}

func TestAChangeEmptiesItsKnowledgeBaseAndRefusesAnswersFromBeforeIt(t *testing.T) {
	c := New(config)
	other := key("q")
	other.DB = "other"
	c.Remember(key("q"), at(1), answer("a"))
	c.Remember(other, at(1), answer("b"))
	if err := c.Apply(t.Context(), "kb", rag.Update{Change: 2}); err != nil {
		t.Fatal(err)
	}
	c.Remember(key("under way"), at(1), answer("stale")) // its question came at change 1
	for _, q := range []string{"q", "under way"} {
		if _, how := look(c, key(q), at(1)); how != "miss" {
			t.Errorf("%s: %s", q, how)
		}
	}
	if _, how := look(c, other, nil); how != "exact" {
		t.Errorf("the other knowledge base: %s", how)
	}
	now := key("q")
	now.Change = 2
	c.Remember(now, nil, answer("c"))
	if _, how := look(c, now, nil); how != "exact" {
		t.Errorf("an answer from after the change: %s", how)
	}
	if s := c.Stats(); s.Changed != 1 || s.Cleared != 0 || s.Size != 2 {
		t.Errorf("stats %+v", s)
	}
	// A deleted knowledge base starts again from change 0.
	c.Forget("kb")
	now.Change = 0
	c.Remember(now, nil, answer("d"))
	if _, how := look(c, now, nil); how != "exact" || c.Stats().Changed != 2 {
		t.Errorf("after its deletion: %s, %+v", how, c.Stats())
	}
}

func TestClearRemovesOneKnowledgeBaseOrAll(t *testing.T) {
	c := New(config)
	other := key("q")
	other.DB = "other"
	c.Remember(key("q"), nil, answer("a"))
	c.Remember(other, nil, answer("b"))
	if n := c.Clear("none"); n != 0 {
		t.Error(n)
	}
	if n := c.Clear("kb"); n != 1 || c.Stats().Size != 1 {
		t.Error(n, c.Stats())
	}
	c.Remember(key("q"), nil, answer("a"))
	if n := c.Clear(""); n != 2 || c.Stats().Size != 0 || c.Stats().Cleared != 3 {
		t.Error(n, c.Stats())
	}
	if len(c.scopes) != 0 {
		t.Errorf("scopes are left: %v", c.scopes)
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
	c.Remember(key("q"), vector, a)
	first, _ := c.RecallExact(key("q"))
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
	c.Remember(key("q"), at(1), answer("a"))
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
			c.Remember(key(q), at(1), answer(q))
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
		c.Remember(key("d"), nil, answer("d"))
		if s := c.Stats(); c.On() || s.Size != 0 || s.MaxSize != 2 || s.Enabled {
			t.Errorf("off: %+v", s)
		}
		next.Enabled = true
		c.SetConfig(next)
		c.Remember(key("d"), nil, answer("d"))
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
				k := rag.CacheKey{DB: fmt.Sprint(i % 2), Change: 1, Scope: fmt.Sprint(i % 3), Question: fmt.Sprint(i % 11)}
				if r, how := look(c, k, at(float64(i%7)/7)); how == "exact" && r.Answer.Text != fmt.Sprint(k) {
					t.Errorf("%v got %q", k, r.Answer.Text)
				}
				c.Remember(k, at(float64(i%7)/7), answer(fmt.Sprint(k)))
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

// Random histories against a model: nothing is served that was not remembered for this scope since its knowledge base's last
// change.
func TestNothingIsServedThatAChangeHasOvertaken(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := New(rag.CacheConfig{Enabled: true, Threshold: .95, Size: 4, TTL: time.Hour})
		live := map[rag.CacheKey]string{} // what may be served
		change := map[string]uint64{"a": 1, "b": 1}
		db, question := rapid.SampledFrom([]string{"a", "b"}), rapid.SampledFrom([]string{"p", "q", "r"})
		vector := func(q string) []float32 { return at(map[string]float64{"p": 1, "q": .99, "r": 0}[q]) }
		rt.Repeat(map[string]func(*rapid.T){
			"remember": func(rt *rapid.T) {
				d, q := db.Draw(rt, "db"), question.Draw(rt, "question")
				k := rag.CacheKey{DB: d, Change: change[d] - uint64(rapid.IntRange(0, 1).Draw(rt, "late")), Scope: "s" + d, Question: q}
				k.Scope += fmt.Sprint(k.Change)
				text := fmt.Sprint(d, q, rapid.Int().Draw(rt, "text"))
				c.Remember(k, vector(q), answer(text))
				if k.Change == change[d] {
					live[k] = text
				}
			},
			"change": func(rt *rapid.T) {
				d := db.Draw(rt, "db")
				change[d]++
				_ = c.Apply(t.Context(), d, rag.Update{Change: change[d]})
				maps.DeleteFunc(live, func(k rag.CacheKey, _ string) bool { return k.DB == d })
			},
			"look": func(rt *rapid.T) {
				d, q := db.Draw(rt, "db"), question.Draw(rt, "question")
				k := rag.CacheKey{DB: d, Change: change[d], Scope: "s" + d + fmt.Sprint(change[d]), Question: q}
				r, how := look(c, k, vector(q))
				if how == "exact" && r.Answer.Text != live[k] {
					rt.Fatalf("%v: served %q, kept %q", k, r.Answer.Text, live[k])
				}
				k.Question = r.Question
				if how == "semantic" && (r.Answer.Text != live[k] || live[k] == "" || q == "r" || r.Question == "r") {
					rt.Fatalf("%v: served %q for %q", k, r.Answer.Text, q)
				}
			},
			"": func(rt *rapid.T) {
				if s := c.Stats(); s.Size > 4 {
					rt.Fatalf("size %d", s.Size)
				}
			},
		})
	})
}
