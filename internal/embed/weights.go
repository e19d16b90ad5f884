package embed

import (
	"fmt"
	"strconv"
	"sync"
	"unsafe"
)

// weights is a packed model as the arithmetic wants it. The words stay where they lie.
type weights struct {
	config
	words     table
	positions []byte // rows of float32 scale and int8 numbers
	norm      []float32
	layers    []layer
	tokenizer tokenizer
}

type layer struct {
	qkv, att, up, down linear
	norm1, norm2       []float32
}

// readWeights reads everything but the words.
func readWeights(p *packed, k *kernel) (*weights, error) {
	w := &weights{config: p.config, layers: make([]layer, p.config.Layers)}
	var err error
	if w.words, err = p.table("words", w.Vocabulary, w.rowSize()); err != nil {
		return nil, err
	}
	if w.positions, err = p.read("positions", int64(w.Tokens)*int64(4+w.Width)); err != nil {
		return nil, err
	}
	if w.norm, err = p.floats("norm", 2*w.Width); err != nil {
		return nil, err
	}
	var fill sync.WaitGroup
	defer fill.Wait()
	var broken error
	fill.Go(func() { w.tokenizer, broken = newTokenizer(p) })
	for i := range w.layers {
		if err := w.readLayer(p, k, i, &fill); err != nil {
			return nil, err
		}
	}
	fill.Wait()
	return w, broken
}

func newTokenizer(p *packed) (tokenizer, error) {
	if p.config.Tokenizer == "unigram" {
		return newUnigram(p)
	}
	return newWordPiece(p)
}

func (w *weights) readLayer(p *packed, k *kernel, i int, fill *sync.WaitGroup) (err error) {
	l, name := &w.layers[i], strconv.Itoa(i)
	if l.norm1, err = p.floats(name+".norm1", 2*w.Width); err != nil {
		return err
	}
	if l.norm2, err = p.floats(name+".norm2", 2*w.Width); err != nil {
		return err
	}
	for _, part := range []struct {
		to    *linear
		name  string
		n, kk int
	}{
		{&l.qkv, "qkv", 3 * w.Width, w.Width}, {&l.att, "att", w.Width, w.Width},
		{&l.up, "up", w.Inner, w.Width}, {&l.down, "down", w.Width, w.Inner},
	} {
		if err := readLinear(p, k, part.to, name+"."+part.name, part.n, part.kk, fill); err != nil {
			return err
		}
	}
	return nil
}

// readLinear reads a linear layer of n outputs and kk inputs; the packing of its weights is left to fill.
func readLinear(p *packed, k *kernel, to *linear, name string, n, kk int, fill *sync.WaitGroup) error {
	s, err := p.floats(name+".s", 4*n)
	if err != nil {
		return err
	}
	*to = linear{n: n, k: kk, s: s[:n], b: s[n : 2*n], corr: s[2*n : 3*n]}
	factor := s[3*n:]
	if _, four := p.sections[name+".g"]; !four {
		q, err := p.read(name+".q", int64(n)*int64(kk))
		if err != nil {
			return err
		}
		fill.Go(func() { to.w = arrange(k, signed(q), n, kk) })
		return nil
	}
	q, err := p.read(name+".q", int64(n)*int64(kk/2))
	if err != nil {
		return err
	}
	g, err := p.read(name+".g", int64(n)*int64(kk/group))
	if err != nil {
		return err
	}
	fill.Go(func() { to.w = expand(k, q, signed(g), factor, n, kk) })
	return nil
}

// signed views bytes as int8.
func signed(b []byte) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

// arrange puts the rows of w in the order a kernel reads them in: blocks of nb rows, in which the first kg weights of every row
// come first, then the next, and so on.
func arrange(k *kernel, w []int8, n, kk int) []int8 {
	if k.nb == 0 {
		return w
	}
	out := make([]int8, n*kk)
	for i := range n {
		block, row := out[i/k.nb*k.nb*kk:], w[i*kk:][:kk]
		at := i % k.nb * k.kg
		for c := 0; c < kk; c += k.kg {
			copy(block[at:at+k.kg], row[c:])
			at += k.nb * k.kg
		}
	}
	return out
}

