//go:build !nomodel

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/embed"
)

// measured gives what was counted by one way to decide, at a threshold, on a set of these files.
func measured(t *testing.T, files map[string]string) func(checks string, threshold float64) cacheMeasure {
	t.Helper()
	if !embed.HasBuiltin {
		t.Skip("built without the embedder")
	}
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, _, err := measureCache(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return func(checks string, threshold float64) cacheMeasure {
		for _, m := range all {
			if m.Checks == checks && m.Threshold == threshold {
				return m
			}
		}
		t.Fatalf("no figures of %q at %g", checks, threshold)
		return cacheMeasure{}
	}
}

func TestEvalCountsWhatGuardsRefuse(t *testing.T) {
	m := measured(t, map[string]string{"pairs.jsonl": `{"a":"How do I enable retries of failed calls?","b":"How can I enable retries of failed calls?","label":1}
{"a":"How do I enable retries of failed calls?","b":"How do I disable retries of failed calls?","label":0}
{"a":"What is a cat?","b":"How long does a train take to Hanoi?","label":0}`})
	if r := m("threshold", .7); r.Asked != 3 || r.Could != 1 || r.Right != 1 || r.Wrong != 1 || r.Precision != .5 || r.Low >= .5 || r.High <= .5 {
		t.Errorf("threshold alone: %+v", r)
	}
	if r := m("with guards", .7); r.Right != 1 || r.Wrong != 0 || r.Precision != 1 || r.PassedSame != 1 {
		t.Errorf("with guards: %+v", r)
	}
}

func TestEvalCountsWhatEvidenceRefuses(t *testing.T) {
	m := measured(t, map[string]string{
		"corpus.jsonl": `{"_id":"p","title":"","text":"The breaker opens after five failed calls. The breaker closes after two good calls."}
{"_id":"q","title":"","text":"A cat sleeps all day."}`,
		"qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\tp\t1\n2\tp\t1\n3\tp\t1\n",
		"queries.jsonl": `{"_id":"1","text":"After how many calls does the breaker open?"}
{"_id":"2","text":"After how many failed calls does the breaker open?"}
{"_id":"3","text":"After how many good calls does the breaker close?"}`,
		"answers.jsonl": `{"_id":"1","answers":["five failed calls"]}
{"_id":"2","answers":["five failed calls"]}
{"_id":"3","answers":["two good calls"]}`,
	})
	if r := m("threshold", .7); r.Asked != 3 || r.Could != 1 || r.Right != 1 || r.Wrong != 1 {
		t.Errorf("threshold alone: %+v", r)
	}
	if r := m("evidence (all three, as served)", .7); r.Right != 1 || r.Wrong != 0 {
		t.Errorf("with evidence: %+v", r)
	}
}

// A fold whose rows would want another threshold does not have it.
func TestEvalFitsThresholdsOnTheOtherFolds(t *testing.T) {
	row := func(fold int, similarity float64, same bool) []cacheCandidate {
		return []cacheCandidate{{fold: fold, similarity: similarity, same: same}}
	}
	candidates := [][]cacheCandidate{row(0, .75, false), row(0, .95, true), {}}
	for fold := 1; fold < evalFolds; fold++ {
		candidates = append(candidates, row(fold, .8, true), row(fold, .78, true))
	}
	got := crossFit(candidates, cacheCheck{"all", func(cacheCandidate) bool { return true }, 1})
	// Fold 0 is judged by .70, where the others have no wrong one; the others by one above .75, for the sake of fold 0.
	if got.Right != 1+2*(evalFolds-1) || got.Wrong != 1 {
		t.Errorf("%+v", got)
	}
	none := func(cacheCandidate) bool { return false }
	if got := crossFit(candidates, cacheCheck{"none", none, 1}); got.Right+got.Wrong != 0 {
		t.Errorf("%+v", got)
	}
}
