package embed

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// eachKernel runs f for every kernel of this machine but the portable one.
func eachKernel(t *testing.T, f func(t *testing.T, k *kernel, r *rand.Rand)) {
	for _, k := range kernels()[:len(kernels())-1] {
		t.Run(k.name, func(t *testing.T) { f(t, k, rand.New(rand.NewPCG(1, 2))) })
	}
}

// rows are numbers as layers have them, and as they should never be.
func row(r *rand.Rand, n int, kind string) []float32 {
	x := make([]float32, n)
	for i := range x {
		switch v := float32(r.NormFloat64()); kind {
		case "normal":
			x[i] = v
		case "spike":
			x[i] = v / 100
			if r.IntN(100) == 0 {
				x[i] = v * 40
			}
		case "huge":
			x[i] = v * 1e15
		case "tiny":
			x[i] = v * 1e-25
		case "positive":
			x[i] = float32(math.Abs(float64(v))) + 1
		case "negative":
			x[i] = -float32(math.Abs(float64(v))) * 1000
		case "halves":
			x[i] = float32(r.IntN(17)-8) / 2
		}
	}
	return x
}

var kinds = []string{"normal", "spike", "huge", "tiny", "positive", "negative", "halves", "zero"}

// same fails unless got and want have the same bits; a zero may have either sign.
func same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && !(got[i] == 0 && want[i] == 0) {
			t.Fatalf("%s: number %d is %g, the portable kernel gives %g", what, i, got[i], want[i])
		}
	}
}

func randomLinear(r *rand.Rand, n, kk int, extreme bool) (w []int8, s, b []float32) {
	w = make([]int8, n*kk)
	for i := range w {
		w[i] = int8(r.IntN(255) - 127)
		if extreme {
			w[i] = []int8{-127, 127, 127, -128}[r.IntN(4)]
		}
	}
	return w, row(r, n, "normal"), row(r, n, "normal")
}

// arranged makes a layer for a kernel.
func arranged(k *kernel, n, kk int, w []int8, s, b []float32) linear {
	l := linear{n: n, k: kk, w: arrange(k, w, n, kk), s: s, b: b, corr: make([]float32, n)}
	for i, x := range w {
		l.corr[i/kk] -= float32(x)
	}
	return l
}

// spread lays bytes out as activations of a kernel.
func spread(k *kernel, b []byte) []byte {
	out := make([]byte, len(b)*k.actSize)
	for i, c := range b {
		out[i*k.actSize] = c
	}
	return out
}

func TestEveryKernelMultipliesAsThePortableOne(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernel, r *rand.Rand) {
		for _, shape := range [][2]int{{64, 64}, {192, 64}, {128, 192}, {64, 1536}, {64, 4096}} {
			n, kk := shape[0], shape[1]
			for m := 1; m <= 14; m++ {
				for _, extreme := range []bool{false, true} {
					w, s, b := randomLinear(r, n, kk, extreme)
					act := make([]byte, m*kk)
					for i := range act {
						act[i] = byte(r.IntN(256))
						if extreme {
							act[i] = []byte{255, 255, 0}[r.IntN(3)]
						}
					}
					sa, za := row(r, m, "positive"), make([]float32, m)
					for i := range za {
						za[i] = float32(r.IntN(256))
					}
					got, want := make([]float32, m*n), make([]float32, m*n)
					tmp := make([]int64, kk)
					ours, plain := arranged(k, n, kk, w, s, b), arranged(portable(), n, kk, w, s, b)
					k.gemm(got, spread(k, act), sa, za, m, &ours, tmp)
					gemmGo(want, act, sa, za, m, &plain, tmp)
					same(t, fmt.Sprintf("%d rows of %d by %d", m, n, kk), got, want)
				}
			}
		}
	})
}

func TestThePortableProductIsTheSumOfProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const n, kk, m = 64, 1536, 4
	w, s, b := randomLinear(r, n, kk, true)
	act := make([]byte, m*kk)
	for i := range act {
		act[i] = byte(255 - r.IntN(2)*r.IntN(256))
	}
	sa, za := []float32{1, 2, 3, 4}, []float32{0, 128, 255, 7}
	l := arranged(portable(), n, kk, w, s, b)
	got, want := make([]float32, m*n), make([]float32, m*n)
	gemmGo(got, act, sa, za, m, &l, make([]int64, kk))
	for t0 := range m {
		for o := range n {
			var sum, weights int32
			for i := range kk {
				sum += int32(act[t0*kk+i]) * int32(w[o*kk+i])
				weights += int32(w[o*kk+i])
			}
			v := float32(sum) + float32(za[t0]*float32(-weights))
			want[t0*n+o] = float32(v*float32(sa[t0]*s[o])) + b[o]
		}
	}
	same(t, "product", got, want)
}

