package cache

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/stat"
)

// promised is a cache that promises at most 2 % of error.
func promised(t *testing.T) (*Cache, *bytes.Buffer) {
	t.Helper()
	c := New(rag.CacheConfig{Enabled: true, Threshold: .9, Size: 10, TTL: time.Hour, ShadowRate: 1, MaxError: .02})
	var log bytes.Buffer
	c.Contract(nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
	return c, &log
}

var (
	said    = rag.Answer{Text: "The breaker opens after 5 failures [1].", Citations: []rag.Citation{{Passage: 1}}}
	another = rag.Answer{Text: "The breaker opens after 6 failures [1].", Citations: []rag.Citation{{Passage: 1}}}
)

func (c *Cache) compare(similarity float64, n int, fresh rag.Answer) {
	for range n {
		c.Compared(rag.Recalled{Similarity: similarity, Answer: said}, fresh)
	}
}

func TestLaw10NothingIsJudgedBelowFiftyComparisons(t *testing.T) {
	c, _ := promised(t)
	c.compare(.95, minSamples-1, another)
	if r := c.Stats().Contract; r.Tier != rag.TierOpen || r.Compared != 49 || r.Different != 49 || r.UpperBound != 1 {
		t.Errorf("%+v", r)
	}
	c.compare(.95, 1, another)
	if r := c.Stats().Contract; r.Tier != rag.TierClosed {
		t.Errorf("%+v", r)
	}
}

func TestLaw10TheTierTightensWhereThatKeepsThePromiseAndOpensAgain(t *testing.T) {
	c, log := promised(t)
	c.compare(.97, 100, said)
	if r := c.Stats().Contract; r.Tier != rag.TierOpen || r.UpperBound < .02 || r.Least != .9 {
		t.Errorf("a wide bound over no error: %+v", r)
	}
	c.compare(.91, 2, another)
	r := c.Stats().Contract
	if r.Tier != rag.TierTightened || r.Least <= .91 || r.Least > .9101 || c.withholds(.92) || !c.withholds(.905) {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(log.String(), "from=open to=tightened") || !strings.Contains(log.String(), "upper_bound=") {
		t.Errorf("log: %s", log)
	}
	c.compare(.99, 1, another)
	if r := c.Stats().Contract; r.Tier != rag.TierClosed || !c.withholds(1) {
		t.Errorf("%+v", r)
	}
	c.compare(.97, 500, said) // what the tier withheld agreed with the model
	if r := c.Stats().Contract; r.Tier != rag.TierOpen || r.UpperBound > .02 || c.withholds(.9) {
		t.Errorf("%+v", r)
	}
}

func TestLaw10ACacheThatWithholdsSaysSo(t *testing.T) {
	c, _ := promised(t)
	c.Remember(key("kept"), at(1), 1, said)
	if r, ok := c.RecallNear(key("asked"), at(1)); !ok || r.Withheld || !c.Served(r, rag.CacheSemantic, 1) {
		t.Errorf("%+v", r)
	}
	c.compare(1, minSamples, another)
	if r, ok := c.RecallNear(key("asked"), at(1)); !ok || !r.Withheld {
		t.Errorf("%+v", r)
	}
	if all, _ := c.Nearest(key("asked"), at(1), 1); len(all) != 1 || !all[0].Withheld {
		t.Errorf("%+v", all)
	}
	if r, ok := c.RecallExact(key("kept")); !ok || r.Withheld {
		t.Error("the contract is about near questions alone")
	}
	off := c.Config()
	off.ShadowRate = 0
	c.SetConfig(off)
	if r, ok := c.RecallNear(key("asked"), at(1)); !ok || r.Withheld || c.Served(r, rag.CacheSemantic, 1) {
		t.Errorf("switched off: %+v", r)
	}
}

func TestLaw10TheSampleIsAsLargeAsItWasSet(t *testing.T) {
	c, _ := promised(t)
	config := c.Config()
	config.ShadowRate = .02
	c.SetConfig(config)
	next, taken := 0, 0
	c.chance = func() float64 { next++; return float64(next-1) / 100 }
	for range 100 {
		if c.Served(rag.Recalled{}, rag.CacheSemantic, 1) {
			taken++
		}
		if c.Served(rag.Recalled{}, rag.CacheExact, 0) {
			t.Fatal("an exact hit was taken")
		}
	}
	if taken != 2 {
		t.Errorf("%d of 100", taken)
	}
}

// Whatever was compared: what is served keeps the promise, as far as that can be judged.
func TestLaw10WhatIsServedKeepsThePromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := contract{maxError: rapid.SampledFrom([]float64{.01, .02, .1, .3}).Draw(t, "promise")}
		const threshold = .9
		for _, s := range rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sample {
			return sample{float64(rapid.IntRange(85, 100).Draw(t, "similarity")) / 100, rapid.IntRange(0, 20).Draw(t, "same") > 0}
		}), 0, 1200).Draw(t, "samples") {
			c.add(s, threshold)
		}
		if len(c.samples) > sampleWindow {
			t.Fatalf("%d samples", len(c.samples))
		}
		all, _ := c.count(threshold)
		n, different := c.count(max(threshold, c.least))
		if c.least != closed && all >= minSamples && different > 0 && stat.UpperBound(different, n) > c.maxError {
			t.Fatalf("%d of %d differ from %v on", different, n, c.least)
		}
		if all < minSamples && c.least != 0 {
			t.Fatalf("judged by %d", all)
		}
	})
}

func TestLaw10ComparisonsOutliveARestart(t *testing.T) {
	var state []byte
	c, _ := promised(t)
	c.contract.keep = func(s []byte) { state = s }
	c.compare(.95, minSamples, another)
	again, _ := promised(t)
	again.Contract(state, nil, slog.New(slog.DiscardHandler))
	if r := again.Stats().Contract; r != c.Stats().Contract || r.Tier != rag.TierClosed {
		t.Errorf("%+v", r)
	}
	again.Contract([]byte("no JSON"), nil, slog.New(slog.DiscardHandler))
	if r := again.Stats().Contract; r.Compared != 0 || r.Tier != rag.TierOpen {
		t.Errorf("%+v", r)
	}
}

func TestRegeneratedAnswersAgreeByPassagesNumbersNamesAndNegation(t *testing.T) {
	answer := func(text string, passages ...int64) rag.Answer {
		a := rag.Answer{Text: text}
		for _, p := range passages {
			a.Citations = append(a.Citations, rag.Citation{Passage: p})
		}
		return a
	}
	base := answer("After 5 failures the breaker of Ollama opens [1][2].", 1, 2)
	for text, same := range map[string]bool{
		"The breaker of Ollama opens once five failures came [2, 1].":      true,
		"Five: after 5 failures in a row the breaker of Ollama opens [7].": true,
		"After 6 failures the breaker of Ollama opens [1][2].":             false,
		"After 5 failures the breaker of Olla opens [1][2].":               false,
		"After 5 failures the breaker of Ollama never opens [1][2].":       false,
	} {
		if got := sameAnswer(base, answer(text, 2, 1, 1)); got != same {
			t.Errorf("%q: %v", text, got)
		}
	}
	if sameAnswer(base, answer(base.Text, 1)) || sameAnswer(base, answer(base.Text, 1, 3)) {
		t.Error("other passages")
	}
}
