//go:build amd64 || arm64

package embed

//go:generate go run ./internal/gen

type (
	gemmFunc  = func(out *float32, ldo int, act *byte, lda int, w *int8, groups int, corr, s, b, sa, za *float32)
	sgemmFunc = func(out *float32, ldo int, a *float32, lda int, b *float32, ldb int, k int, init, scale *float32)
)

// tile is how many rows the next tile takes of the m left, at most most: near the end two tiles share what is left evenly.
func tile(m, most int) int {
	switch {
	case m <= most:
		return m
	case m < 2*most:
		return (m + 1) / 2
	}
	return most
}

// gemmTiles runs a linear layer block of outputs by block of outputs, so that the weights of a block stay in the first cache
// for all token rows. table has the kernel for each number of rows.
func gemmTiles(table []gemmFunc, k *kernel, out []float32, act []byte, sa, za []float32, m int, l *linear) {
	_, _, _, _ = out[m*l.n-1], act[m*l.k*k.actSize-1], sa[m-1], za[m-1]
	for n := 0; n < l.n; n += k.nb {
		for t := 0; t < m; {
			r := tile(m-t, len(table)-1)
			table[r](&out[t*l.n+n], 4*l.n, &act[t*l.k*k.actSize], l.k*k.actSize, &l.w[n*l.k], l.k/k.kg,
				&l.corr[n], &l.s[n], &l.b[n], &sa[t], &za[t])
			t += r
		}
	}
}

func sgemmTiles(table []sgemmFunc, out []float32, ldo int, a []float32, lda int, b []float32, ldb, k, m int, init, scale []float32) {
	_, _, _, _, _ = out[(m-1)*ldo+31], a[(m-1)*lda+k-1], b[(k-1)*ldb+31], init[31], scale[m-1]
	for t := 0; t < m; {
		r := tile(m-t, len(table)-1)
		table[r](&out[t*ldo], 4*ldo, &a[t*lda], 4*lda, &b[0], 4*ldb, k, &init[0], &scale[t])
		t += r
	}
}
