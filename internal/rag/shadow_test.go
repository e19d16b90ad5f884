package rag

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// shadowed asks with a semantic answer at hand, lets shadows run to their end, and gives what was served.
func (w *world) shadowed(t *testing.T, spend func() bool) Answer {
	t.Helper()
	w.near, w.again = w.kept(), true
	var a Answer
	synctest.Test(t, func(t *testing.T) {
		w.shadows = NewShadows(spend)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		var err error
		if _, a, _, err = w.run(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(w.calls, "generate") {
			t.Error("the model was asked while somebody waited")
		}
		go func() { defer close(done); w.shadows.Run(ctx) }()
		synctest.Wait()
		stop()
		<-done
	})
	return a
}

func TestLaw10AServedAnswerIsMadeAgainOffThePathAndCompared(t *testing.T) {
	w := newWorld()
	if a := w.shadowed(t, func() bool { return true }); a.Cache.Status != CacheSemantic {
		t.Error(a.Cache)
	}
	if len(w.compared) != 1 || w.compared[0].Text != strings.Join(w.tokens, "") || len(w.compared[0].Citations) != 1 || len(w.remembered) != 0 {
		t.Errorf("%+v", w.compared)
	}
	if w.prompt.Class != ClassIngest || !w.prompt.NoRecall || !w.prompt.NoRemember || !strings.Contains(w.prompt.Messages[len(w.prompt.Messages)-1].Content, request.Question) {
		t.Errorf("asked %+v", w.prompt)
	}
}

// What chance decides differs by chance: it says nothing of the cache. Withheld answers to such questions are not compared either, so
// that a tier which those closed would never open.
func TestLaw10WhatChanceDecidesIsNotCompared(t *testing.T) {
	for _, withheld := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.near, w.again = w.kept(), true
			w.near.Withheld = withheld
			w.shadows = NewShadows(func() bool { return true })
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); w.shadows.Run(ctx) }()
			sampled := request
			sampled.Temperature = .7
			if _, _, _, err := w.run(t.Context(), sampled); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			stop()
			<-done
			if len(w.compared) != 0 {
				t.Errorf("withheld is %t: %+v", withheld, w.compared)
			}
		})
	}
}

func TestLaw10WithoutBudgetOrAWholeAnswerNothingIsCompared(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"no budget":   func(*world) {},
		"cut":         func(w *world) { w.done = nil },
		"too long":    func(w *world) { w.done = &Chunk{Done: true, DoneReason: "length"} },
		"no word":     func(w *world) { w.tokens = nil },
		"model fails": func(w *world) { w.generateErr = errors.New("broken") },
	} {
		w := newWorld()
		spoil(w)
		w.shadowed(t, func() bool { return name != "no budget" })
		if len(w.compared) != 0 {
			t.Errorf("%s: %+v", name, w.compared)
		}
		if asked := slices.Contains(w.calls, "generate"); asked == (name == "no budget") {
			t.Errorf("%s: asked %v", name, asked)
		}
	}
}

