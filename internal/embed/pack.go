package embed

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// matrix is a tensor of a model to be packed: numbers, or Q4_0 blocks where the model came with 4 bits.
type matrix struct {
	rows, cols int
	v          []float32
	q4         []byte
}

func (m matrix) row(i int) []float32 { return m.v[i*m.cols : (i+1)*m.cols] }

// plan is a model on its way into a packed file, with its tensors under the names that BERT's have.
type plan struct {
	config config
	pieces []string // the vocabulary by id
	scores []float32
	swaps  []byte // section map
	tensor func(name string) (matrix, error)
	first  int // rows of the position table that no text uses
}

// build packs the plan.
func (p *plan) build() ([]byte, error) {
	c := &p.config
	c.Vocabulary = len(p.pieces)
	var parts []part
	add := func(name string, data []byte) { parts = append(parts, part{name, data}) }
	var pieces trie
	pieces, c.LongestPiece = buildTrie(p.pieces)
	add("trie", pieces)
	if c.Tokenizer == "unigram" {
		c.UnknownScore = float32(math.Inf(1))
		for _, s := range p.scores {
			c.UnknownScore = min(c.UnknownScore, s)
		}
		c.UnknownScore -= 10
		add("scores", bytesOf(p.scores))
		add("map", p.swaps)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("the model cannot be run: %w", err)
	}
	words, err := p.shaped("embeddings.word_embeddings.weight", c.Vocabulary, c.Width)
	if err != nil {
		return nil, err
	}
	add("words", packWords(words))
	positions, err := p.positions()
	if err != nil {
		return nil, err
	}
	add("positions", positions)
	norm, err := p.norm("embeddings")
	if err != nil {
		return nil, err
	}
	add("norm", norm)
	for l := range c.Layers {
		more, err := p.layer(l)
		if err != nil {
			return nil, err
		}
		parts = append(parts, more...)
	}
	return pack(*c, parts)
}

// shaped gives a tensor that has to have at least rows rows of cols numbers, cut to as many rows.
func (p *plan) shaped(name string, rows, cols int) (matrix, error) {
	m, err := p.tensor(name)
	if err != nil {
		return m, err
	}
	if m.cols != cols || m.rows < rows {
		return m, fmt.Errorf("tensor %s is %d by %d, the model's configuration asks for %d by %d", name, m.rows, m.cols, rows, cols)
	}
	m.rows = rows
	if m.q4 != nil {
		m.q4 = m.q4[:rows*cols/group*q4Block]
	}
	if m.v != nil {
		m.v = m.v[:rows*cols]
	}
	return m, nil
}

// positions makes the section of the same name: position plus token type 0.
func (p *plan) positions() ([]byte, error) {
	c := &p.config
	m, err := p.shaped("embeddings.position_embeddings.weight", p.first+c.Tokens, c.Width)
	if err != nil {
		return nil, err
	}
	kind, err := p.shaped("embeddings.token_type_embeddings.weight", 1, c.Width)
	if err != nil {
		return nil, err
	}
	var out []byte
	row := make([]float32, c.Width)
	for i := range c.Tokens {
		for j, v := range m.row(p.first + i) {
			row[j] = v + kind.v[j]
		}
		q, s := int8Row(row)
		out = append(binary.LittleEndian.AppendUint32(out, math.Float32bits(s)), q...)
	}
	return out, nil
}

func (p *plan) norm(name string) ([]byte, error) {
	gain, err := p.shaped(name+".LayerNorm.weight", 1, p.config.Width)
	if err != nil {
		return nil, err
	}
	bias, err := p.shaped(name+".LayerNorm.bias", 1, p.config.Width)
	return bytesOf(gain.v, bias.v), err
}

