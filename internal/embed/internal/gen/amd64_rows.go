package main

import "strconv"

// Rows are worked on in blocks of 64 numbers: four vectors of 512 bits or eight of 256. Sums are kept in as many accumulators
// and folded in one order, halves onto halves, so that both widths and plain Go give the same bits.

// perBlock is how many vectors a block of 64 numbers takes.
func (g *x86) perBlock() int { return 256 / g.width }

// fold reduces registers 0 to n-1, which hold n·width/4 numbers, to all lanes of X0.
func (g *x86) fold(op string, n int) {
	for step := 64 / g.width; step < n; step *= 2 {
		for i := 0; i+step < n; i += 2 * step {
			for j := range 64 / g.width {
				g.p("%s %s, %s, %s", op, g.v(i+step+j), g.v(i+j), g.v(i+j))
			}
		}
	}
	if g.width == 64 {
		g.p("VEXTRACTF64X4 $1, Z0, Y1")
	}
	g.p("%s Y1, Y0, Y0", op)
	g.p("VEXTRACTF128 $1, Y0, X1")
	g.p("%s X1, X0, X0", op)
	g.p("VPERMILPS $0x4E, X0, X1")
	g.p("%s X1, X0, X0", op)
	g.p("VPERMILPS $0xB1, X0, X1")
	g.p("%s X1, X0, X0", op)
}

// store quantises four vectors of numbers at SI, multiplied by register 8 and, with low, added as integers to register 9, to DI.
// Without low, numbers below 0 count as 0. It moves both pointers.
func (g *x86) store(set string, low bool) {
	for i := range 4 {
		r := g.v(4 + i)
		if low {
			g.p("VMULPS %d(SI), %s, %s", i*g.width, g.v(8), r)
		} else {
			g.p("VMAXPS %d(SI), %s, %s", i*g.width, g.v(9), r)
			g.p("VMULPS %s, %s, %s", g.v(8), r, r)
		}
		g.p("VCVTPS2DQ %s, %s", r, r)
		if low {
			g.p("VPADDD %s, %s, %s", g.v(9), r, r)
		}
	}
	switch set {
	case "VNNI512":
		for i := range 4 {
			g.p("VPMOVDB Z%d, %d(DI)", 4+i, 16*i)
		}
		g.p("ADDQ $64, DI")
	case "VNNI256":
		g.p("VPACKUSDW Y5, Y4, Y4")
		g.p("VPACKUSDW Y7, Y6, Y6")
		g.p("VPACKUSWB Y6, Y4, Y4")
		g.p("VPERMD Y4, Y15, Y4")
		g.p("VMOVDQU Y4, (DI)")
		g.p("ADDQ $32, DI")
	default:
		for i := 0; i < 4; i += 2 {
			g.p("VPACKUSDW Y%d, Y%d, Y%d", 5+i, 4+i, 4+i)
			g.p("VPERMQ $0xD8, Y%d, Y%d", 4+i, 4+i)
			g.p("VMOVDQU Y%d, %d(DI)", 4+i, 16*i)
		}
		g.p("ADDQ $64, DI")
	}
	g.p("ADDQ $%d, SI", 4*g.width)
}

// quantEnd turns the range of a row (X2) into its scale and stores the row in steps of which the largest is top. With low, X0
// holds the row's least number, which becomes step 0.
func (g *x86) quantEnd(set, top string, low bool) {
	g.p("VMAXSS %s, X2, X2", g.addr("tiny"))
	g.p("VMOVSS %s, X1", g.addr(top))
	g.p("VDIVSS X2, X1, X3")
	g.p("VDIVSS X1, X2, X2")
	g.p("VMOVSS X2, scale+24(FP)")
	g.p("VBROADCASTSS X3, %s", g.v(8))
	if low {
		g.p("VMULSS X3, X0, X0")
		g.p("VCVTSS2SI X0, AX")
		g.p("NEGL AX")
		g.p("VMOVD AX, X9")
		g.p("VCVTDQ2PS X9, X0")
		g.p("VMOVSS X0, zero+28(FP)")
		g.p("VPBROADCASTD X9, %s", g.v(9))
	} else {
		g.clear(9)
	}
	if set == "VNNI256" {
		g.p("VMOVDQU ·order(SB), Y15")
	}
	g.p("MOVQ dst+0(FP), DI")
	g.p("MOVQ src+8(FP), SI")
	g.p("MOVQ n+16(FP), CX")
	g.label("store")
	g.store(set, low)
	g.p("SUBQ $%d, CX", g.width)
	g.p("JNZ store")
	g.ret()
}

