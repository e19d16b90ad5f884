package vec

import (
	"math/bits"
	"slices"
)

// Bits is a set of rows, one bit each. A nil Bits holds every row.
type Bits []uint64

// NewBits returns an empty set with room for n rows.
func NewBits(n int) Bits { return make(Bits, (n+63)/64) }

// Has says whether row i is in the set.
func (b Bits) Has(i int) bool { return b == nil || b[i>>6]>>(i&63)&1 == 1 }

// Set puts row i into the set, which must not be nil.
func (b Bits) Set(i int) { b[i>>6] |= 1 << (i & 63) }

// Count is the number of rows in the set, 0 for nil.
func (b Bits) Count() (n int) {
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// Found is a row and its score.
type Found struct {
	Row   int
	Score float32
}

// block is how many rows are multiplied before their scores are looked at: the rows of one word of Bits, few enough for the
// processor's first cache.
const block = 64

// Scan returns the rows of m in keep with the highest approximate dot product with q, best first, at most top of them. Equal
// scores come in order of rows. The dimensions of q and m must be the same.
func Scan(q Query, m *Matrix, keep Bits, top int) []Found {
	if top < 1 || m.Rows() == 0 {
		return nil
	}
	if q.dim != m.Dim {
		panic("vec: question and rows differ in dimension")
	}
	best := heap{most: top}
	stride := Stride(m.Dim)
	var dots [block]int32
	for row := 0; row < m.Rows(); row += block {
		n := min(block, m.Rows()-row)
		if keep != nil && keep[row/block] == 0 {
			continue
		}
		dotRows(dots[:n], q.codes, m.Codes[row*stride:(row+n)*stride])
		for i, dot := range dots[:n] {
			score := float32(dot) * m.Scales[row+i]
			if (len(best.found) < top || score > best.found[0].Score) && keep.Has(row+i) {
				best.add(Found{Row: row + i, Score: score})
			}
		}
	}
	for i := range best.found {
		best.found[i].Score *= q.scale
	}
	slices.SortFunc(best.found, func(a, b Found) int {
		if a.Score != b.Score {
			if a.Score > b.Score {
				return -1
			}
			return 1
		}
		return a.Row - b.Row
	})
	return best.found
}

// heap keeps the best rows, the worst of them at the top.
type heap struct {
	most  int
	found []Found
}

func worse(a, b Found) bool { return a.Score < b.Score || a.Score == b.Score && a.Row > b.Row }

func (h *heap) add(f Found) {
	if len(h.found) == h.most {
		h.found[0] = f
		h.sink()
		return
	}
	h.found = append(h.found, f)
	for i := len(h.found) - 1; i > 0; {
		parent := (i - 1) / 2
		if !worse(h.found[i], h.found[parent]) {
			return
		}
		h.found[i], h.found[parent] = h.found[parent], h.found[i]
		i = parent
	}
}

func (h *heap) sink() {
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(h.found) && worse(h.found[child], h.found[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.found[i], h.found[least] = h.found[least], h.found[i]
		i = least
	}
}
