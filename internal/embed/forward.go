package embed

const (
	rowBlock = 128 // token rows that go through the feed-forward part together
	attRows  = 12  // query rows whose attention is computed together
)

// scratch is the working memory of one text in flight.
type scratch struct {
	cutting
	chunks
	window         []int32 // the ids of a window, with both ends
	rows           int     // token rows the buffers below have room for
	x, qkv, ctx, h []float32
	act            []byte
	sa, za         []float32
	kt, s, mask    []float32
	tmp            []int64
	mean           []float32
	word           []byte
	one, zero      [32]float32
	inv            [attRows]float32
}

func newScratch(w *weights) *scratch {
	s := &scratch{tmp: make([]int64, max(w.Width, w.Inner)), mean: make([]float32, w.Width), word: make([]byte, w.rowSize())}
	for i := range s.one {
		s.one[i] = 1
	}
	return s
}

// grow makes room for n token rows.
func (s *scratch) grow(w *weights, k *kernel, n int) {
	if n <= s.rows {
		return
	}
	n = (n + 31) &^ 31
	s.rows = n
	s.x, s.ctx = make([]float32, n*w.Width), make([]float32, n*w.Width)
	s.qkv = make([]float32, n*3*w.Width)
	s.h = make([]float32, min(n, rowBlock)*w.Inner)
	s.act = make([]byte, max(n*w.Width, min(n, rowBlock)*w.Inner)*k.actSize)
	s.sa, s.za = make([]float32, n), make([]float32, n)
	s.kt, s.s, s.mask = make([]float32, w.Width/w.Heads*n), make([]float32, attRows*n), make([]float32, n)
}

// forward runs the encoder over the window's ids and puts the pooled result into s.mean.
func (s *scratch) forward(w *weights, k *kernel) error {
	n, width := len(s.window), w.Width
	s.grow(w, k, n)
	zero := s.ctx[:width]
	clear(zero)
	for t, id := range s.window {
		x := s.x[t*width:][:width]
		if err := w.embedWord(x, id, t, s.word); err != nil {
			return err
		}
		k.addNorm(x, zero, w.norm, w.Epsilon)
	}
	for i := range w.layers {
		l := &w.layers[i]
		s.quantRows(k, s.x, n, width)
		k.gemm(s.qkv, s.act, s.sa, s.za, n, &l.qkv, s.tmp)
		s.attention(w, k, n)
		s.quantRows(k, s.ctx, n, width)
		k.gemm(s.ctx, s.act, s.sa, s.za, n, &l.att, s.tmp)
		for t := range n {
			k.addNorm(s.x[t*width:][:width], s.ctx[t*width:][:width], l.norm1, w.Epsilon)
		}
		for o := 0; o < n; o += rowBlock {
			s.feedForward(w, k, l, s.x[o*width:], min(rowBlock, n-o))
		}
	}
	s.pool(w, n)
	return nil
}

// feedForward runs n rows of x through the second half of a layer.
func (s *scratch) feedForward(w *weights, k *kernel, l *layer, x []float32, n int) {
	s.quantRows(k, x, n, w.Width)
	k.gemm(s.h, s.act, s.sa, s.za, n, &l.up, s.tmp)
	bytes := w.Inner * k.actSize
	for t := range n {
		s.za[t] = 0
		s.sa[t] = k.gelu(s.act[t*bytes:][:bytes], s.h[t*w.Inner:][:w.Inner])
	}
	k.gemm(s.ctx, s.act, s.sa, s.za, n, &l.down, s.tmp)
	for t := range n {
		k.addNorm(x[t*w.Width:][:w.Width], s.ctx[t*w.Width:][:w.Width], l.norm2, w.Epsilon)
	}
}

// quantRows quantises n rows into s.act, s.sa and s.za.
func (s *scratch) quantRows(k *kernel, x []float32, n, width int) {
	bytes := width * k.actSize
	for t := range n {
		s.sa[t], s.za[t] = k.quant(s.act[t*bytes:][:bytes], x[t*width:][:width])
	}
}

// attention computes softmax(Q·Kᵀ)·V of every head from s.qkv into s.ctx. The queries' weights carry the scale of the scores.
func (s *scratch) attention(w *weights, k *kernel, n int) {
	width, size := w.Width, w.Width/w.Heads
	ld := 3 * width
	np := (n + 31) &^ 31
	mask := s.mask[:np]
	for i := range mask {
		mask[i] = 0
		if i >= n {
			mask[i] = -1e30
		}
	}
	kt := s.kt[:size*np]
	for h := range w.Heads {
		q, v := s.qkv[h*size:], s.qkv[2*width+h*size:]
		for j := range n {
			for d, x := range s.qkv[j*ld+width+h*size:][:size] {
				kt[d*np+j] = x
			}
		}
		for d := range size {
			clear(kt[d*np+n : (d+1)*np])
		}
		for i := 0; i < n; i += attRows {
			r := min(attRows, n-i)
			for j := 0; j < np; j += 32 {
				k.sgemm(s.s[j:], np, q[i*ld:], ld, kt[j:], np, size, r, mask[j:], s.one[:])
			}
			for t := range r {
				s.inv[t] = k.softmax(s.s[t*np:][:np])
			}
			for c := 0; c < size; c += 32 {
				k.sgemm(s.ctx[i*width+h*size+c:], width, s.s, np, v[c:], ld, n, r, s.zero[:], s.inv[:])
			}
		}
	}
}

// pool makes one vector of n rows.
func (s *scratch) pool(w *weights, n int) {
	if w.Pooling == "cls" {
		copy(s.mean, s.x)
		return
	}
	clear(s.mean)
	for t := range n {
		for i, v := range s.x[t*w.Width:][:w.Width] {
			s.mean[i] += v
		}
	}
	for i := range s.mean {
		s.mean[i] /= float32(n)
	}
}
