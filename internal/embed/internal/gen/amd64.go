package main

import (
	"fmt"
	"math"
	"strconv"
)

// x86 emits kernels of one vector width at a time.
type x86 struct {
	emitter
	width  int // bytes of a vector: 64 or 32
	consts []uint32
	index  map[string]int
}

// geluP and expP are the coefficients that ops.go has.
var (
	geluP = []float64{0.797863711, -0.132884322, 0.0198194191, -0.0022973068, 0.00020491261,
		-1.35534858e-05, 6.17303814e-07, -1.70133559e-08, 2.11293916e-10}
	expP = []float64{1, 0.69314718, 0.24022651, 0.05550411, 0.0096181291, 0.0013333558}
)

func amd64() *x86 {
	g := &x86{index: map[string]int{}}
	for _, c := range []struct {
		name  string
		value float64
	}{
		{"254", 254}, {"255", 255}, {"tiny", 1e-20}, {"clamp", 3.8}, {"-clamp", -3.8}, {"half", 0.5}, {"one", 1},
		{"shift", 0.17}, {"-87", -87}, {"log2e", math.Log2E},
	} {
		g.constant(c.name, c.value)
	}
	for i, c := range geluP {
		g.constant("P"+strconv.Itoa(i), c)
	}
	for i, c := range expP {
		g.constant("E"+strconv.Itoa(i), c)
	}
	g.words("consts", g.consts)
	g.words("order", []uint32{0, 4, 1, 5, 2, 6, 3, 7})
	var wide []uint32 // the coefficients that 16 registers have no room for
	for _, c := range geluP[:2] {
		for range 8 {
			wide = append(wide, math.Float32bits(float32(c)))
		}
	}
	g.words("wide", wide)

	g.width = 64
	g.gemms("VNNI512", 6, 4)
	g.sgemms("512", 12)
	g.quant("VNNI512")
	g.gelu("VNNI512")
	g.addNorm("512")
	g.softmax("512")
	g.width = 32
	for _, set := range []string{"VNNI256", "AVX2"} {
		g.gemms(set, 6, 2)
		g.quant(set)
		g.gelu(set)
	}
	g.sgemms("256", 3)
	g.addNorm("256")
	g.softmax("256")
	return g
}

func (g *x86) gemms(set string, rows, vectors int) {
	for i := 1; i <= rows; i++ {
		g.gemm(set, i, vectors)
	}
	g.table("gemm"+set, "gemmFunc", rows)
}

func (g *x86) sgemms(size string, rows int) {
	for i := 1; i <= rows; i++ {
		g.sgemm(size, i)
	}
	g.table("sgemm"+size, "sgemmFunc", rows)
}

func (g *x86) constant(name string, value float64) {
	g.index[name] = len(g.consts)
	g.consts = append(g.consts, math.Float32bits(float32(value)))
}

// addr is the operand of a constant.
func (g *x86) addr(name string) string {
	i, ok := g.index[name]
	if !ok {
		panic("gen: no constant " + name)
	}
	return fmt.Sprintf("·consts+%d(SB)", 4*i)
}

// v names vector register i at the current width.
func (g *x86) v(i int) string {
	if g.width == 64 {
		return "Z" + strconv.Itoa(i)
	}
	return "Y" + strconv.Itoa(i)
}

func (g *x86) broadcast(name string, r int) { g.p("VBROADCASTSS %s, %s", g.addr(name), g.v(r)) }

func (g *x86) ret() {
	g.p("VZEROUPPER")
	g.p("RET")
}

func (g *x86) clear(i int) {
	if g.width == 64 {
		g.p("VPXORD %s, %s, %s", g.v(i), g.v(i), g.v(i))
	} else {
		g.p("VPXOR %s, %s, %s", g.v(i), g.v(i), g.v(i))
	}
}

