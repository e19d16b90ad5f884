package cache

import (
	"context"
	"errors"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// state is what is committed: hashes of passages by knowledge base.
type state map[string]map[int64]string

func (s state) Evidence(_ context.Context, db string, ids []int64) (uint64, map[int64]string, error) {
	all, ok := s[db]
	switch {
	case db == "broken":
		return 0, nil, errors.New("the disk is gone")
	case !ok:
		return 0, nil, rag.Errorf(rag.NotFound, "", "no such knowledge base")
	}
	out := map[int64]string{}
	for _, id := range ids {
		if hash, there := all[id]; there {
			out[id] = hash
		}
	}
	return 1, out, nil
}

func TestLaw6AtTheStartWhatShowsLostPassagesLeaves(t *testing.T) {
	in := func(db, question string) rag.CacheKey {
		k := key(question)
		k.DB = db
		return k
	}
	for name, c := range map[string]struct {
		committed state
		entries   int
		gens      int
	}{
		"all there":             {state{"kb": {1: "h1", 2: "h2", 3: "h3"}, "other": {4: "h4"}}, 3, 4},
		"one gone":              {state{"kb": {1: "h1", 2: "h2"}, "other": {4: "h4"}}, 2, 3},
		"other words":           {state{"kb": {1: "h1", 2: "new", 3: "h3"}, "other": {4: "h4"}}, 2, 4},
		"a knowledge base gone": {state{"kb": {1: "h1", 2: "h2", 3: "h3"}}, 2, 3},
	} {
		answers, calls := New(config), NewCalls(callsConfig)
		answers.Remember(in("kb", "a"), nil, 1, showing("a", 1, 2))
		answers.Remember(in("kb", "b"), nil, 1, showing("b", 1, 3))
		answers.Remember(in("other", "c"), nil, 1, showing("c", 4))
		for _, call := range []rag.KeptCall{{Key: "a", DB: "kb", Passages: []int64{1, 2}}, {Key: "b", DB: "kb", Passages: []int64{3}}, {Key: "c", DB: "other", Passages: []int64{4}}, {Key: "passed on"}} {
			calls.Remember(call)
		}
		if err := errors.Join(answers.Recheck(t.Context(), c.committed), calls.Recheck(t.Context(), c.committed)); err != nil {
			t.Fatal(err)
		}
		if s := answers.Stats(); s.Size != c.entries || int(s.Changed) != 3-c.entries || calls.Stats().Size != c.gens {
			t.Errorf("%s: %+v, %+v", name, s, calls.Stats())
		}
	}
	answers, calls := New(config), NewCalls(callsConfig)
	answers.Remember(in("broken", "a"), nil, 1, showing("a", 1))
	calls.Remember(rag.KeptCall{Key: "a", DB: "broken", Passages: []int64{1}})
	if answers.Recheck(t.Context(), state{}) == nil || calls.Recheck(t.Context(), state{}) == nil || answers.Stats().Size != 1 || calls.Stats().Size != 1 {
		t.Error("a state that cannot be read took answers away, or was no error")
	}
}
