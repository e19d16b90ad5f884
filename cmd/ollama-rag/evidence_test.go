package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ollama-rag/ollama-rag/internal/cache"
	"github.com/ollama-rag/ollama-rag/internal/ollamatest"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/search"
	"github.com/ollama-rag/ollama-rag/internal/store"
)

// shelf is a real store, index, cache and engine; the embedder and the model are simple enough to be foreseen.
type shelf struct {
	store   *store.Store
	indexes *search.Indexes
	cache   *cache.Cache
	engine  *rag.Engine
	waiting []rag.Update // committed, and not yet told to index and cache
}

// words are what questions and passages are made of.
var shelfWords = []string{"breaker", "queue", "rent", "cat"}

func newShelf(t testing.TB) *shelf {
	t.Helper()
	st, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	s := &shelf{store: st}
	s.engine = &rag.Engine{
		Bases: st, Embedders: s, Models: s, Generator: s, Evidence: st, CacheEmbedder: s, Limits: rag.Limits{NumCtx: 4096, MaxTokens: 100}, Normalise: normalise,
	}
	return s
}

// open begins with an empty knowledge base.
func (s *shelf) open(ctx context.Context) error {
	if s.indexes != nil {
		_ = s.indexes.Close()
		if err := s.store.DeleteBase(ctx, "kb"); err != nil {
			return err
		}
	}
	s.waiting = nil
	s.indexes = search.New(s.store, "")
	s.cache = cache.New(rag.CacheConfig{Enabled: true, Threshold: .5, Size: 8, TTL: time.Hour})
	s.engine.Retriever, s.engine.Cache = s.indexes, s.cache
	return s.store.CreateBase(ctx, "kb")
}

func (s *shelf) EmbedderFor(context.Context, string) (rag.Embedder, rag.EmbedderID, error) {
	return s, rag.EmbedderID{Name: "e", Dimension: 2}, nil
}

// Embed finds all questions near each other, so that nothing but evidence tells them apart.
func (s *shelf) Embed(_ context.Context, _ rag.Purpose, texts []string) ([][]float32, error) {
	return slices.Repeat([][]float32{{1, 0}}, len(texts)), nil
}

func (s *shelf) ChatModel(context.Context, string) (rag.Model, error) {
	return rag.Model{Name: "m"}, nil
}

// Generate answers with the first line of the first passage.
func (s *shelf) Generate(_ context.Context, p rag.Prompt) iter.Seq2[rag.Chunk, error] {
	return func(yield func(rag.Chunk, error) bool) {
		text := "It says so in the first passage [1]."
		_ = yield(rag.Chunk{Text: text}, nil) && yield(rag.Chunk{Done: true, DoneReason: "stop"}, nil)
	}
}

func (s *shelf) follow(ctx context.Context, n int) {
	for _, u := range s.waiting[:n] {
		_ = s.indexes.Apply(ctx, "kb", u)
		_ = s.cache.Apply(ctx, "kb", u)
	}
	s.waiting = s.waiting[n:]
}

func (s *shelf) put(ctx context.Context, source string, texts []string) error {
	n := rag.NewDocument{Document: rag.Document{Source: source, MediaType: "text/plain", Text: strings.Join(texts, "")}}
	at := 0
	for i, text := range texts {
		n.Passages = append(n.Passages, rag.Passage{Chunk: i, Span: rag.Span{Start: at, End: at + len(text)}, Language: "en", Hash: "h" + text, Text: text})
		at += len(text)
	}
	u, err := s.store.Put(ctx, "kb", n)
	s.waiting = append(s.waiting, u)
	return err
}

// ask gives the answer and, for one from the cache, what it shows that the committed state does not hold.
func (s *shelf) ask(ctx context.Context, question string) (a rag.Answer, lost []int64, err error) {
	for ev, err := range s.engine.Ask(ctx, rag.Request{DB: "kb", Question: question, Method: rag.BM25, K: 2}) {
		if err != nil {
			return a, nil, err
		}
		if ev.Kind == rag.EventDone {
			a = *ev.Answer
		}
	}
	if a.Cache.Status != rag.CacheExact && a.Cache.Status != rag.CacheSemantic {
		return a, nil, nil
	}
	want := map[int64]string{}
	for _, h := range a.Hits {
		want[h.Passage.ID] = h.Passage.Text
	}
	for _, c := range a.Citations {
		if _, shown := want[c.Passage]; !shown {
			lost = append(lost, c.Passage)
		}
	}
	for id, text := range want {
		there, err := s.store.Passages(ctx, "kb", []int64{id})
		if err != nil {
			return a, nil, err
		}
		if len(there) != 1 || there[0].Text != text {
			lost = append(lost, id)
		}
	}
	return a, lost, nil
}