func TestLaw10MoreThanTheQueueHoldsIsLeftOutAndHoldsNobodyUp(t *testing.T) {
	w := newWorld()
	w.near, w.again, w.shadows = w.kept(), true, NewShadows(func() bool { return true })
	for range shadowQueue + 10 {
		if _, _, _, err := w.run(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.shadows.waiting) != shadowQueue {
		t.Error(len(w.shadows.waiting))
	}
}

func TestLaw10AWithheldAnswerIsComparedWithWhatTheModelSays(t *testing.T) {
	w := newWorld()
	w.near = w.kept()
	w.near.Withheld = true
	_, a, _, err := w.run(t.Context(), request)
	if err != nil || a.Cache.Status != CacheMiss || w.refused != StaleContract || len(w.compared) != 1 || w.compared[0].Text != a.Text {
		t.Error(w.calls, a.Cache, err)
	}
	w = newWorld() // nothing is learnt from passages that were quoted for want of a model
	w.near, w.generateErr = w.kept(), errors.New("broken")
	w.near.Withheld = true
	if _, a, _, err := w.run(t.Context(), request); err != nil || !a.Degraded || len(w.compared) != 0 {
		t.Error(a, err)
	}
}

// The order of law 13: exact, then verified semantic, then stale where it is allowed, then the passages.
func TestLaw13WithoutAModelTheCacheAnswersInOrder(t *testing.T) {
	down := Errorf(Unavailable, CodeCircuitOpen, "the circuit is open")
	stale := func(w *world, change func(*Recalled)) *Recalled {
		r := w.kept()
		r.Answer.Text, r.Age, r.Spare, r.EntryID = "old [1]", 2*time.Hour, true, "old"
		change(r)
		return r
	}
	expired := func(r *Recalled) { r.Expired = true }
	newer := func(w *world) {
		w.base.Change, w.committed, w.change, w.hits = 4, 4, 4, append(w.hits, hit(3, "It was new here."))
	}
	for name, c := range map[string]struct {
		set    func(*world)
		status CacheStatus
		text   string
	}{
		"exact":                       {func(w *world) { w.exact = w.kept() }, CacheExact, "kept [1]"},
		"semantic":                    {func(w *world) { w.near = w.kept() }, CacheSemantic, "kept [1]"},
		"expired, and a near one":     {func(w *world) { w.exact, w.near = stale(w, expired), w.kept() }, CacheSemantic, "kept [1]"},
		"expired":                     {func(w *world) { w.exact = stale(w, expired) }, CacheStale, "old [1]"},
		"exact with newer passages":   {func(w *world) { w.exact = stale(w, func(*Recalled) {}); newer(w) }, CacheStale, "old [1]"},
		"near with newer passages":    {func(w *world) { w.near = stale(w, func(*Recalled) {}); newer(w) }, CacheStale, "old [1]"},
		"newer passages, not allowed": {func(w *world) { w.exact = w.kept(); newer(w) }, CacheMiss, ""},
		"expired, a passage changed":  {func(w *world) { w.exact = stale(w, expired); w.hashes[2] = "other" }, CacheMiss, ""},
		"expired, a passage gone":     {func(w *world) { w.exact = stale(w, expired); delete(w.hashes, 1) }, CacheMiss, ""},
		"a near one of another sentence": {func(w *world) {
			w.near = stale(w, func(*Recalled) {})
			w.hits[1] = hit(2, "When does the breaker open?")
		}, CacheMiss, ""},
		"a near one that the tier forbids": {func(w *world) { w.near = stale(w, func(r *Recalled) { r.Withheld = true }) }, CacheMiss, ""},
		"newer passages, a near one of another sentence": {func(w *world) {
			w.near = stale(w, func(*Recalled) {})
			newer(w)
			w.hits[1] = hit(2, "When does the breaker open?")
		}, CacheMiss, ""},
		"newer passages, a near one of others": {func(w *world) {
			w.near = stale(w, func(*Recalled) {})
			newer(w)
			w.hits = w.hits[2:]
		}, CacheMiss, ""},
		"newer passages, a near one that the tier forbids": {func(w *world) {
			w.near = stale(w, func(r *Recalled) { r.Withheld = true })
			newer(w)
		}, CacheMiss, ""},
		"expired, and a near one with newer passages": {func(w *world) {
			w.exact, w.near = stale(w, expired), stale(w, func(r *Recalled) { r.Answer.Text = "of another question [1]" })
			newer(w)
		}, CacheStale, "old [1]"},
		"nothing": {func(*world) {}, CacheMiss, ""},
	} {
		for where, fail := range map[string]func(*world){"known to be down": func(w *world) { w.modelErr = down }, "found to be down": func(w *world) { w.generateErr = down }} {
			w := newWorld()
			c.set(w)
			fail(w)
			kinds, a, text, err := w.run(t.Context(), request)
			if err != nil || a.Cache.Status != c.status || text != a.Text || len(a.Citations) == 0 || c.text != "" && a.Text != c.text {
				t.Errorf("%s, %s: %s %q %v", name, where, a.Cache.Status, a.Text, err)
			}
			if served := c.status == CacheExact || c.status == CacheSemantic; a.Degraded == served || !served && a.DegradedReason != ReasonCircuitOpen {
				t.Errorf("%s, %s: degraded %v %q", name, where, a.Degraded, a.DegradedReason)
			}
			if kinds[0] != EventContexts || slices.Contains(kinds[1:], EventContexts) {
				t.Errorf("%s, %s: %v", name, where, kinds)
			}
			if c.status == CacheStale && (a.Cache.EntryID != "old" || a.Cache.Age != 7200 || !strings.Contains(a.Notice, "2h0m0s ago") || len(a.Hits) != 2) {
				t.Errorf("%s, %s: %+v %q", name, where, a.Cache, a.Notice)
			}
			if len(w.remembered) != 0 {
				t.Errorf("%s, %s: a degraded answer was kept", name, where)
			}
		}
	}
}

func TestAStaleAnswerIsNoneWhereAModelAnswers(t *testing.T) {
	w := newWorld()
	w.exact = w.kept()
	w.exact.Expired, w.exact.Spare = true, true
	if _, a, _, err := w.run(t.Context(), request); err != nil || a.Cache.Status != CacheMiss || a.Degraded || a.Text != strings.Join(w.tokens, "") {
		t.Error(a, err)
	}
}
