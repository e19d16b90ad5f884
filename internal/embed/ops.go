package embed

import "math"

// linear is one fully connected layer with int8 weights. Activations reach it as unsigned bytes: value = (q - za)·sa, with the
// zero point and scale of the token's row. Its result is therefore
//
//	out[t][n] = (Σ_k q[t][k]·w[n][k] + za[t]·corr[n]) · (sa[t]·s[n]) + b[n]
//
// with corr[n] = -Σ_k w[n][k].
type linear struct {
	n, k int
	w    []int8 // [n][k], or packed as the kernel wants it
	corr []float32
	s, b []float32
}

// geluShift is added to GELU (at least -0.17) before it is quantised with zero point 0; the bias of the next layer takes it out.
const geluShift = 0.17

// kernel is one implementation of the arithmetic. All give the same bits: sums are folded in one order, and a product and a
// sum are rounded together (fma) or apart wherever this file does so.
type kernel struct {
	name string
	// Packing of linear.w: blocks of nb outputs, in which kg successive inputs of an output lie together. 0 keeps rows as they are.
	nb, kg  int
	actSize int // bytes of one quantised activation

	// quant quantises a row over its range, 0 included.
	quant func(dst []byte, src []float32) (scale, zero float32)
	// gelu applies GELU, adds geluShift, quantises with zero point 0. It overwrites src.
	gelu func(dst []byte, src []float32) (scale float32)
	// gemm computes m rows of a linear layer. tmp is room for l.k numbers.
	gemm func(out []float32, act []byte, sa, za []float32, m int, l *linear, tmp []int64)
	// addNorm sets x to the layer norm of x + y, with the gains and biases of g.
	addNorm func(x, y, g []float32, eps float32)
	// sgemm computes out[i][0:32] = (init[0:32] + Σ_k a[i][k]·b[k][0:32])·scale[i] for i < m.
	sgemm func(out []float32, ldo int, a []float32, lda int, b []float32, ldb, k, m int, init, scale []float32)
	// softmax replaces s, a multiple of 16 long, by exp(s - max), and returns one over the sum.
	softmax func(s []float32) float32
}

// portable is the implementation that runs everywhere and that the others are tested against.
func portable() *kernel {
	return &kernel{
		name: "go", actSize: 1,
		quant: quantGo, gelu: geluGo, gemm: gemmGo, addNorm: addNormGo, sgemm: sgemmGo, softmax: softmaxGo,
	}
}

// Kernel names the arithmetic that this machine runs: avx512vnni, avxvnni, avx2, sdot or go.
func Kernel() string { return kernels()[0].name }

// Kernels lists what this machine can run, best first.
func Kernels() []string {
	var names []string
	for _, k := range kernels() {
		names = append(names, k.name)
	}
	return names
}

// fma is a·b + c rounded once. The sum in float64 is exact but for its last bit, which matters only where it lies half-way
// between two float32.
func fma(a, b, c float32) float32 {
	s := float64(float64(a)*float64(b)) + float64(c)
	if math.Float64bits(s)&(1<<29-1) == 1<<28 {
		return fmaHalf(a, b, c, s)
	}
	return float32(s)
}

func fmaHalf(a, b, c float32, s float64) float32 {
	p, z := float64(a)*float64(b), float64(c)
	t := s - p
	rest := float64(p-float64(s-t)) + float64(z-t) // what s has lost of p + z
	switch {
	case rest > 0:
		s = math.Nextafter(s, math.Inf(1))
	case rest < 0:
		s = math.Nextafter(s, math.Inf(-1))
	}
	return float32(s)
}

// roundMagic added to a float32 below 2^22 in size leaves it rounded to nearest even in the low bits of the sum.
const roundMagic = 12582912 // 1.5·2^23

func roundInt(x float32) int32 { return int32(math.Float32bits(x+roundMagic)) - 0x4B400000 }

// quantGo uses 254 steps, so that rounding at both ends cannot pass 255.
func quantGo(dst []byte, src []float32) (scale, zero float32) {
	var lo, hi float32
	for _, x := range src {
		lo, hi = min(lo, x), max(hi, x)
	}
	r := max(hi-lo, 1e-20)
	inv := 254 / r
	z := -roundInt(float32(lo * inv))
	dst = dst[:len(src)]
	for i, x := range src {
		dst[i] = byte(roundInt(float32(x*inv)) + z)
	}
	return r / 254, float32(z)
}

// The coefficients of erf(x/√2) ~ x·P(x²) for |x| <= geluClamp, beyond which the value at the clamp is used. GELU is off by at
// most 1.2e-5 inside and 7e-5·|x| outside.
const geluClamp = 3.8

var geluP = [9]float32{0.797863711, -0.132884322, 0.0198194191, -0.0022973068, 0.00020491261,
	-1.35534858e-05, 6.17303814e-07, -1.70133559e-08, 2.11293916e-10}

func gelu(x float32) float32 {
	c := min(max(x, -geluClamp), geluClamp)
	u := float32(c * c)
	p := geluP[8]
	for i := 7; i >= 0; i-- {
		p = fma(p, u, geluP[i])
	}
	h := float32(0.5 * x)
	return fma(h, float32(p*c), h)
}

func geluGo(dst []byte, src []float32) float32 {
	var m float32
	for i, x := range src {
		g := gelu(x) + geluShift
		src[i] = g
		m = max(m, g)
	}
	m = max(m, 1e-20)
	inv := 255 / m
	dst = dst[:len(src)]
	for i, x := range src {
		dst[i] = byte(roundInt(float32(max(x, 0) * inv)))
	}
	return m / 255
}

