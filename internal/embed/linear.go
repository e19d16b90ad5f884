package embed

import "unsafe"

// newLinear packs the weights w of n outputs by kk inputs for a kernel, with the scales s and biases b of the outputs.
func newLinear(k *kernel, n, kk int, w []int8, s, b []float32) linear {
	l := linear{n: n, k: kk, w: w, corr: make([]float32, n), s: s, b: b}
	for i := range n {
		var sum int32
		for _, x := range w[i*kk : (i+1)*kk] {
			sum += int32(x)
		}
		l.corr[i] = -float32(sum)
	}
	switch k.kg {
	case 4:
		l.w = make([]int8, n*kk)
		regroup[uint32](l.w, w, n, kk, k.nb)
	case 2:
		l.w = make([]int8, n*kk)
		regroup[uint16](l.w, w, n, kk, k.nb)
	}
	return l
}

// regroup writes to dst blocks of nb rows of w, in which the first group of every row comes first, then the second, and so on;
// a group is the weights that fill a G.
func regroup[G uint16 | uint32](dst, w []int8, n, kk, nb int) {
	size := int(unsafe.Sizeof(G(0)))
	groups := kk / size
	for i := 0; i < n; i += nb {
		block := unsafe.Slice((*G)(unsafe.Pointer(&dst[i*kk])), nb*groups)
		for j := range nb {
			row := w[(i+j)*kk:][:kk]
			for c := range groups {
				var g G
				for b := size - 1; b >= 0; b-- {
					g = g<<8 | G(uint8(row[c*size+b]))
				}
				block[c*nb+j] = g
			}
		}
	}
}