// expand makes int8 weights of 4-bit ones, arranged as k reads them: each number times the scale of its group times the factor
// of its row.
func expand(k *kernel, q []byte, g []int8, factor []float32, n, kk int) []int8 {
	out := make([]int8, n*kk)
	nb, kg := max(k.nb, 1), k.kg
	if k.nb == 0 {
		kg = kk
	}
	for i := range n {
		block := out[i/nb*nb*kk:][:nb*kk]
		row, scales := q[i*kk/2:][:kk/2], g[i*kk/group:][:kk/group]
		switch kg {
		case 4:
			expandRow4(block, row, scales, factor[i], i%nb, nb)
		case 2:
			expandRow2(block, row, scales, factor[i], i%nb, nb)
		default:
			expandRow2(block, row, scales, factor[i], 0, 1)
		}
	}
	return out
}

// steps gives the int8 weights that the 16 values of a 4-bit number stand for. They lie around 0 evenly, as rounding does.
func steps(t *[16]uint32, scale int8, factor float32) {
	f := float32(scale) * factor
	if f > 127./8 || f < -127./8 { // some numbers are out of range, which no row then has
		for c := range t {
			t[c] = uint32(uint8(int8(roundInt(min(max(float32(float32(c-8)*f), -127), 127)))))
		}
		return
	}
	t[8] = 0
	for c := 1; c < 8; c++ {
		v := roundInt(float32(float32(c) * f))
		t[8+c], t[8-c] = uint32(uint8(v)), uint32(uint8(-v))
	}
	t[0] = uint32(uint8(-roundInt(8 * f)))
}

// expandRow4 writes fours of weights, row j of nb.
func expandRow4(block []int8, row []byte, scales []int8, factor float32, j, nb int) {
	out := unsafe.Slice((*uint32)(unsafe.Pointer(&block[0])), len(block)/4)
	var t [16]uint32
	for gi, scale := range scales {
		steps(&t, scale, factor)
		codes := (*[group / 2]byte)(row[gi*group/2:])
		for c := 0; c < group/2; c += 2 {
			a, b := codes[c], codes[c+1]
			out[j] = t[a&15] | t[a>>4]<<8 | t[b&15]<<16 | t[b>>4]<<24
			j += nb
		}
	}
}

// expandRow2 writes pairs of weights, row j of nb.
func expandRow2(block []int8, row []byte, scales []int8, factor float32, j, nb int) {
	out := unsafe.Slice((*uint16)(unsafe.Pointer(&block[0])), len(block)/2)
	var t [16]uint32
	for gi, scale := range scales {
		steps(&t, scale, factor)
		for _, a := range (*[group / 2]byte)(row[gi*group/2:]) {
			out[j] = uint16(t[a&15] | t[a>>4]<<8)
			j += nb
		}
	}
}

// embedWord sets x to the sum of word id and position p. buf is room for a row.
func (w *weights) embedWord(x []float32, id int32, p int, buf []byte) error {
	row, err := w.words.at(int(id), buf)
	if err != nil {
		return fmt.Errorf("read the model's words: %w", err)
	}
	pos := w.positions[p*(4+w.Width):][:4+w.Width]
	ps, pq := floatAt(pos, 0), pos[4:]
	ws, scales, codes := floatAt(row, 0), row[4:4+w.Width/group], row[4+w.Width/group:]
	for gi, scale := range scales {
		s := ws * float32(int8(scale))
		xs, ps8 := (*[group]float32)(x[gi*group:]), (*[group]byte)(pq[gi*group:])
		for j, c := range (*[group / 2]byte)(codes[gi*group/2:]) {
			xs[2*j] = float32(float32(int(c&15)-8)*s) + float32(float32(int8(ps8[2*j]))*ps)
			xs[2*j+1] = float32(float32(int(c>>4)-8)*s) + float32(float32(int8(ps8[2*j+1]))*ps)
		}
	}
	return nil
}