func TestEveryKernelQuantisesAsThePortableOne(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernel, r *rand.Rand) {
		for _, n := range []int{64, 384, 1536} {
			for _, kind := range kinds {
				x := row(r, n, kind)
				got, want := make([]byte, n*k.actSize), make([]byte, n)
				gs, gz := k.quant(got, x)
				ws, wz := quantGo(want, x)
				same(t, kind+": scale and zero point", []float32{gs, gz}, []float32{ws, wz})
				if !slices.Equal(got, spread(k, want)) {
					t.Fatalf("%s: other bytes", kind)
				}
				y := slices.Clone(x)
				gs, ws = k.gelu(got, x), geluGo(want, y)
				same(t, kind+": GELU", append(x, gs), append(y, ws))
				if !slices.Equal(got, spread(k, want)) {
					t.Fatalf("%s: other bytes after GELU", kind)
				}
			}
		}
	})
}

func TestEveryKernelNormalisesAsThePortableOne(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernel, r *rand.Rand) {
		for _, kind := range kinds {
			for _, n := range []int{64, 128, 192, 384, 768} {
				x, y, g := row(r, n, kind), row(r, n, kind), row(r, 2*n, "normal")
				x2 := slices.Clone(x)
				k.addNorm(x, y, g, 1e-12)
				addNormGo(x2, y, g, 1e-12)
				same(t, kind+": norm", x, x2)
			}
			for n := 16; n <= 512; n += 48 {
				s := row(r, n, kind)
				s[n-1] = -1e30
				s2 := slices.Clone(s)
				got, want := k.softmax(s), softmaxGo(s2)
				same(t, kind+": softmax", append(s, got), append(s2, want))
			}
		}
	})
}

func TestEveryKernelAttendsAsThePortableOne(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernel, r *rand.Rand) {
		for _, kind := range kinds {
			for m := 1; m <= 26; m++ {
				const kk, lda, ldb, ldo = 37, 40, 50, 48
				a, b := row(r, m*lda, kind), row(r, kk*ldb, kind)
				init, scale := row(r, 32, kind), row(r, m, "normal")
				got, want := make([]float32, m*ldo), make([]float32, m*ldo)
				k.sgemm(got, ldo, a, lda, b, ldb, kk, m, init, scale)
				sgemmGo(want, ldo, a, lda, b, ldb, kk, m, init, scale)
				same(t, kind, got, want)
			}
		}
	})
}

func TestFmaRoundsOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	check := func(a, b, c float32) {
		exact := new(big.Float).SetPrec(2000).SetFloat64(float64(a))
		exact.Mul(exact, big.NewFloat(float64(b)).SetPrec(2000))
		exact.Add(exact, big.NewFloat(float64(c)).SetPrec(2000))
		if want, _ := exact.Float32(); fma(a, b, c) != want {
			t.Fatalf("fma(%g, %g, %g) is %g, want %g", a, b, c, fma(a, b, c), want)
		}
	}
	for range 20_000 {
		x := row(r, 3, "normal")
		check(x[0], x[1], x[2])
		check(x[0], x[1], float32(math.Ldexp(float64(x[2]), r.IntN(80)-40)))
	}
	// One and a half units of c, give or take less than float64 sees.
	for e := -60; e < -20; e++ {
		half, little := float32(math.Ldexp(1, -24)), float32(math.Ldexp(1, e))
		check(1+half*2, half*(1-little), 1)
		check(1+half*2, half, 1+half*2)
		check(half*(1+little), 1-half*2, 1+half*2)
	}
}

// geluTolerance is the error that the approximation may have at x.
func geluTolerance(x float64) float64 {
	if a := math.Abs(x); a > geluClamp {
		return 8e-5 * a
	}
	return 3e-5
}

func TestTheApproximationsAreAsGoodAsSaid(t *testing.T) {
	for x := float32(-100); x < 0; x += 0.01 {
		want := math.Exp(float64(max(x, -87)))
		if d := math.Abs(float64(exp(x)) - want); d > 8e-6*want {
			t.Fatalf("exp(%g) is off by %g", x, d)
		}
	}
	for x := -9.0; x < 9; x += 0.001 {
		want := x * 0.5 * (1 + math.Erf(x/math.Sqrt2))
		if d := math.Abs(float64(gelu(float32(x))) - want); d > geluTolerance(x) {
			t.Fatalf("gelu(%g) is off by %g", x, d)
		}
	}
}
