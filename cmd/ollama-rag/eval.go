//go:build !nomodel

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/breaker"
	"github.com/ollama-rag/ollama-rag/internal/chunk"
	"github.com/ollama-rag/ollama-rag/internal/config"
	"github.com/ollama-rag/ollama-rag/internal/eval"
	"github.com/ollama-rag/ollama-rag/internal/ingest"
	"github.com/ollama-rag/ollama-rag/internal/ollama"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/search"
	"github.com/ollama-rag/ollama-rag/internal/text"
	"github.com/ollama-rag/ollama-rag/internal/upstream"
	"github.com/ollama-rag/ollama-rag/internal/worth"
)

func evalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --beir DIR | --cache PAIRS",
		Short: "Measure retrieval, or the answer cache, on questions with known answers",
		Long: `Reads a collection in BEIR's layout (corpus.jsonl, queries.jsonl, qrels/test.tsv), indexes each document as one
passage or, with --cut, as ingest would, asks every question, and prints nDCG@10, recall@10, MAP and the time a question takes. Relevance is
binary: every document that the qrels list counts. vector and hybrid embed with EMBED_MODEL.

--cache reads questions of which it is known which mean the same (docs/cache.md says in which files) and prints, for each
threshold, how many would be answered from memory, rightly and wrongly: by the threshold alone, with the guards and, where there
is a corpus, with the evidence of retrieval.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := settings(cmd)
			if err != nil {
				return err
			}
			switch {
			case f.cache != "" && f.dir == "":
				return evaluateCache(cmd.Context(), f, wantJSON(cmd))
			case f.dir == "" || f.cache != "":
				return usageError{fmt.Errorf("eval: --beir DIR or --cache PAIRS is needed")}
			}
			return evaluate(cmd.Context(), c, f, wantJSON(cmd))
		},
	}
	cmd.Flags().StringVar(&f.dir, "beir", "", "folder of the collection")
	cmd.Flags().StringVar(&f.cache, "cache", "", "measure the answer cache on this file or folder of questions instead")
	cmd.Flags().StringVar(&f.questions, "queries", "", "take the questions from this folder instead")
	cmd.Flags().StringVar(&f.method, "method", "hybrid", "hybrid, vector or bm25, or several with commas between")
	cmd.Flags().Float64Var(&f.weight, "bm25-weight", -1, "share of the words in hybrid, 0 to 1; below 0 it follows the languages and what the embedder is worth in them")
	cmd.Flags().BoolVar(&f.cut, "cut", false, "cut documents into passages as ingest does; a document counts by its best passage")
	cmd.Flags().BoolVar(&f.rrf, "rrf", false, "fuse by reciprocal ranks")
	return cmd
}

type evalFlags struct {
	dir, questions, method, cache string
	weight                        float64
	rrf, cut                      bool
}

// evalDB names the one knowledge base of an evaluation.
const evalDB = "eval"

func evaluate(ctx context.Context, c config.Config, f evalFlags, asJSON bool) (err error) {
	var methods []rag.Method
	for _, name := range strings.Split(f.method, ",") {
		method := rag.Method(strings.TrimSpace(name))
		if !slices.Contains([]rag.Method{rag.Hybrid, rag.Vector, rag.BM25}, method) {
			return usageError{fmt.Errorf("--method %q: hybrid, vector or bm25 is allowed, or several of them with commas between", name)}
		}
		methods = append(methods, method)
	}
	set, err := eval.Read(f.dir, f.questions)
	if err != nil {
		return err
	}
	var local locals
	defer func() { err = errors.Join(err, local.close()) }()
	var cutter *chunk.Cutter
	if f.cut {
		cutter = newCutter(c, &local)
	}
	corpus := newMemoryCorpus(set, cutter)
	e := evaluation{set: set, flags: f, rrfK: c.RRFK}
	if slices.ContainsFunc(methods, func(m rag.Method) bool { return m != rag.BM25 }) {
		if e.embedder, err = evalEmbedder(ctx, c, &local); err != nil {
			return err
		}
		if e.worth, err = worth.Measure(ctx, e.embedder); err != nil {
			return err
		}
		if err := corpus.embed(ctx, e.embedder); err != nil {
			return err
		}
	}
	e.indexes = search.New(corpus, "")
	if _, _, _, err := e.indexes.Values(ctx, evalDB); err != nil {
		return err
	}
	for _, method := range methods {
		if err := e.run(ctx, method, asJSON); err != nil {
			return err
		}
	}
	return nil
}

// evaluation is a collection that is indexed and what it is asked with.
type evaluation struct {
	set      eval.Set
	flags    evalFlags
	rrfK     float64
	embedder rag.Embedder // nil: by words alone
	worth    rag.Worth
	indexes  *search.Indexes
}

// run asks every question by one method and prints how well it was answered.
func (e *evaluation) run(ctx context.Context, method rag.Method, asJSON bool) error {
	embedTime := time.Duration(0)
	report, err := eval.Run(ctx, e.set, func(ctx context.Context, question string, k int) ([]string, error) {
		q := rag.Query{DB: evalDB, Text: question, Method: method, K: k, Worth: e.worth, RRF: e.flags.rrf, RRFK: e.rrfK}
		if e.flags.weight >= 0 {
			q.BM25Weight = &e.flags.weight
		}
		if method != rag.BM25 {
			start := time.Now()
			vectors, err := e.embedder.Embed(ctx, rag.ForQuestion, []string{question})
			if err != nil {
				return nil, err
			}
			embedTime += time.Since(start)
			q.Vector = vectors[0]
		}
		found, err := e.indexes.Retrieve(ctx, q)
		ids := make([]string, len(found.Hits))
		for i, h := range found.Hits {
			ids[i] = h.Passage.Source
		}
		return ids, err
	})
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(struct {
			Method rag.Method `json:"method"`
			eval.Report
		}{method, report})
	}
	fmt.Printf("%s, %s: %d documents, %d questions\n", report.Set, method, len(e.set.Documents), report.Questions)
	fmt.Printf("nDCG@10    %.4f\nrecall@10  %.4f\nMAP        %.4f\n", report.NDCG10, report.Recall10, report.MAP)
	fmt.Printf("time a question: p50 %s, p95 %s, mean %s", round(report.P50), round(report.P95), round(report.Mean))
	if method != rag.BM25 {
		fmt.Printf(" (of it embedding %s)", round(embedTime/time.Duration(max(1, report.Questions))))
	}
	fmt.Println()
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

func evalEmbedder(ctx context.Context, c config.Config, local *locals) (rag.Embedder, error) {
	if isLocal(c.EmbedModel) {
		m, _, err := local.get(c.EmbedModel)
		return m, err
	}
	up, err := upstream.New(upstreamConfig(c, slog.New(slog.DiscardHandler), func(breaker.Change) {}))
	if err != nil {
		return nil, usageError{err}
	}
	client := ollama.New(up, ollama.Options{NumThread: c.NumThread})
	if _, err := client.Digest(ctx, c.EmbedModel); err != nil {
		return nil, err
	}
	return client.Embedder(c.EmbedModel), nil
}

// memoryCorpus holds a collection. It implements search.Corpus.
type memoryCorpus struct{ entries []rag.Entry }

// newMemoryCorpus makes a passage of each document, or several if there is a cutter.
func newMemoryCorpus(set eval.Set, cutter *chunk.Cutter) *memoryCorpus {
	m := &memoryCorpus{}
	for _, d := range set.Documents {
		passages := []rag.Passage{{Text: d.Text, Language: text.Language(d.Title + " " + d.Text)}}
		if cutter != nil {
			passages = cutter.Cut(rag.Extracted{Text: d.Text, Title: d.Title})
		}
		for _, p := range passages {
			p.ID, p.Source, p.Title = int64(len(m.entries)+1), d.ID, d.Title
			m.entries = append(m.entries, rag.Entry{Passage: p})
		}
	}
	return m
}

// embed gives every document its vector, in batches.
func (m *memoryCorpus) embed(ctx context.Context, embedder rag.Embedder) error {
	line, done := newProgressLine(), 0
	for batch := range slices.Chunk(m.entries, 64) {
		texts := make([]string, len(batch))
		for i, e := range batch {
			texts[i] = ingest.EmbedText(e.Passage.Title, e.Passage)
		}
		vectors, err := embedder.Embed(ctx, rag.ForPassage, texts)
		if err != nil {
			return err
		}
		for i := range batch {
			batch[i].Vector = vectors[i]
		}
		if done += len(batch); line != nil {
			line.show(fmt.Sprintf("%s %d of %d passages embedded", gauge(float64(done)/float64(len(m.entries))), done, len(m.entries)))
		}
	}
	if line != nil {
		line.clear()
	}
	return nil
}

func (m *memoryCorpus) Passages(_ context.Context, _ string, ids []int64) ([]rag.Passage, error) {
	out := make([]rag.Passage, len(ids))
	for i, id := range ids {
		out[i] = m.entries[id-1].Passage
	}
	return out, nil
}

func (m *memoryCorpus) Vectors(_ context.Context, _ string, ids []int64) (map[int64][]float32, error) {
	out := make(map[int64][]float32, len(ids))
	for _, id := range ids {
		out[id] = m.entries[id-1].Vector
	}
	return out, nil
}

func (m *memoryCorpus) Change(context.Context, string) (uint64, error) { return 1, nil }

func (m *memoryCorpus) Entries(context.Context, string) iter.Seq2[rag.Entry, error] {
	return func(yield func(rag.Entry, error) bool) {
		for _, e := range m.entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}
