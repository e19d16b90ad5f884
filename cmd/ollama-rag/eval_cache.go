//go:build !nomodel

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/ollama-rag/ollama-rag/internal/cache"
	"github.com/ollama-rag/ollama-rag/internal/embed"
	"github.com/ollama-rag/ollama-rag/internal/eval"
	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/search"
	"github.com/ollama-rag/ollama-rag/internal/stat"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// evalThresholds are the similarities at which the cache is measured, on the scale of SEMANTIC_CACHE_THRESHOLD.
var evalThresholds = []float64{.7, .75, .8, .85, .9, .925, .95, .97, .99}

// cacheMeasure is one way to decide, at one threshold.
type cacheMeasure struct {
	Set        string  `json:"set"`
	Checks     string  `json:"checks"`
	Threshold  float64 `json:"threshold"` // 0: each fold's own
	Asked      int     `json:"asked"`
	Could      int     `json:"could"` // questions that a remembered one of the same meaning was there for
	Right      int     `json:"right"`
	Wrong      int     `json:"wrong"`
	HitRate    float64 `json:"hit_rate"`
	Precision  float64 `json:"precision"`     // 1 where nothing was served
	Low        float64 `json:"precision_low"` // 95 % interval of the precision
	High       float64 `json:"precision_high"`
	PassedSame float64 `json:"served_of_could"`
}

// cacheCandidate is a remembered question that is near to one that is asked.
type cacheCandidate struct {
	asked, stored int
	similarity    float64
	same          bool
	fold          int
	guard         cache.Guard
}

// evaluateCache prints how well remembered answers would be served.
func evaluateCache(ctx context.Context, f evalFlags, asJSON bool) error {
	measures, candidates, err := measureCache(ctx, f.cache)
	if err != nil {
		return err
	}
	for i, r := range measures {
		if asJSON {
			if err := printJSON(r); err != nil {
				return err
			}
			continue
		}
		if i == 0 {
			fmt.Printf("%s: %d asked, %d of them could be served\n%-44s %9s %6s %6s %9s %9s  %s\n", r.Set, r.Asked, r.Could, "checks", "threshold", "right", "wrong", "hit rate", "precision", "95 % interval")
		}
		threshold := fmt.Sprintf("%.3f", r.Threshold)
		if r.Threshold == 0 {
			threshold = "folds"
		}
		precision := fmt.Sprintf("%9.3f  %.3f to %.3f", r.Precision, r.Low, r.High)
		if r.Right+r.Wrong == 0 {
			precision = "        -  nothing served"
		}
		fmt.Printf("%-44s %9s %6d %6d %9.3f %s\n", r.Checks, threshold, r.Right, r.Wrong, r.HitRate, precision)
	}
	if !asJSON {
		printGuards(candidates)
	}
	return nil
}

// measureCache decides for every question of a set in each way at each threshold. It needs the embedder in the binary.
func measureCache(ctx context.Context, path string) (out []cacheMeasure, candidates [][]cacheCandidate, err error) {
	set, err := eval.ReadCacheSet(path)
	if err != nil {
		return nil, nil, err
	}
	var local locals
	defer func() { err = errors.Join(err, local.close()) }()
	m, _, err := local.get(embed.Builtin)
	if err != nil {
		return nil, nil, err
	}
	candidates, asked, could, err := nearestCached(ctx, m, set)
	if err != nil {
		return nil, nil, err
	}
	guarded := func(c cacheCandidate) bool { return c.guard == "" }
	checks := []cacheCheck{
		{"threshold", func(cacheCandidate) bool { return true }, 1},
		{"with guards", guarded, 1},
		{"with guards, refused: the next", guarded, nextTries},
	}
	if set.Earlier {
		ev, err := newCacheEvidence(ctx, m, path, set)
		if err != nil {
			return nil, nil, err
		}
		for _, v := range ev.verifiers() {
			both := func(c cacheCandidate) bool { return c.guard == "" && v.pass(c) }
			checks = append(checks, cacheCheck{v.name, v.pass, 1}, cacheCheck{"guards, " + v.name, both, 1})
			if v.served {
				checks = append(checks, cacheCheck{"guards, " + v.name + ", refused: the next", both, nextTries})
			}
		}
	}
	for _, check := range checks {
		for _, threshold := range evalThresholds {
			r := cacheMeasure{Set: set.Name, Checks: check.name, Threshold: threshold, Asked: asked, Could: could}
			for _, list := range candidates {
				r.take(list[:min(len(list), check.tries)], threshold, check.pass)
			}
			r.sum()
			out = append(out, r)
		}
		r := crossFit(candidates, check)
		r.Set, r.Checks, r.Asked, r.Could = set.Name, check.name, asked, could
		r.sum()
		out = append(out, r)
	}
	return out, candidates, nil
}

