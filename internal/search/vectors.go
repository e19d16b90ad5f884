package search

import (
	"context"
	"slices"

	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// rescored is how many passages are at least measured with their float32 vectors, and how many for each that is wanted: so
// many that the scan's rounding hides none of the best.
const (
	rescoredLeast = 50
	rescoredEach  = 4
)

// byVector gives the passages nearest to a unit vector among those that keep admits, at most top, scored by their cosine.
func (s *snapshot) byVector(ctx context.Context, corpus Corpus, db string, unit []float32, keeps []vec.Bits, top int) ([]scored, error) {
	candidates := s.scan(vec.Quantise(unit), keeps, top)
	ids := make([]int64, len(candidates))
	for i, c := range candidates {
		ids[i] = c.id
	}
	vectors, err := corpus.Vectors(ctx, db, ids)
	if err != nil {
		return nil, err
	}
	for i := range candidates {
		// One that is gone meanwhile keeps its estimate.
		if v := vectors[candidates[i].id]; len(v) == len(unit) {
			candidates[i].score = vec.Cosine(unit, v)
		}
	}
	slices.SortFunc(candidates, better)
	return candidates, nil
}

// scan gives at most n passages by estimated cosine.
func (s *snapshot) scan(q vec.Query, keeps []vec.Bits, n int) []scored {
	best := newBest(n)
	for i, v := range s.views {
		if v.vectors == 0 {
			continue
		}
		for _, found := range vec.Scan(q, &v.seg.matrix, v.vecKeep(keeps[i]), n) {
			best.add(scored{v.seg.ids[v.seg.rowOf(found.Row)], float64(found.Score)})
		}
	}
	return best.sorted()
}

// vecKeep turns a set of rows into one of rows of the matrix.
func (v *view) vecKeep(keep vec.Bits) vec.Bits {
	if keep == nil || len(v.seg.vecRows) == 0 {
		return keep
	}
	rows := vec.NewBits(len(v.seg.vecRows))
	for i, row := range v.seg.vecRows {
		if keep.Has(int(row)) {
			rows.Set(i)
		}
	}
	return rows
}
