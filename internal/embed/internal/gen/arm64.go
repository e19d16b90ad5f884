package main

import "fmt"

// neon emits kernels for arm64 with the dot-product instructions. What Go's assembler lacks is written as words.
type neon struct{ emitter }

func arm64() *neon {
	g := &neon{}
	for i := 1; i <= 4; i++ {
		g.gemm(i)
	}
	g.table("gemmSDOT", "gemmFunc", 4)
	for i := 1; i <= 3; i++ {
		g.sgemm(i)
	}
	g.table("sgemmNEON", "sgemmFunc", 3)
	return g
}

func (g *neon) word(code int, format string, args ...any) {
	g.p("WORD $0x%08X // "+format, append([]any{code}, args...)...)
}

func three(code, m, n, d int) int { return code | m<<16 | n<<5 | d }

func element(code, m, index, n, d int) int {
	return code | index&1<<21 | m<<16 | index>>1<<11 | n<<5 | d
}

func (g *neon) sdot(w, a, index, acc int) {
	g.word(element(0x4F80E000, a, index, w, acc), "SDOT V%d.4S, V%d.16B, V%d.4B[%d]", acc, w, a, index)
}

func (g *neon) fmla(b, a, acc int) {
	g.word(element(0x4F801000, a, 0, b, acc), "FMLA V%d.4S, V%d.4S, V%d.S[0]", acc, b, a)
}

func (g *neon) fmulElement(b, a, to int) {
	g.word(element(0x4F809000, a, 0, b, to), "FMUL V%d.4S, V%d.4S, V%d.S[0]", to, b, a)
}

func (g *neon) fmul(m, n, to int) {
	g.word(three(0x6E20DC00, m, n, to), "FMUL V%d.4S, V%d.4S, V%d.4S", to, n, m)
}

func (g *neon) fadd(m, n, to int) {
	g.word(three(0x4E20D400, m, n, to), "FADD V%d.4S, V%d.4S, V%d.4S", to, n, m)
}

func (g *neon) clear(i int) { g.p("VEOR V%d.B16, V%d.B16, V%d.B16", i, i, i) }

// four is the operand of four successive registers.
func four(i int, kind string) string {
	return fmt.Sprintf("[V%d.%s, V%d.%s, V%d.%s, V%d.%s]", i, kind, i+1, kind, i+2, kind, i+3, kind)
}

// gemm emits a kernel of mr token rows by 16 outputs. SDOT takes signed bytes only: 128 is taken from the activations, and 128
// times the sum of the weights, which corr has, is given back at the end.
func (g *neon) gemm(mr int) {
	g.fn(fmt.Sprintf("gemmSDOT%d", mr), gemmParams, 88)
	g.p("MOVD act+16(FP), R1")
	g.p("MOVD lda+24(FP), R8")
	for r := 1; r < mr; r++ {
		g.p("ADD R8, R%d, R%d", r, r+1)
	}
	g.p("MOVD w+32(FP), R5")
	g.p("MOVD groups+40(FP), R6")
	g.word(0x4F04E400|31, "MOVI V31.16B, $0x80")
	for i := range 4 * mr {
		g.clear(i)
	}
	g.label("loop")
	for r := range mr {
		g.p("VLD1.P 16(R%d), [V%d.B16]", r+1, 16+r)
		g.p("VEOR V31.B16, V%d.B16, V%d.B16", 16+r, 16+r)
	}
	for i := range 4 {
		g.p("VLD1.P 64(R5), %s", four(20, "B16"))
		for r := range mr {
			for c := range 4 {
				g.sdot(20+c, 16+r, i, 4*r+c)
			}
		}
	}
	g.p("SUB $4, R6, R6")
	g.p("CBNZ R6, loop")
	g.p("MOVD corr+48(FP), R9")
	g.p("VLD1 (R9), %s", four(20, "S4"))
	g.p("MOVD s+56(FP), R9")
	g.p("VLD1 (R9), %s", four(24, "S4"))
	g.p("MOVD b+64(FP), R9")
	g.p("VLD1 (R9), %s", four(28, "S4"))
	g.p("MOVD out+0(FP), R0")
	g.p("MOVD ldo+8(FP), R10")
	g.p("MOVD sa+72(FP), R11")
	g.p("MOVD za+80(FP), R12")
	for r := range mr {
		g.p("FMOVS %d(R11), F17", 4*r)
		g.p("FMOVS %d(R12), F18", 4*r)
		for c := range 4 {
			acc := 4*r + c
			g.word(three(0x4EA1B800, 0, 20+c, 16), "FCVTZS V16.4S, V%d.4S", 20+c)
			g.word(three(0x4F275400, 0, 16, 16), "SHL V16.4S, V16.4S, $7")
			g.p("VSUB V16.S4, V%d.S4, V%d.S4", acc, acc)
			g.word(three(0x4E21D800, 0, acc, acc), "SCVTF V%d.4S, V%d.4S", acc, acc)
			g.fmulElement(20+c, 18, 16)
			g.fadd(16, acc, acc)
			g.fmulElement(24+c, 17, 16)
			g.fmul(16, acc, acc)
			g.fadd(28+c, acc, acc)
		}
		g.p("VST1 %s, (R0)", four(4*r, "S4"))
		g.p("ADD R10, R0, R0")
	}
	g.p("RET")
}

// sgemm emits out[mr][32] = (init + a·b)·scale.
func (g *neon) sgemm(mr int) {
	g.fn(fmt.Sprintf("sgemmNEON%d", mr), sgemmParams, 72)
	g.p("MOVD a+16(FP), R1")
	g.p("MOVD lda+24(FP), R8")
	for r := 1; r < mr; r++ {
		g.p("ADD R8, R%d, R%d", r, r+1)
	}
	g.p("MOVD b+32(FP), R5")
	g.p("MOVD ldb+40(FP), R7")
	g.p("SUB $64, R7, R7")
	g.p("MOVD k+48(FP), R6")
	for r := range mr {
		g.p("MOVD init+56(FP), R9")
		g.p("VLD1.P 64(R9), %s", four(8*r, "S4"))
		g.p("VLD1 (R9), %s", four(8*r+4, "S4"))
	}
	g.label("loop")
	for r := range mr {
		g.p("FMOVS.P 4(R%d), F%d", r+1, 28+r)
	}
	for half := range 2 {
		if half == 0 {
			g.p("VLD1.P 64(R5), %s", four(24, "S4"))
		} else {
			g.p("VLD1 (R5), %s", four(24, "S4"))
		}
		for c := range 4 {
			for r := range mr {
				g.fmla(24+c, 28+r, 8*r+4*half+c)
			}
		}
	}
	g.p("ADD R7, R5, R5")
	g.p("SUB $1, R6, R6")
	g.p("CBNZ R6, loop")
	g.p("MOVD out+0(FP), R0")
	g.p("MOVD ldo+8(FP), R10")
	g.p("SUB $64, R10, R10")
	g.p("MOVD scale+64(FP), R11")
	for r := range mr {
		g.p("FMOVS %d(R11), F28", 4*r)
		for c := range 8 {
			g.fmulElement(8*r+c, 28, 8*r+c)
		}
		g.p("VST1.P %s, 64(R0)", four(8*r, "S4"))
		g.p("VST1 %s, (R0)", four(8*r+4, "S4"))
		g.p("ADD R10, R0, R0")
	}
	g.p("RET")
}
