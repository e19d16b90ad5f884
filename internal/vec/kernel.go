package vec

// dotRowsGo writes the dot product of q and each of the len(out) rows of codes to out. Every kernel gives these very integers.
func dotRowsGo(out []int32, q []int16, codes []int8) {
	stride := len(q)
	for i := range out {
		row := codes[i*stride:][:stride]
		var a, b, c, d int32
		for j := 0; j+4 <= stride && j+4 <= len(row); j += 4 {
			a += int32(q[j]) * int32(row[j])
			b += int32(q[j+1]) * int32(row[j+1])
			c += int32(q[j+2]) * int32(row[j+2])
			d += int32(q[j+3]) * int32(row[j+3])
		}
		out[i] = a + b + c + d
	}
}