// cacheCheck is one way to decide whether a near question is served.
type cacheCheck struct {
	name  string
	pass  func(cacheCandidate) bool
	tries int // how many of the nearest are looked at; the cache looks at one
}

// Of a threshold that is fitted: in how many folds, and for which precision in the others.
const (
	evalFolds     = 5
	evalPrecision = .99
	evalStep      = .005 // between the thresholds that are tried, from evalThresholds[0] on
	nextTries     = 3    // candidates, where what is refused for the nearest is tried with the next
)

// crossFit counts every question under the threshold that serves most right ones at evalPrecision in the other folds, so that no row
// is judged by a threshold that was chosen by it.
func crossFit(candidates [][]cacheCandidate, check cacheCheck) (total cacheMeasure) {
	var best [evalFolds]cacheMeasure
	for fold := range best {
		best[fold].Threshold = 1
	}
	for step := 0; evalThresholds[0]+float64(step)*evalStep <= 1; step++ {
		threshold := evalThresholds[0] + float64(step)*evalStep
		var all cacheMeasure
		var in [evalFolds]cacheMeasure
		for _, list := range candidates {
			if len(list) > 0 {
				list = list[:min(len(list), check.tries)]
				all.take(list, threshold, check.pass)
				in[list[0].fold].take(list, threshold, check.pass)
			}
		}
		for fold := range best {
			right, wrong := all.Right-in[fold].Right, all.Wrong-in[fold].Wrong
			if b := &best[fold]; right > b.Could && float64(right) >= evalPrecision*float64(right+wrong) {
				*b = in[fold]
				b.Could, b.Threshold = right, threshold // right ones in the other folds
			}
		}
	}
	for _, b := range best {
		total.Right, total.Wrong = total.Right+b.Right, total.Wrong+b.Wrong
	}
	return total
}

// take counts what is served.
func (r *cacheMeasure) take(list []cacheCandidate, threshold float64, pass func(cacheCandidate) bool) {
	for _, c := range list {
		if c.similarity < threshold {
			return
		}
		if !pass(c) {
			continue
		}
		if c.same {
			r.Right++
		} else {
			r.Wrong++
		}
		return
	}
}

func (r *cacheMeasure) sum() {
	served := r.Right + r.Wrong
	r.Precision = 1
	if served > 0 {
		r.Precision = float64(r.Right) / float64(served)
	}
	r.HitRate = float64(served) / float64(max(1, r.Asked))
	r.PassedSame = float64(r.Right) / float64(max(1, r.Could))
	r.Low, r.High = stat.ClopperPearson(r.Right, served)
}

// nearestCached gives, for each question asked, the nearest remembered ones that reach the least threshold.
func nearestCached(ctx context.Context, m rag.Embedder, set eval.CacheSet) (out [][]cacheCandidate, asked, could int, err error) {
	vectors := make([][]float32, len(set.Questions))
	for i, q := range set.Questions {
		list, err := m.Embed(ctx, rag.ForQuestion, []string{q.Text})
		if err != nil {
			return nil, 0, 0, err
		}
		vectors[i] = list[0]
	}
	for i, q := range set.Questions {
		if !q.Asked {
			continue
		}
		asked++
		var list []cacheCandidate
		possible := false
		for j, s := range set.Questions {
			if j == i || !s.Stored || set.Earlier && j > i || set.Pairs && j != i-1 {
				continue
			}
			same := s.Meaning == q.Meaning
			possible = possible || same
			if similarity := cache.Similarity(float64(vec.Dot(vectors[i], vectors[j]))); similarity >= evalThresholds[0] {
				list = append(list, cacheCandidate{asked: i, stored: j, similarity: similarity, same: same, fold: foldOf(q.Group)})
			}
		}
		slices.SortStableFunc(list, func(a, b cacheCandidate) int { return cmp.Compare(b.similarity, a.similarity) })
		list = list[:min(len(list), nextTries)]
		for n, c := range list {
			list[n].guard = cache.Check(q.Text, set.Questions[c.stored].Text)
		}
		if possible {
			could++
		}
		out = append(out, list)
	}
	return out, asked, could, nil
}