// rows gives the operands that address rows 0 to n-1 of a matrix. base and stride are registers; the extra ones are filled
// with base + 3 strides, and so on.
func (g *x86) rows(n int, base, stride string, extra ...string) (operands, bases []string) {
	bases = []string{base}
	for i := 3; i < n; i += 3 {
		r := extra[i/3-1]
		g.p("LEAQ (%s)(%s*2), %s", bases[len(bases)-1], stride, r)
		g.p("ADDQ %s, %s", stride, r)
		bases = append(bases, r)
	}
	for i := range n {
		form := []string{"(%s)", "(%s)(" + stride + "*1)", "(%s)(" + stride + "*2)"}[i%3]
		operands = append(operands, fmt.Sprintf(form, bases[i/3]))
	}
	return operands, bases
}

// vexVPDPBUSD emits acc += bytes of a times signed bytes of w, four at once, in the encoding of AVX-VNNI, which Go's assembler lacks.
func (g *x86) vexVPDPBUSD(w, a, acc int) {
	b1 := 2 | (^acc>>3&1)<<7 | 1<<6 | (^w>>3&1)<<5
	b2 := (^a&15)<<3 | 1<<2 | 1
	g.p("BYTE $0xC4; BYTE $0x%02X; BYTE $0x%02X; BYTE $0x50; BYTE $0x%02X // VPDPBUSD Y%d, Y%d, Y%d (VEX)",
		b1, b2, 0xC0|(acc&7)<<3|w&7, w, a, acc)
}

// gemm emits a kernel of mr token rows by nr vectors of outputs. AVX2 has activations and weights as 16 bits, for VPMADDWD.
func (g *x86) gemm(set string, mr, nr int) {
	g.fn(fmt.Sprintf("gemm%s%d", set, mr), gemmParams, 88)
	g.p("MOVQ act+16(FP), SI")
	g.p("MOVQ lda+24(FP), R8")
	g.p("MOVQ w+32(FP), DX")
	g.p("MOVQ groups+40(FP), CX")
	operands, bases := g.rows(mr, "SI", "R8", "R9", "R10", "R11")
	acc := func(r, c int) int { return r*nr + c }
	weight := func(c int) int { return mr*nr + c }
	act, tmp := mr*nr+nr, mr*nr+nr+1
	for i := range mr * nr {
		g.clear(i)
	}
	g.label("loop")
	step := nr * g.width
	if set == "AVX2" {
		step /= 2
	}
	for c := range nr {
		if set == "AVX2" {
			g.p("VPMOVSXBW %d(DX), %s", c*g.width/2, g.v(weight(c)))
		} else {
			g.p("VMOVUPS %d(DX), %s", c*g.width, g.v(weight(c)))
		}
	}
	for r := range mr {
		g.p("VPBROADCASTD %s, %s", operands[r], g.v(act))
		for c := range nr {
			switch set {
			case "VNNI512":
				g.p("VPDPBUSD %s, %s, %s", g.v(weight(c)), g.v(act), g.v(acc(r, c)))
			case "VNNI256":
				g.vexVPDPBUSD(weight(c), act, acc(r, c))
			default:
				g.p("VPMADDWD %s, %s, %s", g.v(weight(c)), g.v(act), g.v(tmp))
				g.p("VPADDD %s, %s, %s", g.v(tmp), g.v(acc(r, c)), g.v(acc(r, c)))
			}
		}
	}
	for _, b := range bases {
		g.p("ADDQ $4, %s", b)
	}
	g.p("ADDQ $%d, DX", step)
	g.p("DECQ CX")
	g.p("JNZ loop")
	g.gemmEnd(mr, nr, weight(0), act, tmp)
	g.ret()
}

