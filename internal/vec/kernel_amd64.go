package vec

import "golang.org/x/sys/cpu"

// dotRows is dotRowsGo by the fastest means the processor has. len(q) is a multiple of lane and not 0.
func dotRows(out []int32, q []int16, codes []int8) {
	if len(out) == 0 {
		return
	}
	_ = codes[len(out)*len(q)-1]
	if !cpu.X86.HasAVX2 {
		dotRowsGo(out, q, codes)
		return
	}
	dotRowsAVX2(&out[0], &q[0], &codes[0], len(out), len(q))
}

// Kernel names the kernel in use.
func Kernel() string {
	if cpu.X86.HasAVX2 {
		return "avx2"
	}
	return "go"
}

// dotRowsAVX2 writes n dot products of q, of stride numbers, and n rows of stride codes. stride is a positive multiple of 16.
//
//go:noescape
func dotRowsAVX2(out *int32, q *int16, codes *int8, n, stride int)
