package rag

import (
	"slices"
	"testing"
	"time"
)

func TestLaw11AKeptAnswerMustBeAsNearAndAsFreshAsTheRequestSays(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Request)
		serves bool
	}{
		"no wish":            {func(*Request) {}, true},
		"as near":            {func(r *Request) { r.MinSimilarity = .97 }, true},
		"nearer":             {func(r *Request) { r.MinSimilarity = .98 }, false},
		"as fresh":           {func(r *Request) { r.MaxAge = time.Minute }, true},
		"fresher":            {func(r *Request) { r.MaxAge = time.Minute - 1 }, false},
		"both, one too much": {func(r *Request) { r.MinSimilarity, r.MaxAge = .5, time.Second }, false},
	} {
		w := newWorld()
		w.near = w.kept()
		w.near.Age = time.Minute // its similarity is .97
		req := request
		c.change(&req)
		_, a, _, err := w.run(t.Context(), req)
		if err != nil || (a.Cache.Status == CacheSemantic) != c.serves || slices.Contains(w.calls, "generate") == c.serves {
			t.Errorf("%s: %s, %v, %v", name, a.Cache.Status, w.calls, err)
		}
		req.OnlyIfCached = true
		w.calls = nil
		kinds, _, _, err := w.run(t.Context(), req)
		if (err == nil) != c.serves || !c.serves && (CodeOf(err) != CodeNotCached || KindOf(err) != Timeout || len(kinds) != 0) || slices.Contains(w.calls, "generate") {
			t.Errorf("%s, only if kept: %v, %v, %v", name, kinds, w.calls, err)
		}
	}
	r := Recalled{Similarity: 1 - 2e-6}
	if !(Request{MinSimilarity: 1}).takes(r) {
		t.Error("a rounding error kept the same vector from a threshold of 1")
	}
}
