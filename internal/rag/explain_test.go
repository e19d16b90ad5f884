package rag

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func (c *choir) Nearest(CacheKey, []float32, int) ([]Recalled, float64) { return nil, .95 }

func (w *world) Nearest(CacheKey, []float32, int) ([]Recalled, float64) {
	w.called("nearest")
	return w.nearest, .95
}

func TestAnExplanationSaysWhatAskWouldDoAndWhy(t *testing.T) {
	far, gone := *newWorld().kept(), *newWorld().kept()
	far.Similarity, far.Question = .9, "far"
	gone.Similarity, gone.Question, gone.Answer.Hits = .96, "gone", []Hit{hit(9, "No longer there.")}
	guarded := *newWorld().kept()
	guarded.Guard = "numbers"
	exact, near := *newWorld().kept(), *newWorld().kept()
	exact.Similarity, exact.Question, exact.Age = 1, request.Question, time.Minute
	near.Question = "near"
	for name, c := range map[string]struct {
		kept    []Recalled
		change  func(*world, *Request)
		outcome CacheStatus
		refused []string
	}{
		"nothing kept":      {nil, nil, CacheMiss, nil},
		"off":               {[]Recalled{exact}, func(w *world, _ *Request) { w.off = true }, CacheBypass, nil},
		"the very same":     {[]Recalled{exact, far}, nil, CacheExact, []string{"", RefusedThreshold}},
		"another one":       {[]Recalled{near, gone, far}, nil, CacheSemantic, []string{"", string(StaleGone), RefusedThreshold}},
		"the nearest stale": {[]Recalled{gone, far}, nil, CacheMiss, []string{string(StaleGone), RefusedThreshold}},
		"told apart":        {[]Recalled{guarded}, nil, CacheMiss, []string{"numbers"}},
		"nearer wanted":     {[]Recalled{near}, func(_ *world, r *Request) { r.MinSimilarity = .98 }, CacheMiss, []string{RefusedThreshold}},
		"fresher wanted":    {[]Recalled{exact}, func(_ *world, r *Request) { r.MaxAge = time.Second }, CacheMiss, []string{RefusedAge}},
	} {
		w, req := newWorld(), request
		w.kept()
		w.nearest = c.kept
		if c.change != nil {
			c.change(w, &req)
		}
		x, err := w.engine().Explain(t.Context(), req)
		var refused []string
		for _, candidate := range x.Candidates {
			refused = append(refused, candidate.Refused)
		}
		if err != nil || x.Outcome != c.outcome || !slices.Equal(refused, c.refused) || x.On == w.off {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
		for _, call := range w.calls {
			if slices.Contains([]string{"exact", "near", "generate", "remember", "missed", "served exact", "served semantic"}, call) {
				t.Errorf("%s: an explanation must leave no trace: %v", name, w.calls)
			}
		}
	}
	w := newWorld()
	w.baseErr = Errorf(NotFound, "", "none")
	if _, err := w.engine().Explain(t.Context(), request); KindOf(err) != NotFound {
		t.Error(err)
	}
	w = newWorld()
	w.nearest, w.retrieveErr = []Recalled{near}, errors.New("broken")
	if _, err := w.engine().Explain(t.Context(), request); err == nil {
		t.Error("no error")
	}
}
