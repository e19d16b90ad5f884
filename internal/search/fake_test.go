package search

import (
	"context"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/text"
)

// memory is a corpus of one knowledge base, "kb", in memory.
type memory struct {
	mu      sync.Mutex
	change  uint64
	entries map[int64]Entry
	reads   int // how often Entries was asked
}

func newMemory(entries ...Entry) *memory {
	m := &memory{change: 1, entries: map[int64]Entry{}}
	for _, e := range entries {
		m.entries[e.Passage.ID] = e
	}
	return m
}

// commit makes an update the truth, and gives it its change.
func (m *memory) commit(remove []int64, add ...Entry) Update {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.change++
	for _, id := range remove {
		delete(m.entries, id)
	}
	for _, e := range add {
		m.entries[e.Passage.ID] = e
	}
	return Update{Change: m.change, Remove: remove, Add: add}
}

func (m *memory) Passages(_ context.Context, _ string, ids []int64) ([]rag.Passage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []rag.Passage
	for _, id := range ids {
		if e, ok := m.entries[id]; ok {
			found = append(found, e.Passage)
		}
	}
	return found, nil
}

func (m *memory) Vectors(_ context.Context, _ string, ids []int64) (map[int64][]float32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[int64][]float32{}
	for _, id := range ids {
		if e, ok := m.entries[id]; ok && e.Vector != nil {
			found[id] = e.Vector
		}
	}
	return found, nil
}

func (m *memory) Change(_ context.Context, db string) (uint64, error) {
	if db != "kb" {
		return 0, rag.Errorf(rag.NotFound, "", "no knowledge base %q", db)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change, nil
}

func (m *memory) Entries(context.Context, string) iter.Seq2[Entry, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	all := m.sorted()
	return func(yield func(Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (m *memory) sorted() []Entry {
	var all []Entry
	for _, id := range slices.Sorted(maps.Keys(m.entries)) {
		all = append(all, m.entries[id])
	}
	return all
}

// passage makes an entry of a text.
func passage(id int64, language, content string) Entry {
	return Entry{Passage: rag.Passage{ID: id, Language: language, Text: content, Source: "s", Version: "v"}}
}

// naive is BM25 as the textbook has it, word by word, with the rules of this package for languages and accents.
type naive struct {
	live []Entry
}

func (n naive) tokens(e Entry) []string {
	p := e.Passage
	return text.AppendWords(nil, p.Title+"\n"+p.Heading+"\n"+p.Text)
}

// form is what a word is compared by in a passage of a language.
func form(language, word string) string {
	switch {
	case language != "en":
		return word
	case text.IsStop(word):
		return ""
	}
	return text.Stem(word)
}

// count says how often a passage has a question's word.
func (n naive) count(e Entry, word string, literal bool) (count int) {
	language, bare := e.Passage.Language, text.Unaccent(word)
	for _, token := range n.tokens(e) {
		same := form(language, token) == form(language, word)
		if !literal {
			same = form(language, token) == form(language, bare) || form(language, text.Unaccent(token)) == form(language, bare)
		}
		if same && form(language, token) != "" && form(language, word) != "" {
			count++
		}
	}
	return count
}

func (n naive) length(e Entry) (length float64) {
	for _, token := range n.tokens(e) {
		if form(e.Passage.Language, token) != "" {
			length++
		}
	}
	return length
}

func (n naive) scores(question string) map[int64]float64 {
	scores := map[int64]float64{}
	var average float64
	for _, e := range n.live {
		average += n.length(e) / float64(len(n.live))
	}
	for _, word := range text.AppendWords(nil, question) {
		weight, literal := 1.0, false
		if text.Unaccent(word) != word {
			literal = slices.ContainsFunc(n.live, func(e Entry) bool { return n.count(e, word, true) > 0 })
			if !literal {
				weight = 0.5
			}
		}
		look := word
		if !literal {
			look = text.Unaccent(word)
		}
		df := 0.0
		for _, e := range n.live {
			if form(e.Passage.Language, look) == "" || n.count(e, look, literal) > 0 {
				df++
			}
		}
		idf := math.Log(1 + (float64(len(n.live))-df+0.5)/(df+0.5))
		for _, e := range n.live {
			if tf := float64(n.count(e, look, literal)); tf > 0 {
				scores[e.Passage.ID] += weight * idf * tf * 2.2 / (tf + 1.2*(0.25+0.75*n.length(e)/average))
			}
		}
	}
	return scores
}

func retrieve(t testing.TB, x *Indexes, q rag.Query) rag.Retrieval {
	t.Helper()
	q.DB = "kb"
	if q.K == 0 {
		q.K = 1000
	}
	found, err := x.Retrieve(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// found gives the ids of hits in order.
func found(r rag.Retrieval) []int64 {
	ids := []int64{}
	for _, hit := range r.Hits {
		ids = append(ids, hit.Passage.ID)
	}
	return ids
}