// Law 6, over random sequences with the real store: whatever is served from the cache, its passages are in the committed state,
// word for word, even while index and cache have not heard of a change; and the very same question is served only what it would
// be shown now.
func TestLaw6NothingIsServedWhoseCitationNoLongerHolds(t *testing.T) {
	s := newShelf(t)
	ctx := t.Context()
	statuses := map[rag.CacheStatus]int{}
	check := func(t interface {
		Helper()
		Fatal(...any)
	}, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		check(rt, s.open(ctx))
		source, word := rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom(shelfWords)
		text := rapid.Custom(func(rt *rapid.T) string {
			return fmt.Sprintf("The %s and the %s number %d.\n", word.Draw(rt, "w1"), word.Draw(rt, "w2"), rapid.IntRange(1, 3).Draw(rt, "n"))
		})
		rt.Repeat(map[string]func(*rapid.T){
			"ingest or change": func(rt *rapid.T) {
				check(rt, s.put(ctx, source.Draw(rt, "source"), rapid.SliceOfN(text, 1, 3).Draw(rt, "texts")))
			},
			"delete": func(rt *rapid.T) {
				there, u, err := s.store.Delete(ctx, "kb", []string{source.Draw(rt, "source")})
				check(rt, err)
				if len(there) > 0 {
					s.waiting = append(s.waiting, u)
				}
			},
			"index and cache follow": func(rt *rapid.T) {
				s.follow(ctx, rapid.IntRange(0, len(s.waiting)).Draw(rt, "how many"))
			},
			"ask": func(rt *rapid.T) {
				a, lost, err := s.ask(ctx, rapid.SampledFrom([]string{"What of the ", "Where is the "}).Draw(rt, "asked")+word.Draw(rt, "w")+"?")
				check(rt, err)
				statuses[a.Cache.Status]++
				if len(lost) > 0 {
					rt.Fatalf("%s: served passages %v that are not there", a.Cache.Status, lost)
				}
			},
			"ask twice": func(rt *rapid.T) {
				s.follow(ctx, len(s.waiting))
				question := "Where is the " + word.Draw(rt, "w") + "?"
				_, _, err := s.ask(ctx, question)
				check(rt, err)
				a, _, err := s.ask(ctx, question)
				check(rt, err)
				statuses[a.Cache.Status]++
				if a.Cache.Status != rag.CacheExact {
					return
				}
				found, err := s.indexes.Retrieve(ctx, rag.Query{DB: "kb", Text: question, Method: rag.BM25, K: 2})
				check(rt, err)
				if ids(found.Hits) != ids(a.Hits) {
					rt.Fatalf("served what was made from %s, and %s is found now", ids(a.Hits), ids(found.Hits))
				}
			},
		})
	})
	for _, status := range []rag.CacheStatus{rag.CacheMiss, rag.CacheExact, rag.CacheSemantic} {
		if statuses[status] < 20 {
			t.Errorf("the sequences had only %d answers by %s: they check nothing", statuses[status], status)
		}
	}
}

// ids are the passages as a set.
func ids(hits []rag.Hit) string {
	var list []int64
	for _, h := range hits {
		list = append(list, h.Passage.ID)
	}
	slices.Sort(list)
	return fmt.Sprint(list)
}

func TestLaw6ADeletedPassageIsGoneBeforeAnybodyWasTold(t *testing.T) {
	s := newShelf(t)
	ctx := t.Context()
	if err := s.open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.put(ctx, "a", []string{"The breaker opens after five failures.\n"}); err != nil {
		t.Fatal(err)
	}
	s.follow(ctx, 1)
	ask := func(want rag.CacheStatus) {
		t.Helper()
		a, _, err := s.ask(ctx, "When does the breaker open?")
		if err != nil || a.Cache.Status != want {
			t.Fatalf("%s, %v; want %s", a.Cache.Status, err, want)
		}
	}
	ask(rag.CacheMiss)
	ask(rag.CacheExact)
	if err := s.put(ctx, "b", []string{"The cat sleeps.\n"}); err != nil {
		t.Fatal(err)
	}
	s.follow(ctx, 1)
	ask(rag.CacheExact) // what came changes nothing for this question
	if _, _, err := s.store.Delete(ctx, "kb", []string{"a"}); err != nil {
		t.Fatal(err)
	}
	ask(rag.CacheMiss) // neither index nor cache has heard of it
	if n := s.cache.Stats().Stale[rag.StaleGone]; n != 1 {
		t.Errorf("%v", s.cache.Stats())
	}
}

// A process that is killed between a deletion and what the caches write of it, or documents that come from a backup: what the caches'
// file still shows of passages that are not there any more leaves it at the next start, not when its time is up.
func TestLaw6WhatWentWhileNoCacheWasToldLeavesTheirFileAtTheStart(t *testing.T) {
	stub, dir := ollamatest.New(t), t.TempDir()
	stub.SetText("It says so [1].")
	h := openAt(t, dir, stub.URL)
	h.withDocs()
	h.send("POST", "/api/dbs/create", `{"name":"other"}`)
	h.upload("other", "breaker.md", breakerText)
	words := map[string]any{"method": "bm25"}
	h.ask("When is the rent due?", words)
	h.ask("How many failures open the breaker?", words)
	h.ask("How many failures open the breaker?", map[string]any{"method": "bm25", "db": "other"})
	if a, c := h.cache.Stats().Size, h.calls.Stats().Size; a != 3 || c < 2 {
		t.Fatalf("%d answers, %d generations", a, c)
	}
	h.closeNow()
	st, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.Delete(t.Context(), "default", []string{"breaker.md"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(st.DeleteBase(t.Context(), "other"), st.Close()); err != nil {
		t.Fatal(err)
	}
	h = openAt(t, dir, stub.URL)
	if s, c := h.cache.Stats(), h.calls.Stats().Size; s.Size != 1 || s.Changed != 2 || c != 1 {
		t.Errorf("%+v, %d generations", s, c)
	}
	h.closeNow()
	file, err := os.ReadFile(filepath.Join(dir, "answers.db"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file, []byte("How many failures")) || !bytes.Contains(file, []byte("When is the rent due")) {
		t.Error("the file holds an answer from what was deleted, or not the one from what is there")
	}
	if how := openAt(t, dir, stub.URL).ask("When is the rent due?", words)["cache"].(map[string]any)["status"]; how != "exact" {
		t.Errorf("what is there: %v", how)
	}
}
