package cache

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// drawer is a file in memory.
type drawer struct {
	mu   sync.Mutex
	kept map[string]rag.KeptAnswer
	err  error
}

func (d *drawer) KeptAnswers(context.Context) ([]rag.KeptAnswer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.kept), func(a, b rag.KeptAnswer) int { return int(a.Made - b.Made) }), d.err
}

func (d *drawer) KeepAnswers(_ context.Context, put []rag.KeptAnswer, remove []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range put {
		d.kept[k.ID] = k
	}
	for _, id := range remove {
		delete(d.kept, id)
	}
	return d.err
}

func reopened(t *testing.T, d *drawer, conf rag.CacheConfig) *Cache {
	t.Helper()
	c := New(conf)
	if err := c.Keep(t.Context(), d, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLaw12EntriesOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &drawer{kept: map[string]rag.KeptAnswer{}}
		c := reopened(t, d, config)
		c.Remember(key("a"), at(1), 5, showing("first", 1))
		time.Sleep(time.Minute)
		c.Remember(key("b"), nil, 5, showing("second", 2))
		c.Remember(key("gone"), nil, 5, showing("third", 3))
		if err := c.Apply(t.Context(), "kb", rag.Update{Change: 6, Remove: []int64{3}}); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if len(d.kept) != 2 {
			t.Fatalf("the file holds %v", d.kept)
		}
		c = reopened(t, d, config)
		r, ok := c.RecallExact(key("a"))
		if !ok || r.Answer.Text != "first" || r.Age != time.Minute || r.Change != 0 {
			t.Errorf("%+v, %t: an entry of another life is looked at before it is served", r, ok)
		}
		if _, how := look(c, key("near"), at(1)); how != "semantic" {
			t.Errorf("the vector is lost: %s", how)
		}
		_ = c.Apply(t.Context(), "kb", rag.Update{Change: 7, Remove: []int64{1}})
		c.Close()
		// Fewer places, and the time of what is left goes on.
		small := config
		small.Size = 1
		time.Sleep(config.TTL - time.Minute)
		c = reopened(t, d, small)
		if _, how := look(c, key("b"), nil); how != "exact" || c.Stats().Size != 1 {
			t.Errorf("%s, %+v", how, c.Stats())
		}
		time.Sleep(time.Minute + 1)
		if _, how := look(c, key("b"), nil); how != "miss" {
			t.Errorf("after its time: %s", how)
		}
		c.Close()
		if len(d.kept) != 0 {
			t.Errorf("the file holds %v", d.kept)
		}
	})
}

func TestLaw12WhatCannotBeReadOrWrittenCostsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &drawer{kept: map[string]rag.KeptAnswer{
			"torn":   {ID: "torn", Key: key("torn"), Answer: []byte(`{"Text":`)},
			"future": {ID: "future", Key: key("future"), Answer: []byte(`{}`), Made: time.Now().Add(time.Hour).UnixNano()},
		}}
		c := reopened(t, d, config)
		if s := c.Stats(); s.Size != 0 {
			t.Errorf("%+v", s)
		}
		synctest.Wait()
		if len(d.kept) != 0 {
			t.Errorf("the file holds %v", d.kept)
		}
		d.err = errors.New("full")
		c.Remember(key("a"), nil, 1, answer("a"))
		synctest.Wait()
		if _, how := look(c, key("a"), nil); how != "exact" {
			t.Errorf("%s", how)
		}
		c.Close()
		if err := New(config).Keep(t.Context(), d, slog.New(slog.DiscardHandler)); err == nil {
			t.Error("a file that cannot be read is no error")
		}
	})
}

// What an answer had cost is in its JSON, so that files from before eviction went by it say it too.
func TestLaw12WhatAnAnswerHadCostOutlivesARestart(t *testing.T) {
	d := &drawer{kept: map[string]rag.KeptAnswer{}}
	for id, data := range map[string]string{
		"cheap": `{"Text":"a","Timings":{"total":1}}`, "dear": `{"Text":"b","Timings":{"total":30},"Usage":{"load_seconds":5}}`, "unknown": `{"Text":"c"}`,
	} {
		d.kept[id] = rag.KeptAnswer{ID: id, Key: key(id), Made: time.Now().UnixNano(), Answer: []byte(data)}
	}
	c := reopened(t, d, config)
	defer c.Close()
	for id, want := range map[string]float64{"cheap": 1, "dear": 25, "unknown": 0} {
		if e := c.byID[id]; e == nil || e.cost != want {
			t.Errorf("%s: %+v", id, e)
		}
	}
}
