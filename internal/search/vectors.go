package search

import (
	"context"
	"slices"
	"sync"

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
	vectors, err := s.read.get(ids, func(missing []int64) (map[int64][]float32, error) { return corpus.Vectors(ctx, db, missing) })
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

// maxRemembered is how many vectors a snapshot remembers: 6 MB of 384 numbers each.
const maxRemembered = 4096

// vectorMemory remembers vectors that were read for rescoring: what is asked about often is near to the same passages, and reading
// takes longer than all the rest of a look-up. It goes with its snapshot, so that nothing in it is older than that.
type vectorMemory struct {
	mu    sync.Mutex
	known map[int64][]float32
}

// get gives the vectors of passages, as far as they have one; read reads those that are not known.
func (m *vectorMemory) get(ids []int64, read func(missing []int64) (map[int64][]float32, error)) (map[int64][]float32, error) {
	out := make(map[int64][]float32, len(ids))
	var missing []int64
	m.mu.Lock()
	for _, id := range ids {
		if v := m.known[id]; v != nil {
			out[id] = v
		} else {
			missing = append(missing, id)
		}
	}
	m.mu.Unlock()
	if len(missing) == 0 {
		return out, nil
	}
	vectors, err := read(missing)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[int64][]float32{}
	}
	for id, v := range vectors {
		out[id] = v
		if len(m.known) < maxRemembered {
			m.known[id] = v
		}
	}
	return out, nil
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
