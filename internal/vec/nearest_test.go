package vec

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// clustered is a matrix of rows some of which are as close to each other as float32 can tell, and the rows' own vectors.
func clustered(rng *rand.Rand, dim, rows int, spread float64) (*Matrix, [][]float32) {
	m := &Matrix{Dim: dim}
	var vectors [][]float32
	for len(vectors) < rows {
		v := make([]float32, dim)
		for i := range v {
			v[i] = float32(rng.NormFloat64())
		}
		if len(vectors) > 0 && rng.IntN(3) > 0 {
			near := vectors[rng.IntN(len(vectors))]
			for i := range v {
				v[i] = near[i] + v[i]*float32(spread)
			}
		}
		if unit := Normalize(v); unit != nil && m.Append(unit) {
			vectors = append(vectors, unit)
		}
	}
	return m, vectors
}

func TestWhateverIsNearestContends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		dim := rapid.SampledFrom([]int{1, 2, 3, 16, 17, 100, 384, 1024}).Draw(t, "dim")
		rows := rapid.IntRange(1, 300).Draw(t, "rows")
		spread := rapid.SampledFrom([]float64{0, 1e-7, 1e-4, 1e-2, 1}).Draw(t, "spread")
		nearestContends(t, seed, dim, rows, spread, rapid.Bool().Draw(t, "another"))
	})
}

// Rows that differ only where a code cannot tell them apart: the bound must leave room for the rounding of the best one, too.
func TestTheNearestOfRowsWithinRoundingContends(t *testing.T) {
	nearestContends(t, 2, 2, 9, 1e-4, false)
}

func nearestContends(t interface{ Fatalf(string, ...any) }, seed uint64, dim, rows int, spread float64, another bool) {
	rng := rand.New(rand.NewPCG(seed, 1))
	m, vectors := clustered(rng, dim, rows, spread)
	q := vectors[rng.IntN(rows)]
	if another {
		_, others := clustered(rng, dim, 1, 0)
		q = others[0]
	}
	best := Dot(vectors[0], q)
	for _, v := range vectors {
		best = max(best, Dot(v, q))
	}
	contends := map[int]bool{}
	for _, c := range Contenders(q, m) {
		contends[c.Row] = true
		if got := Dot(vectors[c.Row], q); got > c.Most {
			t.Fatalf("row %d has %g, at most %g was said", c.Row, got, c.Most)
		}
	}
	for i, v := range vectors {
		if Dot(v, q) == best && !contends[i] {
			t.Fatalf("row %d of %d is nearest with %g and does not contend", i, rows, best)
		}
	}
}

func TestFewContendWhereOneIsNear(t *testing.T) {
	m, vectors := clustered(rand.New(rand.NewPCG(1, 2)), 384, 3000, 1)
	if got := Contenders(vectors[7], m); len(got) != 1 || got[0].Row != 7 {
		t.Errorf("%v", got)
	}
}

// So many rows are read in parts: the nearest is found wherever it stands.
func TestTheNearestOfManyContends(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m, vectors := clustered(rng, 16, 2*partRows+100, 1e-3)
	for _, i := range []int{0, 1, partRows - 1, partRows, partRows + block + 1, 2*partRows + 98, 2*partRows + 99} {
		q, best := vectors[i], 0
		for j, v := range vectors {
			if Dot(v, q) > Dot(vectors[best], q) {
				best = j
			}
		}
		rows := map[int]bool{}
		for _, c := range Contenders(q, m) {
			if rows[c.Row] {
				t.Errorf("row %d contends twice", c.Row)
			}
			rows[c.Row] = true
		}
		if !rows[best] || len(rows) > len(vectors)/10 {
			t.Errorf("row %d is nearest to %d: %t, of %d", best, i, rows[best], len(rows))
		}
	}
}

func TestASwappedRowIsTheLastOne(t *testing.T) {
	m, vectors := clustered(rand.New(rand.NewPCG(1, 2)), 20, 5, 1)
	want := &Matrix{Dim: 20}
	for _, i := range []int{0, 4, 2, 3} {
		want.Append(vectors[i])
	}
	m.Swap(1)
	same := m.Rows() == want.Rows()
	for i := range want.Codes {
		same = same && m.Codes[i] == want.Codes[i]
	}
	m.Swap(3)
	if !same || m.Rows() != 3 || len(m.Codes) != 3*Stride(20) {
		t.Errorf("%+v, want %+v", m, want)
	}
}
