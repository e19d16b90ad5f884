package rag

import (
	"context"
	"strings"
	"testing"
)

// moving is a knowledge base whose embedder changes while a question is on its way.
type moving struct {
	*world
	states  []KnowledgeBase // one a look, the last again and again
	changes []uint64        // of the index, one a retrieval
	fail    error           // of a retrieval with a vector
	vectors []bool          // whether each retrieval had one
}

func (m *moving) KnowledgeBase(context.Context, string) (KnowledgeBase, error) {
	kb := m.states[0]
	if len(m.states) > 1 {
		m.states = m.states[1:]
	}
	return kb, nil
}

func (m *moving) EmbedderFor(context.Context, string) (Embedder, EmbedderID, error) {
	return m, EmbedderID{Name: "e"}, nil
}

func (m *moving) Embed(context.Context, Purpose, []string) ([][]float32, error) {
	return [][]float32{{1, 0}}, nil
}

func (m *moving) Retrieve(_ context.Context, q Query) (Retrieval, error) {
	m.vectors = append(m.vectors, q.Vector != nil)
	change := m.changes[0]
	if len(m.changes) > 1 {
		m.changes = m.changes[1:]
	}
	if q.Vector != nil && m.fail != nil {
		return Retrieval{}, m.fail
	}
	return Retrieval{Hits: m.hits, Method: q.Method, Change: change}, nil
}

func TestVectorsOfTwoEmbeddersAreNeverCompared(t *testing.T) {
	was := KnowledgeBase{Name: "docs", ID: 7, Change: 5, Since: 2, Embedder: EmbedderID{Name: "old"}}
	now := KnowledgeBase{Name: "docs", ID: 7, Change: 6, Since: 6, Embedder: EmbedderID{Name: "new"}}
	grown := was
	grown.Change = 6
	for name, c := range map[string]struct {
		states []KnowledgeBase
		index  uint64
		fail   error
		want   []bool
	}{
		"nothing changed":                                {[]KnowledgeBase{was}, 5, nil, []bool{true}},
		"a document came":                                {[]KnowledgeBase{was, grown}, 6, nil, []bool{true}},
		"the index is behind by a document":              {[]KnowledgeBase{grown}, 5, nil, []bool{true}},
		"the embedder changed under the question":        {[]KnowledgeBase{was, now}, 6, nil, []bool{true, false}},
		"the index is not there yet":                     {[]KnowledgeBase{now}, 5, nil, []bool{true, false}},
		"the new vectors have another length":            {[]KnowledgeBase{was, now}, 6, Errorf(Conflict, "", "other dimension"), []bool{true, false}},
		"a conflict that has nothing to do with changes": {[]KnowledgeBase{was}, 5, Errorf(Conflict, "", "other dimension"), []bool{true, false}},
	} {
		m := &moving{world: newWorld(), states: c.states, changes: []uint64{c.index}, fail: c.fail}
		e := m.engine()
		e.Bases, e.Embedders, e.Retriever = m, m, m
		if _, err := e.Search(t.Context(), request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(m.vectors) != len(c.want) {
			t.Errorf("%s: retrievals with a vector: %v, want %v", name, m.vectors, c.want)
		}
	}
}

// meaning embeds a text as {1, 0} where it holds the word, else as {0, 1}.
type meaning string

func (m meaning) EmbedderFor(context.Context, string) (Embedder, EmbedderID, error) {
	return m, EmbedderID{Name: string(m)}, nil
}

func (m meaning) Embed(_ context.Context, purpose Purpose, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = []float32{0, 1}
		if purpose == ForQuestion || strings.Contains(text, string(m)) {
			out[i] = []float32{1, 0}
		}
	}
	return out, nil
}

func TestAcrossLanguagesTheSentenceThatMeansTheQuestionIsQuoted(t *testing.T) {
	w := newWorld()
	w.modelErr = Errorf(Unavailable, CodeNoModel, "none")
	w.hits = []Hit{hit(1, "# Pays\n\nThe gate closes at ten.\n\n|---|\n\nLate rent costs two percent. Bins stand in the yard.")}
	e := w.engine()
	e.CacheEmbedder = meaning("rent")
	var last Answer
	for ev, err := range e.Ask(t.Context(), Request{DB: "docs", Question: "Combien coûte un loyer tardif ?", Method: Hybrid, K: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == EventDone {
			last = *ev.Answer
		}
	}
	if want := "“Late rent costs two percent. Bins stand in the yard.” [1]"; last.Text != want || len(last.Citations) != 1 || last.Citations[0].Quote != "Late rent costs two percent. Bins stand in the yard." {
		t.Errorf("%q %+v, want %q", last.Text, last.Citations, want)
	}
}

// speller is an embedder that writes down what it was asked for, and answers with a vector of its own.
type speller struct {
	id    EmbedderID
	value float32
	asked int
}

func (s *speller) EmbedderFor(context.Context, string) (Embedder, EmbedderID, error) {
	return s, s.id, nil
}

func (s *speller) Embed(context.Context, Purpose, []string) ([][]float32, error) {
	s.asked++
	return [][]float32{{s.value}}, nil
}

func TestLaw3TheCachesVectorsAreItsOwnEmbedders(t *testing.T) {
	own := EmbedderID{Name: "builtin", Digest: "d", Dimension: 1, Prefix: "query: |passage: "}
	for name, c := range map[string]struct {
		base   EmbedderID
		shared bool
	}{
		"the same":            {own, true},
		"under another name":  {EmbedderID{Name: "file:x", Digest: "d", Dimension: 1, Prefix: own.Prefix}, true},
		"another model":       {EmbedderID{Name: "builtin", Digest: "e", Dimension: 1, Prefix: own.Prefix}, false},
		"with other prefixes": {EmbedderID{Name: "builtin", Digest: "d", Dimension: 1}, false},
	} {
		e := newWorld().engine()
		cache := &speller{id: own, value: 2}
		e.CacheEmbedder = cache
		got := e.cacheVector(t.Context(), request, KnowledgeBase{Embedder: c.base}, []float32{1})
		if want := float32(2); len(got) != 1 || (got[0] != want) != c.shared || (cache.asked == 0) != c.shared {
			t.Errorf("%s: %v, asked %d times", name, got, cache.asked)
		}
	}
	e := newWorld().engine()
	cache := &speller{id: own, value: 2}
	e.CacheEmbedder = cache
	if got := e.cacheVector(t.Context(), request, KnowledgeBase{Embedder: own}, nil); len(got) != 1 || got[0] != 2 {
		t.Errorf("where the question has no vector, as with bm25: %v", got)
	}
}