func (p *plan) layer(l int) (parts []part, err error) {
	c := &p.config
	from, to := "encoder.layer."+strconv.Itoa(l)+".", strconv.Itoa(l)+"."
	for _, x := range []struct {
		name  string
		n, kk int
		from  []string
	}{
		{"qkv", c.Width, c.Width, []string{"attention.self.query", "attention.self.key", "attention.self.value"}},
		{"att", c.Width, c.Width, []string{"attention.output.dense"}},
		{"up", c.Inner, c.Width, []string{"intermediate.dense"}},
		{"down", c.Width, c.Inner, []string{"output.dense"}},
	} {
		var whole matrix
		var bias []float32
		for _, f := range x.from {
			w, err := p.shaped(from+f+".weight", x.n, x.kk)
			if err != nil {
				return nil, err
			}
			b, err := p.shaped(from+f+".bias", 1, x.n)
			if err != nil {
				return nil, err
			}
			whole = matrix{whole.rows + w.rows, x.kk, append(whole.v, w.v...), append(whole.q4, w.q4...)}
			bias = append(bias, b.v...)
		}
		scaled, shift := 0, 0.
		if x.name == "qkv" {
			scaled = c.Width
		}
		if x.name == "down" {
			shift = geluShift
		}
		parts = append(parts, packLinear(to+x.name, whole, bias, scaled, math.Sqrt(float64(c.Heads)/float64(c.Width)), shift)...)
	}
	norm1, err := p.norm(from + "attention.output")
	if err != nil {
		return nil, err
	}
	norm2, err := p.norm(from + "output")
	return append(parts, part{to + "norm1", norm1}, part{to + "norm2", norm2}), err
}

// packLinear makes the sections of a linear layer. The results of the first scaled outputs are multiplied by scale; shift is
// what its inputs are too large by, which the bias takes out.
func packLinear(name string, m matrix, bias []float32, scaled int, scale, shift float64) []part {
	var q, g []byte
	s, factor := make([]float32, m.rows), make([]float32, m.rows)
	var w []int8
	if m.q4 != nil {
		q, g = packBlocks(m, s, factor)
		w = expand(portable(), q, signed(g), factor, m.rows, m.cols)
	} else {
		for i := range m.rows {
			row, d := int8Row(m.row(i))
			q, s[i] = append(q, row...), d
		}
		w = signed(q)
	}
	corr, bias := make([]float32, m.rows), append([]float32(nil), bias...)
	for i := range m.rows {
		var sum int32
		for _, x := range w[i*m.cols : (i+1)*m.cols] {
			sum += int32(x)
		}
		corr[i] = -float32(sum)
		bias[i] -= float32(shift * float64(sum) * float64(s[i]))
		if i < scaled {
			s[i], bias[i] = float32(float64(s[i])*scale), float32(float64(bias[i])*scale)
		}
	}
	parts := []part{{name + ".q", q}, {name + ".s", bytesOf(s, bias, corr, factor)}}
	if g != nil {
		parts = append(parts, part{name + ".g", g})
	}
	return parts
}

