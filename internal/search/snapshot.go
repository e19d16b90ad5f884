package search

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/ollama-rag/ollama-rag/internal/rag"
	"github.com/ollama-rag/ollama-rag/internal/vec"
)

// snapshot is the state of a knowledge base at one change. Nothing in it ever changes but what it remembers.
type snapshot struct {
	change uint64
	views  []*view

	passages int
	words    uint64 // in all passages
	vectors  int
	dim      int // of the vectors, 0 if there are none

	read vectorMemory
}

// view is a segment and which of its passages are gone.
type view struct {
	seg  *segment
	dead vec.Bits // nil if none is gone

	live    int
	words   uint64        // in live passages
	vectors int           // of live passages
	members [families]int // live passages of each family
}

func newView(seg *segment, dead vec.Bits) *view {
	v := &view{seg: seg, dead: dead, live: seg.rows() - dead.Count(), vectors: seg.matrix.Rows()}
	for row, n := range seg.lengths {
		if v.alive(row) {
			v.words += uint64(n)
			v.members[seg.families[row]]++
		}
	}
	if dead != nil {
		v.vectors = 0
		for i := range seg.matrix.Rows() {
			if v.alive(seg.rowOf(i)) {
				v.vectors++
			}
		}
	}
	return v
}

func (v *view) alive(row int) bool { return v.dead == nil || !v.dead.Has(row) }

func newSnapshot(change uint64, views []*view) *snapshot {
	s := &snapshot{change: change}
	for _, v := range views {
		if v.live == 0 {
			continue
		}
		s.views = append(s.views, v)
		s.passages += v.live
		s.words += v.words
		if v.vectors > 0 {
			s.vectors += v.vectors
			s.dim = v.seg.matrix.Dim
		}
	}
	return s
}

// averageLength is the mean number of words of a passage, 1 where it would be 0.
func (s *snapshot) averageLength() float64 {
	if s.words == 0 {
		return 1
	}
	return float64(s.words) / float64(s.passages)
}

// without is the snapshot less some passages.
func (s *snapshot) without(ids []int64) []*view {
	views := slices.Clone(s.views)
	for i, v := range views {
		var dead vec.Bits
		for _, id := range ids {
			row, ok := v.seg.find(id)
			if !ok || !v.alive(row) {
				continue
			}
			if dead == nil {
				dead = vec.NewBits(v.seg.rows())
				copy(dead, v.dead)
			}
			dead.Set(row)
		}
		if dead != nil {
			views[i] = newView(v.seg, dead)
		}
	}
	return views
}

// keep gives the rows that are there and pass the filter: all of them if it is nil.
func (v *view) keep(f rag.Filter) vec.Bits {
	s := v.seg
	languages, versions, sources := s.language.admit(f.Languages), s.version.admit(f.Versions), s.source.admit(f.Sources)
	if languages == nil && versions == nil && sources == nil && v.dead == nil {
		return nil
	}
	keep := vec.NewBits(s.rows())
	for row := range s.rows() {
		if v.alive(row) && (languages == nil || languages[s.language.rows[row]]) &&
			(versions == nil || versions[s.version.rows[row]]) && (sources == nil || sources[s.source.rows[row]]) {
			keep.Set(row)
		}
	}
	return keep
}

// updated is the snapshot after an update, and whether the update's vectors fit it.
func (s *snapshot) updated(u Update) (*snapshot, bool) {
	added := slices.Clone(u.Add)
	slices.SortStableFunc(added, func(a, b Entry) int { return cmp.Compare(a.Passage.ID, b.Passage.ID) })
	gone := slices.Clone(u.Remove)
	b := newBuilder(0)
	for i := range added {
		id := added[i].Passage.ID
		if i+1 < len(added) && added[i+1].Passage.ID == id {
			continue // the later one replaces it
		}
		gone = append(gone, id)
		b.add(&added[i])
	}
	views := s.without(gone)
	if b.rows() > 0 {
		views = append(views, newView(b.finish(), nil))
	}
	next := newSnapshot(u.Change, views)
	for _, v := range next.views {
		if v.vectors > 0 && v.seg.matrix.Dim != next.dim {
			return nil, false
		}
	}
	return next, true
}

// Segments of like size are merged when there are this many: an update then costs little, a passage is moved only as often as
// its segment grows by that factor, and a question never looks at many segments.
const fanOut = 4

// tier is the size class of a view: each is fanOut times the one before.
func (v *view) tier() int { return (bits.Len(uint(v.live)/64) + 1) / 2 }

// merged is the snapshot with its segments merged by size, until no size has too many; the same snapshot if there was nothing
// to do.
func (s *snapshot) merged() *snapshot {
	for {
		group := s.crowded()
		if group == nil {
			return s
		}
		s = s.merge(group)
	}
}

// crowded gives the views that should become one: those of a size class that has too many, or one with many dead rows.
func (s *snapshot) crowded() []*view {
	tiers := map[int][]*view{}
	for _, v := range s.views {
		if (v.seg.rows()-v.live)*4 > v.seg.rows() {
			return []*view{v}
		}
		tier := append(tiers[v.tier()], v)
		if len(tier) >= fanOut && mergeable(tier) {
			return tier
		}
		tiers[v.tier()] = tier
	}
	return nil
}

func mergeable(views []*view) bool {
	rows, postings := 0, 0
	for _, v := range views {
		rows += v.live
		postings += len(v.seg.postings)
	}
	return rows < maxRows && fits(postings)
}

// pure is the snapshot with nothing left of deleted passages.
func (s *snapshot) pure() *snapshot {
	for _, v := range s.views {
		if v.dead != nil {
			s = s.merge([]*view{v})
		}
	}
	return s
}

// merge is the snapshot with the views of group made one.
func (s *snapshot) merge(group []*view) *snapshot {
	var views []*view
	for _, v := range s.views {
		if !slices.Contains(group, v) {
			views = append(views, v)
		}
	}
	return newSnapshot(s.change, append(views, newView(mergeViews(group, s.dim), nil)))
}
