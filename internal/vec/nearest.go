package vec

import (
	"math"
	"runtime"
	"slices"
	"sync"
)

// Contender is a row whose dot product may be the highest, and the highest that it can be.
type Contender struct {
	Row  int
	Most float32
}

// Contenders gives the rows whose dot product with a unit vector may be the highest of all: whichever row is the nearest by
// the float32 vectors that were appended to m, it is among them, with all that are as near. The dimensions must be the same.
//
// A row's code is off by at most half its scale a number, so its product by at most half a scale times the sum of the question's
// numbers; what the question's own rounding and float32 add is far less, and counted too. A row contends if the most that it can
// have reaches the least that the best one must have.
func Contenders(unit []float32, m *Matrix) []Contender {
	if len(unit) != m.Dim {
		panic("vec: question and rows differ in dimension")
	}
	q := Quantise(unit)
	var sum float64
	for _, x := range unit {
		sum += float64(abs(x))
	}
	s := search{q: q, m: m, perScale: float32(sum * (.5 + 1e-4)), always: float32(float64(q.scale)*float64(m.Dim) + float64(m.Dim)*0x1p-22)}
	parts := min(runtime.GOMAXPROCS(0), maxParts, m.Rows()/partRows)
	if parts < 2 {
		found, least := s.run(nil, 0, m.Rows())
		return best(found[:0], found, least)
	}
	found, leasts := make([][]Contender, parts), make([]float32, parts)
	size := (m.Rows()/parts + block) / block * block
	var group sync.WaitGroup
	for i := range parts {
		group.Go(func() { found[i], leasts[i] = s.run(nil, i*size, min((i+1)*size, m.Rows())) })
	}
	group.Wait()
	var dst []Contender
	for _, part := range found {
		dst = best(dst, part, slices.Max(leasts))
	}
	return dst
}

const (
	partRows = 16 << 10 // rows from which on it pays to read two halves side by side
	maxParts = 4
)

// search is one look-up of contenders.
type search struct {
	q        Query
	m        *Matrix
	perScale float32 // by which a row may be off, in its scales
	always   float32 // and by which any row may be
}

// run appends the rows of a range that contended when they were read, and gives the least that the best of them has.
func (s *search) run(dst []Contender, from, to int) (_ []Contender, least float32) {
	stride := Stride(s.m.Dim)
	least = float32(math.Inf(-1))
	var dots [block]int32
	for row := from; row < to; row += block {
		scales := s.m.Scales[row:min(row+block, to)]
		dotRows(dots[:len(scales)], s.q.codes, s.m.Codes[row*stride:(row+len(scales))*stride])
		for i, scale := range scales {
			score, off := float32(dots[i])*scale*s.q.scale, s.perScale*scale+s.always
			if score+off >= least {
				dst = append(dst, Contender{row + i, score + off})
				least = max(least, score-off)
			}
		}
	}
	return dst, least
}

// best appends those that can have as much as the best one must have.
func best(dst, found []Contender, least float32) []Contender {
	for _, c := range found {
		if c.Most >= least {
			dst = append(dst, c)
		}
	}
	return dst
}

// Swap removes row i by putting the last row in its place.
func (m *Matrix) Swap(i int) {
	last, stride := m.Rows()-1, Stride(m.Dim)
	copy(m.Codes[i*stride:(i+1)*stride], m.Codes[last*stride:])
	m.Scales[i] = m.Scales[last]
	m.Codes, m.Scales = m.Codes[:last*stride], m.Scales[:last]
}
