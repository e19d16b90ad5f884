package embed

import (
	"runtime"
	"sync"

	"golang.org/x/sys/cpu"
)

// kernels lists what this machine can run, best first. Every Apple processor that Go runs on has the dot product.
var kernels = sync.OnceValue(func() []*kernel {
	if cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin" {
		return []*kernel{sdot(), portable()}
	}
	return []*kernel{portable()}
})

// sdot multiplies with assembly; what grows with the number of tokens only is portable Go.
func sdot() *kernel {
	k := portable()
	k.name, k.nb, k.kg = "sdot", 16, 4
	k.gemm = func(out []float32, act []byte, sa, za []float32, m int, l *linear, _ []int64) {
		gemmTiles(gemmSDOTTable[:], k, out, act, sa, za, m, l)
	}
	k.sgemm = func(out []float32, ldo int, a []float32, lda int, b []float32, ldb, kk, m int, init, scale []float32) {
		sgemmTiles(sgemmNEONTable[:], out, ldo, a, lda, b, ldb, kk, m, init, scale)
	}
	return k
}
