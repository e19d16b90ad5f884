#include "textflag.h"

// Sixteen codes of a row are widened to 16 bits, multiplied with sixteen of the question, and neighbouring products added, all in
// 32 bits: nothing saturates or is lost. Four rows at a time share the loads of the question. As they
// advance, the line of memory 2 KiB ahead is asked for: it spares the wait at every new page, and nearly halves the time of a
// matrix larger than the caches. Asking for memory beyond the matrix is harmless.

// func dotRowsAVX2(out *int32, q *int16, codes *int8, n, stride int)
TEXT ·dotRowsAVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ q+8(FP), SI
	MOVQ codes+16(FP), R8
	MOVQ n+24(FP), CX
	MOVQ stride+32(FP), DX

four:
	CMPQ CX, $4
	JLT  one
	LEAQ (R8)(DX*1), R9
	LEAQ (R9)(DX*1), R10
	LEAQ (R10)(DX*1), R11
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	XORQ AX, AX

fourLoop:
	PREFETCHT0 2048(R8)(AX*4)
	VMOVDQU   (SI)(AX*2), Y4
	VPMOVSXBW (R8)(AX*1), Y5
	VPMOVSXBW (R9)(AX*1), Y6
	VPMOVSXBW (R10)(AX*1), Y7
	VPMOVSXBW (R11)(AX*1), Y8
	VPMADDWD  Y4, Y5, Y5
	VPMADDWD  Y4, Y6, Y6
	VPMADDWD  Y4, Y7, Y7
	VPMADDWD  Y4, Y8, Y8
	VPADDD    Y5, Y0, Y0
	VPADDD    Y6, Y1, Y1
	VPADDD    Y7, Y2, Y2
	VPADDD    Y8, Y3, Y3
	ADDQ      $16, AX
	CMPQ      AX, DX
	JLT       fourLoop

	// Four sums of eight become four numbers.
	VPHADDD      Y1, Y0, Y0
	VPHADDD      Y3, Y2, Y2
	VPHADDD      Y2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VMOVDQU      X0, (DI)
	ADDQ         $16, DI
	LEAQ         (R11)(DX*1), R8
	SUBQ         $4, CX
	JMP          four

one:
	TESTQ CX, CX
	JZ    done
	VPXOR Y0, Y0, Y0
	XORQ  AX, AX

oneLoop:
	VPMOVSXBW (R8)(AX*1), Y5
	VPMADDWD  (SI)(AX*2), Y5, Y5
	VPADDD    Y5, Y0, Y0
	ADDQ      $16, AX
	CMPQ      AX, DX
	JLT       oneLoop

	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VPHADDD      X0, X0, X0
	VPHADDD      X0, X0, X0
	VMOVD        X0, (DI)
	ADDQ         $4, DI
	ADDQ         DX, R8
	DECQ         CX
	JMP          one

done:
	VZEROUPPER
	RET