// gemmEnd emits out = (acc + za·corr)·(sa·s) + b, each operation rounded by itself as in Go.
func (g *x86) gemmEnd(mr, nr, scale, sa, za int) {
	g.p("MOVQ corr+48(FP), SI")
	g.p("MOVQ za+80(FP), CX")
	g.p("MOVQ out+0(FP), DI")
	g.p("MOVQ ldo+8(FP), R8")
	g.p("MOVQ s+56(FP), AX")
	g.p("MOVQ b+64(FP), BX")
	g.p("MOVQ sa+72(FP), DX")
	for r := range mr {
		g.p("VBROADCASTSS %d(DX), %s", 4*r, g.v(sa))
		g.p("VBROADCASTSS %d(CX), %s", 4*r, g.v(za))
		for c := range nr {
			acc, o := g.v(r*nr+c), c*g.width
			g.p("VCVTDQ2PS %s, %s", acc, acc)
			g.p("VMULPS %d(SI), %s, %s", o, g.v(za), g.v(scale))
			g.p("VADDPS %s, %s, %s", g.v(scale), acc, acc)
			g.p("VMULPS %d(AX), %s, %s", o, g.v(sa), g.v(scale))
			g.p("VMULPS %s, %s, %s", g.v(scale), acc, acc)
			g.p("VADDPS %d(BX), %s, %s", o, acc, acc)
			g.p("VMOVUPS %s, %d(DI)", acc, o)
		}
		g.p("ADDQ R8, DI")
	}
}

// sgemm emits out[mr][32] = (init + a·b)·scale.
func (g *x86) sgemm(size string, mr int) {
	nr := 128 / g.width
	g.fn(fmt.Sprintf("sgemm%s%d", size, mr), sgemmParams, 72)
	g.p("MOVQ a+16(FP), SI")
	g.p("MOVQ lda+24(FP), R8")
	g.p("MOVQ b+32(FP), DX")
	g.p("MOVQ ldb+40(FP), R12")
	g.p("MOVQ k+48(FP), CX")
	g.p("MOVQ init+56(FP), AX")
	operands, bases := g.rows(mr, "SI", "R8", "R9", "R10", "R11")
	acc := func(r, c int) string { return g.v(r*nr + c) }
	for c := range nr {
		g.p("VMOVUPS %d(AX), %s", c*g.width, acc(0, c))
		for r := 1; r < mr; r++ {
			g.p("VMOVAPS %s, %s", acc(0, c), acc(r, c))
		}
	}
	g.label("loop")
	if g.width == 64 {
		b, a := mr*nr, mr*nr+nr
		for c := range nr {
			g.p("VMOVUPS %d(DX), %s", c*g.width, g.v(b+c))
		}
		for r := range mr {
			g.p("VBROADCASTSS %s, %s", operands[r], g.v(a+r%2))
			for c := range nr {
				g.p("VFMADD231PS %s, %s, %s", g.v(b+c), g.v(a+r%2), acc(r, c))
			}
		}
	} else {
		a, b := mr*nr, mr*nr+mr
		for r := range mr {
			g.p("VBROADCASTSS %s, %s", operands[r], g.v(a+r))
		}
		for c := range nr {
			g.p("VMOVUPS %d(DX), %s", c*g.width, g.v(b))
			for r := range mr {
				g.p("VFMADD231PS %s, %s, %s", g.v(b), g.v(a+r), acc(r, c))
			}
		}
	}
	for _, b := range bases {
		g.p("ADDQ $4, %s", b)
	}
	g.p("ADDQ R12, DX")
	g.p("DECQ CX")
	g.p("JNZ loop")
	g.p("MOVQ out+0(FP), DI")
	g.p("MOVQ ldo+8(FP), R8")
	g.p("MOVQ scale+64(FP), AX")
	for r := range mr {
		g.p("VBROADCASTSS %d(AX), %s", 4*r, g.v(mr*nr))
		for c := range nr {
			g.p("VMULPS %s, %s, %s", g.v(mr*nr), acc(r, c), acc(r, c))
			g.p("VMOVUPS %s, %d(DI)", acc(r, c), c*g.width)
		}
		g.p("ADDQ R8, DI")
	}
	g.ret()
}
