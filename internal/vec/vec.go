package vec

import "math"

// Dot is the dot product of two vectors of the same length.
func Dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i := range a {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// Norm is the length of a vector, 0 for one that has none or is not finite.
func Norm(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if norm := math.Sqrt(sum); !math.IsInf(norm, 0) && !math.IsNaN(norm) {
		return norm
	}
	return 0
}

// Normalize returns v at unit length, as a copy; nil if v has no direction: no numbers, only zeros, or one that is not finite.
func Normalize(v []float32) []float32 {
	norm := Norm(v)
	if norm == 0 {
		return nil
	}
	unit := make([]float32, len(v))
	for i, x := range v {
		unit[i] = float32(float64(x) / norm)
	}
	return unit
}

// Cosine is the cosine of the angle between two vectors of the same length, 0 where one has no direction.
func Cosine(a, b []float32) float64 {
	norms := Norm(a) * Norm(b)
	if norms == 0 {
		return 0
	}
	return float64(Dot(a, b)) / norms
}