// quant emits the quantisation of a row over its range, 0 included.
func (g *x86) quant(set string) {
	g.fn("quant"+set, quantParams, 32)
	g.p("MOVQ src+8(FP), SI")
	g.p("MOVQ n+16(FP), CX")
	for i := range 4 {
		g.clear(i)
		g.clear(10 + i)
	}
	g.label("range")
	for i := range 4 {
		g.p("VMOVUPS %d(SI), %s", i*g.width, g.v(4+i))
		g.p("VMAXPS %s, %s, %s", g.v(4+i), g.v(i), g.v(i))
		g.p("VMINPS %s, %s, %s", g.v(4+i), g.v(10+i), g.v(10+i))
	}
	g.p("ADDQ $%d, SI", 4*g.width)
	g.p("SUBQ $%d, CX", g.width)
	g.p("JNZ range")
	g.fold("VMAXPS", 4)
	g.p("VMOVAPS X0, X9")
	for i := range 4 {
		g.p("VMOVAPS %s, %s", g.v(10+i), g.v(i))
	}
	g.fold("VMINPS", 4)
	g.p("VSUBSS X0, X9, X2")
	g.quantEnd(set, "254", true)
}

// gelu emits GELU plus its shift, quantised with zero point 0. src is overwritten.
func (g *x86) gelu(set string) {
	g.fn("gelu"+set, geluParams, 28)
	g.p("MOVQ src+8(FP), SI")
	g.p("MOVQ n+16(FP), CX")
	g.clear(0)
	g.broadcast("clamp", 1)
	g.broadcast("-clamp", 2)
	g.broadcast("half", 3)
	g.broadcast("shift", 4)
	coefficient := func(i int) string {
		switch {
		case g.width == 64:
			return g.v(16 + i)
		case i >= 2:
			return g.v(9 + i - 2)
		}
		return "·wide+" + strconv.Itoa(32*i) + "(SB)"
	}
	for i := range geluP {
		if g.width == 64 || i >= 2 {
			g.p("VBROADCASTSS %s, %s", g.addr("P"+strconv.Itoa(i)), coefficient(i))
		}
	}
	g.label("gelu")
	g.p("VMOVUPS (SI), %s", g.v(5))
	g.p("VMINPS %s, %s, %s", g.v(1), g.v(5), g.v(6))
	g.p("VMAXPS %s, %s, %s", g.v(2), g.v(6), g.v(6)) // c
	g.p("VMULPS %s, %s, %s", g.v(6), g.v(6), g.v(7)) // u = c²
	g.p("VMOVAPS %s, %s", coefficient(8), g.v(8))
	for i := 7; i >= 0; i-- {
		g.p("VFMADD213PS %s, %s, %s", coefficient(i), g.v(7), g.v(8))
	}
	g.p("VMULPS %s, %s, %s", g.v(6), g.v(8), g.v(8))      // erf
	g.p("VMULPS %s, %s, %s", g.v(3), g.v(5), g.v(5))      // h = x/2
	g.p("VFMADD213PS %s, %s, %s", g.v(5), g.v(5), g.v(8)) // h·erf + h
	g.p("VADDPS %s, %s, %s", g.v(4), g.v(8), g.v(8))
	g.p("VMAXPS %s, %s, %s", g.v(8), g.v(0), g.v(0))
	g.p("VMOVUPS %s, (SI)", g.v(8))
	g.p("ADDQ $%d, SI", g.width)
	g.p("SUBQ $%d, CX", g.width/4)
	g.p("JNZ gelu")
	if g.width == 32 {
		g.clear(1)
	}
	g.fold("VMAXPS", 64/g.width)
	g.p("VMOVAPS X0, X2")
	g.quantEnd(set, "255", false)
}

