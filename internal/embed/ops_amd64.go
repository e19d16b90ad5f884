package embed

import (
	"sync"

	"golang.org/x/sys/cpu"
)

// kernels lists what this machine can run, best first.
var kernels = sync.OnceValue(func() []*kernel {
	x := &cpu.X86
	var l []*kernel
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI {
		l = append(l, avx512())
	}
	if x.HasAVX2 && x.HasFMA {
		if x.HasAVXVNNI {
			l = append(l, avx256("avxvnni", 4, 1, gemmVNNI256Table[:], quantVNNI256, geluVNNI256))
		}
		l = append(l, avx256("avx2", 2, 2, gemmAVX2Table[:], quantAVX2, geluAVX2))
	}
	return append(l, portable())
})

func avx512() *kernel {
	k := &kernel{name: "avx512vnni", nb: 64, kg: 4, actSize: 1}
	k.quant = func(d []byte, s []float32) (float32, float32) { return quantVNNI512(&d[0], &s[0], len(s)) }
	k.gelu = func(d []byte, s []float32) float32 { return geluVNNI512(&d[0], &s[0], len(s)) }
	k.gemm = func(out []float32, act []byte, sa, za []float32, m int, l *linear, _ []int64) {
		gemmTiles(gemmVNNI512Table[:], k, out, act, sa, za, m, l)
	}
	k.addNorm = func(x, y, g []float32, eps float32) {
		addNorm512(&x[0], &y[0], &g[0], len(x), 1/float32(len(x)), eps)
	}
	k.sgemm = func(out []float32, ldo int, a []float32, lda int, b []float32, ldb, kk, m int, init, scale []float32) {
		sgemmTiles(sgemm512Table[:], out, ldo, a, lda, b, ldb, kk, m, init, scale)
	}
	k.softmax = func(s []float32) float32 { return softmax512(&s[0], len(s)) }
	return k
}

// avx256 is a kernel on vectors of 256 bits.
func avx256(name string, kg, actSize int, gemms []gemmFunc, quant func(*byte, *float32, int) (float32, float32), gelu func(*byte, *float32, int) float32) *kernel {
	k := &kernel{name: name, nb: 16, kg: kg, actSize: actSize}
	k.quant = func(d []byte, s []float32) (float32, float32) { return quant(&d[0], &s[0], len(s)) }
	k.gelu = func(d []byte, s []float32) float32 { return gelu(&d[0], &s[0], len(s)) }
	k.gemm = func(out []float32, act []byte, sa, za []float32, m int, l *linear, _ []int64) {
		gemmTiles(gemms, k, out, act, sa, za, m, l)
	}
	k.addNorm = func(x, y, g []float32, eps float32) {
		addNorm256(&x[0], &y[0], &g[0], len(x), 1/float32(len(x)), eps)
	}
	k.sgemm = func(out []float32, ldo int, a []float32, lda int, b []float32, ldb, kk, m int, init, scale []float32) {
		sgemmTiles(sgemm256Table[:], out, ldo, a, lda, b, ldb, kk, m, init, scale)
	}
	k.softmax = func(s []float32) float32 { return softmax256(&s[0], len(s)) }
	return k
}
