package cache

import (
	"fmt"
	"testing"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

func TestNearestShowsAllOfTheScopeAndLeavesNoTrace(t *testing.T) {
	conf := config
	conf.Size = 4
	c := New(conf)
	now := time.Unix(1000, 0)
	c.now = func() time.Time { return now }
	old := key("old")
	c.Remember(old, at(1), 1, answer("old"))
	now = now.Add(conf.TTL + 1)
	c.Remember(key("same"), nil, 1, answer("same"))
	c.Remember(key("far"), at(.5), 2, answer("far"))
	c.Remember(key("near"), at(.99), 3, answer("near"))
	before := fmt.Sprint(c.Stats())
	names := func(kept []rag.Recalled) (s string) {
		for _, r := range kept {
			s += fmt.Sprintf("%s %.2f %d ", r.Question, r.Similarity, r.Change)
		}
		return s
	}
	for _, x := range []struct {
		question string
		vector   []float32
		n        int
		want     string
	}{
		{"same", at(1), 5, "same 1.00 1 near 0.99 3 far 0.50 2 "},
		{"same", nil, 5, "same 1.00 1 "},
		{"asked", at(1), 5, "near 0.99 3 far 0.50 2 "},
		{"asked", at(1), 1, "near 0.99 3 "},
		{"asked", []float32{1, 0, 0}, 5, ""},
	} {
		kept, threshold := c.Nearest(key(x.question), x.vector, x.n)
		if got := names(kept); got != x.want || threshold != conf.Threshold {
			t.Errorf("%s: %q, want %q; threshold %g", x.question, got, x.want, threshold)
		}
	}
	other := key("same")
	other.Scope += "x"
	if kept, _ := c.Nearest(other, at(1), 5); len(kept) > 0 {
		t.Error("another scope showed", names(kept))
	}
	if after := fmt.Sprint(c.Stats()); after != before {
		t.Errorf("the figures went from %s to %s", before, after)
	}
}

func TestOneEntryIsClearedByItsID(t *testing.T) {
	c := New(config)
	c.Remember(key("a"), at(1), 1, answer("a"))
	c.Remember(key("b"), at(.5), 1, answer("b"))
	a, _ := c.RecallExact(key("a"))
	if !c.ClearEntry(a.EntryID) || c.ClearEntry(a.EntryID) || c.ClearEntry("") {
		t.Error("it must be there once")
	}
	if _, ok := c.RecallExact(key("a")); ok {
		t.Error("it is still served")
	}
	if s := c.Stats(); s.Size != 1 || s.Cleared != 1 {
		t.Errorf("%+v", s)
	}
}

func TestNearestNamesTheGuardThatTellsAQuestionApart(t *testing.T) {
	c := New(config)
	c.Remember(key("What costs 5 euros?"), at(.99), 1, answer("five"))
	for asked, want := range map[string]string{"What costs 6 euros?": "numbers", "What costs 5 euros?": "", "5 euros cost what?": ""} {
		if kept, _ := c.Nearest(key(asked), at(1), 1); len(kept) != 1 || kept[0].Guard != want {
			t.Errorf("%s: %+v", asked, kept)
		}
	}
}