// addNorm emits x = norm(x + y)·gain + bias for a row of n numbers; inv is 1/n.
func (g *x86) addNorm(size string) {
	g.fn("addNorm"+size, addNormParams, 40)
	n := g.perBlock()
	tmp, mean, root := n, n+1, n+2
	start := func() {
		g.p("MOVQ x+0(FP), SI")
		g.p("MOVQ n+24(FP), CX")
	}
	next := func(label string) {
		g.p("ADDQ $256, SI")
		g.p("SUBQ $64, CX")
		g.p("JNZ %s", label)
	}
	clear := func() {
		for i := range n {
			g.clear(i)
		}
	}
	start()
	g.p("MOVQ y+8(FP), DI")
	clear()
	g.label("sum")
	for i := range n {
		g.p("VMOVUPS %d(SI), %s", i*g.width, g.v(tmp))
		g.p("VADDPS %d(DI), %s, %s", i*g.width, g.v(tmp), g.v(tmp))
		g.p("VMOVUPS %s, %d(SI)", g.v(tmp), i*g.width)
		g.p("VADDPS %s, %s, %s", g.v(tmp), g.v(i), g.v(i))
	}
	g.p("ADDQ $256, DI")
	next("sum")
	g.fold("VADDPS", n)
	g.p("VMULSS inv+32(FP), X0, X0")
	g.p("VBROADCASTSS X0, %s", g.v(mean))
	clear()
	start()
	g.label("squares")
	for i := range n {
		g.p("VMOVUPS %d(SI), %s", i*g.width, g.v(tmp))
		g.p("VSUBPS %s, %s, %s", g.v(mean), g.v(tmp), g.v(tmp))
		g.p("VFMADD231PS %s, %s, %s", g.v(tmp), g.v(tmp), g.v(i))
	}
	next("squares")
	g.fold("VADDPS", n)
	g.p("VMULSS inv+32(FP), X0, X0")
	g.p("VADDSS eps+36(FP), X0, X0")
	g.p("VSQRTSS X0, X0, X0")
	g.p("VMOVSS %s, X1", g.addr("one"))
	g.p("VDIVSS X0, X1, X1")
	g.p("VBROADCASTSS X1, %s", g.v(root))
	start()
	g.p("MOVQ gain+16(FP), DI")
	g.p("LEAQ (DI)(CX*4), R8")
	g.label("norm")
	for i := range n {
		r := g.v(i % 4)
		g.p("VMOVUPS %d(SI), %s", i*g.width, r)
		g.p("VSUBPS %s, %s, %s", g.v(mean), r, r)
		g.p("VMULPS %s, %s, %s", g.v(root), r, r)
		g.p("VMOVUPS %d(DI), %s", i*g.width, g.v(tmp))
		g.p("VFMADD213PS %d(R8), %s, %s", i*g.width, g.v(tmp), r)
		g.p("VMOVUPS %s, %d(SI)", r, i*g.width)
	}
	g.p("ADDQ $256, DI")
	g.p("ADDQ $256, R8")
	next("norm")
	g.ret()
}

// softmax emits s = exp(s - max), and returns one over its sum. n is a multiple of 16.
func (g *x86) softmax(size string) {
	g.fn("softmax"+size, softmaxParams, 20)
	start := func() {
		g.p("MOVQ s+0(FP), SI")
		g.p("MOVQ n+8(FP), CX")
	}
	n := 64 / g.width // registers of the 16 sums
	start()
	for i := range n {
		g.p("VMOVUPS %d(SI), %s", i*g.width, g.v(i))
	}
	g.label("max")
	for i := range n {
		g.p("VMAXPS %d(SI), %s, %s", i*g.width, g.v(i), g.v(i))
	}
	g.p("ADDQ $64, SI")
	g.p("SUBQ $16, CX")
	g.p("JNZ max")
	g.fold("VMAXPS", n)
	g.p("VBROADCASTSS X0, %s", g.v(2))
	g.broadcast("-87", 3)
	g.broadcast("log2e", 4)
	for i := range expP {
		g.broadcast("E"+strconv.Itoa(i), 10+i)
	}
	for i := range n {
		g.clear(i)
	}
	start()
	g.label("exp")
	for i := range n {
		g.p("VMOVUPS %d(SI), %s", i*g.width, g.v(5))
		g.p("VSUBPS %s, %s, %s", g.v(2), g.v(5), g.v(5))
		g.p("VMAXPS %s, %s, %s", g.v(3), g.v(5), g.v(5))
		g.p("VMULPS %s, %s, %s", g.v(4), g.v(5), g.v(5))
		g.p("VCVTPS2DQ %s, %s", g.v(5), g.v(6))
		g.p("VCVTDQ2PS %s, %s", g.v(6), g.v(7))
		g.p("VSUBPS %s, %s, %s", g.v(7), g.v(5), g.v(5))
		g.p("VMOVAPS %s, %s", g.v(15), g.v(8))
		for c := 4; c >= 0; c-- {
			g.p("VFMADD213PS %s, %s, %s", g.v(10+c), g.v(5), g.v(8))
		}
		g.p("VPSLLD $23, %s, %s", g.v(6), g.v(6))
		g.p("VPADDD %s, %s, %s", g.v(6), g.v(8), g.v(8))
		g.p("VMOVUPS %s, %d(SI)", g.v(8), i*g.width)
		g.p("VADDPS %s, %s, %s", g.v(8), g.v(i), g.v(i))
	}
	g.p("ADDQ $64, SI")
	g.p("SUBQ $16, CX")
	g.p("JNZ exp")
	g.fold("VADDPS", n)
	g.p("VMOVSS %s, X1", g.addr("one"))
	g.p("VDIVSS X0, X1, X1")
	g.p("VMOVSS X1, ret+16(FP)")
	g.ret()
}
