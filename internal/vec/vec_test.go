package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestKernelsGiveTheSameIntegers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, stride := range []int{16, 32, 48, 112, 384, 400, 1024} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 63, 64} {
			for _, extreme := range []bool{false, true} {
				q, codes := make([]int16, stride), make([]int8, n*stride)
				for i := range q {
					q[i] = int16(rng.IntN(4096) - 2048)
					if extreme {
						q[i] = []int16{-16000, 16000}[rng.IntN(2)]
					}
				}
				for i := range codes {
					codes[i] = int8(rng.IntN(256) - 128)
					if extreme {
						codes[i] = []int8{-128, 127, -127}[rng.IntN(3)]
					}
				}
				got, want := make([]int32, n), make([]int32, n)
				dotRows(got, q, codes)
				dotRowsGo(want, q, codes)
				if !slices.Equal(got, want) {
					t.Fatalf("stride %d, %d rows: %v, want %v", stride, n, got, want)
				}
			}
		}
	}
}

func TestAQueryNeverOverflows(t *testing.T) {
	for _, dim := range []int{1, 2, 384, 4096, MaxDim} {
		for name, number := range map[string]func(i int) float32{
			"flat":  func(int) float32 { return 1 },
			"spike": func(i int) float32 { return []float32{1, 1e-6}[min(i, 1)] },
		} {
			v := make([]float32, dim)
			for i := range v {
				v[i] = number(i)
			}
			var sum int64
			for _, c := range Quantise(Normalize(v)).codes {
				sum += int64(max(c, -c)) * maxCode
			}
			if sum > math.MaxInt32 {
				t.Errorf("%s of %d: a row can reach %d", name, dim, sum)
			}
		}
	}
}

func TestScanIsCloseToTheExactDotProductForAnyDimension(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dim := rapid.IntRange(1, 70).Draw(t, "dim")
		rows := rapid.IntRange(1, 150).Draw(t, "rows")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		q := Normalize(random(rng, dim))
		m, keep := Matrix{Dim: dim}, NewBits(rows)
		var exact []float32
		for i := range rows {
			v := random(rng, dim)
			m.Append(v)
			exact = append(exact, Dot(q, Normalize(v)))
			if rng.IntN(3) > 0 {
				keep.Set(i)
			}
		}
		found := Scan(Quantise(q), &m, keep, rows)
		if len(found) != keep.Count() {
			t.Fatalf("%d found of %d", len(found), keep.Count())
		}
		for i, f := range found {
			if !keep.Has(f.Row) || math.Abs(float64(f.Score-exact[f.Row])) > 0.005*math.Sqrt(float64(dim)) {
				t.Fatalf("row %d: %v, exact %v", f.Row, f.Score, exact[f.Row])
			}
			if i > 0 && found[i-1].Score < f.Score {
				t.Fatal("not in falling order")
			}
		}
		if top := Scan(Quantise(q), &m, keep, 5); !slices.Equal(top, found[:min(5, len(found))]) {
			t.Fatalf("top 5 %v, all %v", top, found)
		}
	})
}

func TestEqualScoresComeInOrderOfRows(t *testing.T) {
	m := Matrix{Dim: 3}
	for range 100 {
		m.Append([]float32{1, 2, 3})
	}
	for i, f := range Scan(Quantise(Normalize([]float32{3, 2, 1})), &m, nil, 10) {
		if f.Row != i {
			t.Fatalf("place %d has row %d", i, f.Row)
		}
	}
}

func TestVectorsWithoutDirectionAreRefused(t *testing.T) {
	m := Matrix{Dim: 2}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, v := range [][]float32{{0, 0}, {nan, 1}, {inf, 1}, {}} {
		if m.Append(v) || Normalize(v) != nil || m.Rows() != 0 {
			t.Errorf("%v was taken", v)
		}
	}
}

func TestFiftyRescoredFindTheTenNearest(t *testing.T) {
	const dim, rows, questions = 384, 5000, 20
	rng := rand.New(rand.NewPCG(3, 4))
	m := Matrix{Dim: dim}
	var vectors [][]float32
	for range rows {
		v := Normalize(random(rng, dim))
		vectors = append(vectors, v)
		m.Append(v)
	}
	for range questions {
		q := Normalize(random(rng, dim))
		exact := make([]Found, rows)
		for i, v := range vectors {
			exact[i] = Found{i, Dot(q, v)}
		}
		slices.SortFunc(exact, func(a, b Found) int { return int(math.Copysign(1, float64(b.Score-a.Score))) })
		found := Scan(Quantise(q), &m, nil, 50)
		for _, want := range exact[:10] {
			if !slices.ContainsFunc(found, func(f Found) bool { return f.Row == want.Row }) {
				t.Fatalf("row %d of score %v was missed", want.Row, want.Score)
			}
		}
	}
}

func random(rng *rand.Rand, dim int) []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

func BenchmarkScan(b *testing.B) {
	for _, rows := range []int{10_000, 100_000} {
		rng := rand.New(rand.NewPCG(5, 6))
		const dim = 384
		m := Matrix{Dim: dim, Codes: make([]int8, rows*dim), Scales: make([]float32, rows)}
		for i := range m.Codes {
			m.Codes[i] = int8(rng.Uint32())
		}
		for i := range m.Scales {
			m.Scales[i] = 1. / 127
		}
		q := Quantise(Normalize(random(rng, dim)))
		b.Run(fmt.Sprintf("%s/%d", Kernel(), rows), func(b *testing.B) {
			for b.Loop() {
				Scan(q, &m, nil, 50)
			}
		})
		b.Run(fmt.Sprintf("portable/%d", rows), func(b *testing.B) {
			out := make([]int32, rows)
			for b.Loop() {
				dotRowsGo(out, q.codes, m.Codes)
			}
		})
	}
}