func bytesOf(lists ...[]float32) (b []byte) {
	for _, l := range lists {
		for _, x := range l {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	}
	return b
}

func largest(v []float32) (m float64) {
	for _, x := range v {
		m = max(m, math.Abs(float64(x)))
	}
	return m
}

// int8Row quantises a row to -127..127.
func int8Row(v []float32) ([]byte, float32) {
	d := largest(v)/127 + 1e-12
	q := make([]byte, len(v))
	for i, x := range v {
		q[i] = byte(int8(math.RoundToEven(float64(x) / d)))
	}
	return q, float32(d)
}

// A Q4_0 block is 32 numbers: a float16 scale, then 16 bytes whose low halves are numbers 0 to 15 and whose high ones 16 to 31,
// offset by 8.
const q4Block = 18

func half(b []byte) float32 {
	h := binary.LittleEndian.Uint16(b)
	e, m := int(h>>10&31), float64(h&1023)/1024
	f := math.Ldexp(m, -14)
	switch {
	case e == 31:
		f = math.Inf(1) // or no number at all: no weight is
	case e > 0:
		f = math.Ldexp(1+m, e-15)
	}
	if h>>15 != 0 {
		f = -f
	}
	return float32(f)
}

// blockPairs gives the 16 bytes of a block's numbers in our order.
func blockPairs(b []byte) (out [group / 2]byte) {
	at := func(i int) byte { return b[2+i&15] >> (i / 16 * 4) & 15 }
	for j := range out {
		out[j] = at(2*j) | at(2*j+1)<<4
	}
	return out
}

// blockScales makes one scale and 8-bit multiples of it out of the scales of a row of blocks.
func blockScales(row []byte) (unit float64, scales []byte) {
	top := 1e-12
	for b := row; len(b) > 0; b = b[q4Block:] {
		top = max(top, math.Abs(float64(half(b))))
	}
	unit = top / 127
	for b := row; len(b) > 0; b = b[q4Block:] {
		scales = append(scales, byte(int8(math.Round(float64(half(b))/unit))))
	}
	return unit, scales
}

// packBlocks makes 4-bit weights of Q4_0 blocks, with the scales s of the int8 weights that the factors make of them.
func packBlocks(m matrix, s, factor []float32) (q, g []byte) {
	size := m.cols / group * q4Block
	for i := range m.rows {
		row := m.q4[i*size:][:size]
		unit, scales := blockScales(row)
		g = append(g, scales...)
		top := 1
		for j, scale := range scales {
			pairs := blockPairs(row[j*q4Block:])
			q = append(q, pairs[:]...)
			for _, c := range pairs {
				for _, n := range []int{int(c & 15), int(c >> 4)} {
					v := (n - 8) * int(int8(scale))
					top = max(top, v, -v)
				}
			}
		}
		factor[i] = 127 / float32(top)
		s[i] = float32(unit * float64(top) / 127)
	}
	return q, g
}

// packWords makes the section of words.
func packWords(m matrix) (out []byte) {
	if m.q4 == nil {
		for i := range m.rows {
			out = append(out, int4Row(m.row(i))...)
		}
		return out
	}
	size := m.cols / group * q4Block
	for i := range m.rows {
		row := m.q4[i*size:][:size]
		unit, scales := blockScales(row)
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(unit)))
		out = append(out, scales...)
		for b := row; len(b) > 0; b = b[q4Block:] {
			pairs := blockPairs(b)
			out = append(out, pairs[:]...)
		}
	}
	return out
}

// int4Row makes a row of words. A group's scale is an 8-bit multiple of the row's; among those near the group's range, of either
// sign, the one with the least squared error is taken.
func int4Row(row []float32) []byte {
	unit := largest(row)/7/127 + 1e-12
	out := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(unit)))
	var codes []byte
	for o := 0; o < len(row); o += group {
		scale := bestScale(row[o:o+group], unit)
		out = append(out, byte(int8(scale)))
		for j := o; j < o+group; j += 2 {
			codes = append(codes, byte(step4(row[j], scale*unit)+8)|byte(step4(row[j+1], scale*unit)+8)<<4)
		}
	}
	return append(out, codes...)
}

// step4 is the nearest of -8..7 steps of a size.
func step4(x float32, size float64) int {
	return int(min(max(math.RoundToEven(float64(x)/size), -8), 7))
}

func bestScale(v []float32, unit float64) float64 {
	top := largest(v) / 7 / unit
	best, least := 1.0, math.Inf(1)
	tried := 0.0
	for f := 0.60; f < 1.1; f += 0.02 {
		c := min(max(math.Round(top*f), 1), 127)
		if c == tried {
			continue
		}
		tried = c
		for _, scale := range []float64{c, -c} {
			sum := 0.0
			for _, x := range v {
				d := float64(x) - float64(step4(x, scale*unit))*scale*unit
				sum += d * d
			}
			if sum < least {
				best, least = scale, sum
			}
		}
	}
	return best
}