// foldOf is the same for all questions of a group, whatever else is in the set.
func foldOf(group string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(group)) // cannot fail
	return int(h.Sum32() % evalFolds)
}

// printGuards says what each guard refused among the nearest candidates: wrong ones, and right ones.
func printGuards(candidates [][]cacheCandidate) {
	wrong, right := map[cache.Guard]int{}, map[cache.Guard]int{}
	for _, list := range candidates {
		switch {
		case len(list) == 0:
		case list[0].same:
			right[list[0].guard]++
		default:
			wrong[list[0].guard]++
		}
	}
	for _, g := range append(cache.Guards(), "") {
		name := string(g)
		if name == "" {
			name = "(passed)"
		}
		fmt.Printf("guard %-12s nearest refused: %d wrong, %d right\n", name, wrong[g], right[g])
	}
}

// cacheEvidence is what retrieval finds for each question, and what an answer to it would cite.
type cacheEvidence struct {
	questions []eval.CacheQuestion
	shown     [][]rag.Hit
	answers   []rag.Answer
}

// evalShown is how many passages an answer is made from, as in the API.
const evalShown = 4

// newCacheEvidence makes up an answer for each question of a collection: it cites the sentence that holds the known answer.
func newCacheEvidence(ctx context.Context, m rag.Embedder, dir string, set eval.CacheSet) (*cacheEvidence, error) {
	beir, err := eval.Read(dir, "")
	if err != nil {
		return nil, err
	}
	known, err := eval.ReadAnswers(dir)
	if err != nil {
		return nil, err
	}
	corpus := newMemoryCorpus(beir, nil)
	if err := corpus.embed(ctx, m); err != nil {
		return nil, err
	}
	for i := range corpus.entries {
		p := &corpus.entries[i].Passage
		p.Document, p.Span = p.ID, rag.Span{End: len(p.Text)}
	}
	indexes := search.New(corpus, "")
	ev := &cacheEvidence{questions: set.Questions}
	for _, q := range set.Questions {
		vectors, err := m.Embed(ctx, rag.ForQuestion, []string{q.Text})
		if err != nil {
			return nil, err
		}
		found, err := indexes.Retrieve(ctx, rag.Query{DB: evalDB, Text: q.Text, Vector: vectors[0], Method: rag.Hybrid, K: evalShown})
		if err != nil {
			return nil, err
		}
		a := rag.Answer{Hits: found.Hits}
		for n, h := range found.Hits {
			if !beir.Relevant[q.ID][h.Passage.Source] {
				continue
			}
			for _, answer := range known[q.ID] {
				if at := strings.Index(h.Passage.Text, answer); at >= 0 && len(a.Citations) == 0 {
					a.Citations = rag.Cite(answer+" ["+fmt.Sprint(n+1)+"]", found.Hits)
				}
			}
		}
		ev.shown, ev.answers = append(ev.shown, found.Hits), append(ev.answers, a)
	}
	return ev, nil
}

// verifier is a way to look at evidence.
type verifier struct {
	name   string
	pass   func(cacheCandidate) bool
	served bool // it is the cache's own
}

func (ev *cacheEvidence) verifiers() []verifier {
	cited := func(c cacheCandidate) bool {
		return !slices.ContainsFunc(ev.answers[c.stored].Citations, func(ct rag.Citation) bool {
			return !slices.ContainsFunc(ev.shown[c.asked], func(h rag.Hit) bool { return h.Passage.ID == ct.Passage })
		})
	}
	overlap := func(least float64) func(cacheCandidate) bool {
		return func(c cacheCandidate) bool { return rag.RankOverlap(ev.shown[c.asked], ev.shown[c.stored]) >= least }
	}
	sentence := func(c cacheCandidate) bool {
		return rag.CitesBest(ev.questions[c.asked].Text, ev.answers[c.stored], ev.shown[c.asked])
	}
	out := []verifier{{"cited in top k", cited, false}, {"sentence", sentence, false}}
	for _, least := range []float64{.4, .6, .8} {
		out = append(out, verifier{fmt.Sprintf("rank overlap %.1f", least), overlap(least), false})
	}
	return append(out, verifier{"evidence (all three, as served)", func(c cacheCandidate) bool {
		return rag.Agree(ev.questions[c.asked].Text, ev.answers[c.stored], ev.shown[c.asked]) == ""
	}, true})
}
