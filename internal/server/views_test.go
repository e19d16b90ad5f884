package server

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/rag"
)

// keeper is a rag.Form.
type keeper struct{ body []byte }

func (k *keeper) Load() []byte     { return k.body }
func (k *keeper) Keep(body []byte) { k.body = body }

func TestLaw8AKeptAnswerReadsTheSameEachTime(t *testing.T) {
	cosine := .5
	ans := rag.Answer{
		Text: "<It> opens.", Hits: []rag.Hit{{Passage: rag.Passage{ID: 1, Text: "p & \"q\""}, Cosine: &cosine}}, Citations: []rag.Citation{{N: 1}}, Model: "m",
		Cache: rag.CacheInfo{Status: rag.CacheExact, Age: 1, EntryID: "e"}, Notice: "n",
	}
	read := func(a asked, ans rag.Answer) map[string]any {
		t.Helper()
		body, tail, err := answerJSON(a, &ans)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(append(append([]byte{}, body...), tail...), &m); err != nil {
			t.Fatalf("%v in %s%s", err, body, tail)
		}
		return m
	}
	a := asked{request: rag.Request{DB: "kb", Method: rag.BM25}, warnings: []string{"w"}}
	want := read(a, ans)
	k := &keeper{}
	ans.Form = k
	first := read(a, ans)
	kept := string(k.body)
	ans.Text = "what the body was not made of" // so that it shows whether it is made again
	again := read(a, ans)
	if !reflect.DeepEqual(first, want) || !reflect.DeepEqual(again, want) || string(k.body) != kept || !strings.Contains(kept, "<It> opens.") {
		t.Errorf("%v\n%v\n%v", want, first, again)
	}
	// What belongs to the question is never kept.
	a.request.DB, a.warnings, ans.Cache = "other", []string{}, rag.CacheInfo{Status: rag.CacheSemantic, Similarity: .97, Age: 2, OriginalQuestion: "q"}
	ans.Degraded = true
	m := read(a, ans)
	if m["db"] != "other" || len(m["warnings"].([]any)) != 0 || m["cache"].(map[string]any)["age"] != 2. || m["cache_metadata"].(map[string]any)["cache_type"] != "semantic" || m["answer"] != "<It> opens." || m["notice"] != "n" || m["degraded"] != true {
		t.Errorf("%v", m)
	}
}
