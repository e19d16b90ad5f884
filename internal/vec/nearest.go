package vec

import "math"

// Contender is a row whose dot product may be the highest, and the highest that it can be.
type Contender struct {
	Row  int
	Most float32
}

// Contenders appends the rows whose dot product with a unit vector may be the highest of all to dst: whichever row is the nearest by
// the float32 vectors that were appended to m, it is among them, with all that are as near. The dimensions must be the same.
//
// A row's code is off by at most half its scale a number, so its product by at most half a scale times the sum of the question's
// numbers; what the question's own rounding and float32 add is far less, and counted too. A row contends if the most that it can
// have reaches the least that the best one must have.
func Contenders(dst []Contender, unit []float32, m *Matrix) []Contender {
	if len(unit) != m.Dim {
		panic("vec: question and rows differ in dimension")
	}
	q := Quantise(unit)
	var sum float64
	for _, x := range unit {
		sum += float64(abs(x))
	}
	dim, stride := float64(m.Dim), Stride(m.Dim)
	perScale := float32(sum * (.5 + 1e-4))                // by which a row may be off, in its scales
	always := float32(float64(q.scale)*dim + dim*0x1p-22) // and by which any row may be
	least := float32(math.Inf(-1))
	var dots [block]int32
	for row := 0; row < m.Rows(); row += block {
		scales := m.Scales[row:min(row+block, m.Rows())]
		dotRows(dots[:len(scales)], q.codes, m.Codes[row*stride:(row+len(scales))*stride])
		for i, scale := range scales {
			score, off := float32(dots[i])*scale*q.scale, perScale*scale+always
			if score+off >= least {
				dst = append(dst, Contender{row + i, score + off})
				least = max(least, score-off)
			}
		}
	}
	kept := dst[:0]
	for _, c := range dst {
		if c.Most >= least {
			kept = append(kept, c)
		}
	}
	return kept
}

// Swap removes row i by putting the last row in its place.
func (m *Matrix) Swap(i int) {
	last, stride := m.Rows()-1, Stride(m.Dim)
	copy(m.Codes[i*stride:(i+1)*stride], m.Codes[last*stride:])
	m.Scales[i] = m.Scales[last]
	m.Codes, m.Scales = m.Codes[:last*stride], m.Scales[:last]
}
