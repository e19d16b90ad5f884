package eval_test

import (
	"context"
	"iter"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/ollama-rag/ollama-rag/internal/eval"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/search"
	"github.com/ollama-rag/ollama-rag/internal/text"
)

// memory is a corpus of one passage a document.
type memory []rag.Passage

func (m memory) Passages(_ context.Context, _ string, ids []int64) ([]rag.Passage, error) {
	var found []rag.Passage
	for _, id := range ids {
		found = append(found, m[id-1])
	}
	return found, nil
}

func (m memory) Vectors(context.Context, string, []int64) (map[int64][]float32, error) {
	return nil, nil
}

func (m memory) Change(context.Context, string) (uint64, error) { return 1, nil }

func (m memory) Entries(context.Context, string) iter.Seq2[search.Entry, error] {
	return func(yield func(search.Entry, error) bool) {
		for _, p := range m {
			if !yield(search.Entry{Passage: p}, nil) {
				return
			}
		}
	}
}

func TestBM25ReachesTheReferenceFigures(t *testing.T) {
	data := os.Getenv("OLLAMA_RAG_EVAL_DATA")
	if data == "" {
		t.Skip("OLLAMA_RAG_EVAL_DATA is not set: it names the folder of evaluation data")
	}
	for _, c := range []struct {
		name, questions string
		want, tolerance float64
	}{
		{"scifact", "", .6995, .01},
		{"cranfield", "", .5051, .01},
		{"musique-sample", "", .5405, .01},
		{"claude-docs-100", "", .7471, .01},
		{"clapnq-dev", "", .9446, .01},
		{"xquad/en", "", .9615, .01},
		{"xquad/vi", "", .9575, .01},
		{"xquad/en", "xquad/vi", .4479, .02}, // Vietnamese questions on English text: names and numbers only
	} {
		t.Run(c.name+c.questions, func(t *testing.T) {
			questions := ""
			if c.questions != "" {
				questions = filepath.Join(data, c.questions)
			}
			set, err := eval.Read(filepath.Join(data, c.name), questions)
			if err != nil {
				t.Fatal(err)
			}
			report, err := eval.Run(t.Context(), set, byWords(set))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d questions: nDCG@10 %.4f (reference %.4f), R@10 %.4f, MAP %.4f, p50 %v, p95 %v",
				report.Questions, report.NDCG10, c.want, report.Recall10, report.MAP, report.P50, report.P95)
			if math.Abs(report.NDCG10-c.want) > c.tolerance {
				t.Errorf("nDCG@10 %.4f, want %.4f +- %.2f", report.NDCG10, c.want, c.tolerance)
			}
		})
	}
}

func byWords(set eval.Set) eval.Search {
	var corpus memory
	for i, d := range set.Documents {
		corpus = append(corpus, rag.Passage{ID: int64(i + 1), Source: d.ID, Title: d.Title, Text: d.Text, Language: text.Language(d.Text)})
	}
	indexes := search.New(corpus, "")
	return func(ctx context.Context, question string, k int) ([]string, error) {
		found, err := indexes.Retrieve(ctx, rag.Query{DB: "set", Text: question, Method: rag.BM25, K: k})
		var ids []string
		for _, hit := range found.Hits {
			ids = append(ids, hit.Passage.Source)
		}
		return ids, err
	}
}