// fold sums numbers that lie in 16 lanes, halves onto halves.
func fold(a *[16]float32) float32 {
	for n := 8; n > 0; n /= 2 {
		for i := range n {
			a[i] += a[i+n]
		}
	}
	return a[0]
}

// foldBlock sums the accumulators of blocks of 64 numbers.
func foldBlock(acc *[64]float32) float32 {
	var a [16]float32
	for i := range a {
		a[i] = (acc[i] + acc[16+i]) + (acc[32+i] + acc[48+i])
	}
	return fold(&a)
}

func addNormGo(x, y, g []float32, eps float32) {
	n := len(x)
	inv := 1 / float32(n)
	var acc [64]float32
	for o := 0; o < n; o += 64 {
		xs, ys := (*[64]float32)(x[o:]), (*[64]float32)(y[o:])
		for i := range xs {
			xs[i] += ys[i]
			acc[i] += xs[i]
		}
	}
	mean := float32(foldBlock(&acc) * inv)
	acc = [64]float32{}
	for o := 0; o < n; o += 64 {
		for i, v := range (*[64]float32)(x[o:]) {
			d := v - mean
			acc[i] = fma(d, d, acc[i])
		}
	}
	root := 1 / float32(math.Sqrt(float64(float32(foldBlock(&acc)*inv)+eps)))
	gain, bias := g[:n], g[n:][:n]
	for i, v := range x {
		x[i] = fma(float32((v-mean)*root), gain[i], bias[i])
	}
}

// expP are the coefficients of 2^f for |f| <= 1/2: Taylor's, relative error below 3e-6.
var expP = [6]float32{1, 0.69314718, 0.24022651, 0.05550411, 0.0096181291, 0.0013333558}

// exp is e^x for x <= 0.
func exp(x float32) float32 {
	t := float32(max(x, -87) * math.Log2E)
	n := roundInt(t)
	f := t - float32(n)
	p := expP[5]
	for i := 4; i >= 0; i-- {
		p = fma(p, f, expP[i])
	}
	return math.Float32frombits(math.Float32bits(p) + uint32(n)<<23)
}

func softmaxGo(s []float32) float32 {
	m := s[0]
	for _, x := range s {
		m = max(m, x)
	}
	var acc [16]float32
	for o := 0; o < len(s); o += 16 {
		row := (*[16]float32)(s[o:])
		for i, x := range row {
			e := exp(x - m)
			row[i] = e
			acc[i] += e
		}
	}
	return 1 / fold(&acc)
}

func sgemmGo(out []float32, ldo int, a []float32, lda int, b []float32, ldb, k, m int, init, scale []float32) {
	for i := range m {
		o := (*[32]float32)(out[i*ldo:])
		*o = *(*[32]float32)(init)
		for kk, x := range a[i*lda:][:k] {
			x64 := float64(x)
			for j, y := range (*[32]float32)(b[kk*ldb:]) { // fma, written out: it is not inlined
				s := float64(x64*float64(y)) + float64(o[j])
				if math.Float64bits(s)&(1<<29-1) == 1<<28 {
					o[j] = fmaHalf(x, y, o[j], s)
				} else {
					o[j] = float32(s)
				}
			}
		}
		for j := range o {
			o[j] *= scale[i]
		}
	}
}

// gemmGo multiplies three token rows at a time: their bytes share an int64 as lanes of 21 bits, so that one multiplication does
// three. Every 32 inputs the lanes (at most 32·255·127 < 2^20) are taken out and summed.
func gemmGo(out []float32, act []byte, sa, za []float32, m int, l *linear, tmp []int64) {
	const chunk = 32
	k := l.k
	tmp = tmp[:k]
	for t := 0; t < m; t += 3 {
		rows := min(3, m-t)
		a := act[t*k:]
		for i := range tmp {
			v := int64(a[i])
			if rows > 1 {
				v += int64(a[k+i]) << 21
			}
			if rows > 2 {
				v += int64(a[2*k+i]) << 42
			}
			tmp[i] = v
		}
		for n := 0; n < l.n; n += 4 {
			var sum [4][3]int32
			for c := 0; c < k; c += chunk {
				w0 := (*[chunk]int8)(l.w[n*k+c:])
				w1 := (*[chunk]int8)(l.w[(n+1)*k+c:])
				w2 := (*[chunk]int8)(l.w[(n+2)*k+c:])
				w3 := (*[chunk]int8)(l.w[(n+3)*k+c:])
				var s0, s1, s2, s3 int64
				for i, v := range (*[chunk]int64)(tmp[c:]) {
					s0 += v * int64(w0[i])
					s1 += v * int64(w1[i])
					s2 += v * int64(w2[i])
					s3 += v * int64(w3[i])
				}
				addLanes(&sum[0], s0)
				addLanes(&sum[1], s1)
				addLanes(&sum[2], s2)
				addLanes(&sum[3], s3)
			}
			for j := range sum {
				c, s, b := l.corr[n+j], l.s[n+j], l.b[n+j]
				for r := range rows {
					v := float32(sum[j][r]) + float32(za[t+r]*c)
					out[(t+r)*l.n+n+j] = float32(v*float32(sa[t+r]*s)) + b
				}
			}
		}
	}
}

// addLanes adds the three lanes of s to sum.
func addLanes(sum *[3]int32, s int64) {
	x := s << 43 >> 43
	s = (s - x) >> 21
	y := s << 43 >> 43
	sum[0] += int32(x)
	sum[1] += int32(y)
	sum[2] += int32((s - y) >> 21)
}
