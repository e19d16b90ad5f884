package vec

import "math"

// MaxDim is the largest dimension of a vector.
const MaxDim = 1 << 16

const (
	lane    = 16  // numbers a kernel takes at once; rows are padded with zeros to a multiple
	maxCode = 127 // of a row; -128 is not used, so that codes are symmetric
)

// Matrix holds unit vectors as one byte a number. Its fields are exported so that it can be written to a file and pointed at
// the bytes of one; rows are only ever appended.
type Matrix struct {
	Dim    int
	Codes  []int8    // Stride(Dim) for each row
	Scales []float32 // one a row: number ~ code * scale
}

// Stride is the number of codes that a row of dim numbers takes.
func Stride(dim int) int { return (dim + lane - 1) / lane * lane }

// Rows is the number of rows.
func (m *Matrix) Rows() int { return len(m.Scales) }

// Append adds v at unit length as the last row. It adds nothing and says false if v has no direction.
func (m *Matrix) Append(v []float32) bool {
	unit := Normalize(v)
	if unit == nil {
		return false
	}
	var largest float32
	for _, x := range unit {
		largest = max(largest, abs(x))
	}
	scale := largest / maxCode
	for _, x := range unit {
		m.Codes = append(m.Codes, int8(math.RoundToEven(float64(x/scale))))
	}
	for range Stride(m.Dim) - len(unit) {
		m.Codes = append(m.Codes, 0)
	}
	m.Scales = append(m.Scales, scale)
	return true
}

// AppendRow adds row i of another matrix of the same dimension.
func (m *Matrix) AppendRow(from *Matrix, i int) {
	stride := Stride(m.Dim)
	m.Codes = append(m.Codes, from.Codes[i*stride:(i+1)*stride]...)
	m.Scales = append(m.Scales, from.Scales[i])
}

// Query is a question's vector made ready for scans.
type Query struct {
	dim   int
	codes []int16 // padded as rows are
	scale float32
}

// Dim is the dimension of the vector.
func (q Query) Dim() int { return q.dim }

// Quantise makes a query of a unit vector. Its codes use as many of 16 bits as leave the sum of any row within 32.
func Quantise(unit []float32) Query {
	var largest float32
	var sum float64
	for _, x := range unit {
		largest = max(largest, abs(x))
		sum += float64(abs(x))
	}
	q := Query{dim: len(unit), codes: make([]int16, Stride(len(unit)))}
	if largest == 0 {
		return q
	}
	// Rounding adds at most half a code a number, hence the room for len(unit).
	room := (math.MaxInt32/maxCode - float64(len(unit))) / sum
	factor := min(math.MaxInt16/float64(largest), room)
	for i, x := range unit {
		q.codes[i] = int16(math.RoundToEven(float64(x) * factor))
	}
	q.scale = float32(1 / factor)
	return q
}

func abs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }
