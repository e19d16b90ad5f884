//go:build !amd64

package vec

func dotRows(out []int32, q []int16, codes []int8) { dotRowsGo(out, q, codes) }

// Kernel names the kernel in use.
func Kernel() string { return "go" }
