package search

import (
	"cmp"
	"slices"
)

// origin is where a row of a merged segment comes from.
type origin struct{ view, row int }

// mergeViews makes one segment of the live passages of some views.
func mergeViews(views []*view, dim int) *segment {
	origins := liveRows(views)
	b := newBuilder(dim)
	places := make([][]uint32, len(views)) // the new row of each old one
	vecRows := make([][]uint32, len(views))
	for i, v := range views {
		places[i] = filled(v.seg.rows())
		vecRows[i] = filled(v.seg.rows())
		for j := range v.seg.matrix.Rows() {
			vecRows[i][v.seg.rowOf(j)] = uint32(j)
		}
	}
	for row, o := range origins {
		s := views[o.view].seg
		places[o.view][o.row] = uint32(row)
		b.addRow(s.ids[o.row], s.lengths[o.row], family(s.families[o.row]), s.language.of(o.row), s.version.of(o.row), s.source.of(o.row))
		if j := vecRows[o.view][o.row]; j != none {
			b.seg.matrix.AppendRow(&s.matrix, int(j))
			b.seg.vecRows = append(b.seg.vecRows, uint32(row))
		}
	}
	for i, v := range views {
		b.addPostings(v.seg, places[i])
	}
	return b.finish()
}

// addPostings takes over the postings of a segment whose row i is now places[i]. A term that has none left is left out.
func (b *builder) addPostings(s *segment, places []uint32) {
	for i := range s.terms.len() {
		term := uint32(none)
		for _, p := range s.postings[s.starts[i]:s.starts[i+1]] {
			row := places[p>>8]
			if row == none {
				continue
			}
			if term == none {
				term = b.number(string(s.terms.at(i)))
			}
			b.addPosting(term, row, p&maxCount)
		}
	}
}

// liveRows lists the live rows of views in ascending order of their passages' ids.
func liveRows(views []*view) []origin {
	var origins []origin
	for i, v := range views {
		for row := range v.seg.rows() {
			if v.alive(row) {
				origins = append(origins, origin{i, row})
			}
		}
	}
	byID := func(a, b origin) int { return cmp.Compare(views[a.view].seg.ids[a.row], views[b.view].seg.ids[b.row]) }
	if !slices.IsSortedFunc(origins, byID) {
		slices.SortFunc(origins, byID)
	}
	return origins
}

// filled is n times none.
func filled(n int) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = none
	}
	return all
}
