// Package stat has the exact bounds of shares that were counted. A leaf: it imports the standard library alone.
package stat

import "math"

// ClopperPearson is the exact two-sided 95 % interval of a share of which k of n were seen; 0 to 1 where n is 0.
// (Clopper and Pearson, Biometrika 26, 1934.)
func ClopperPearson(k, n int) (low, high float64) {
	const tail = .025
	low = 0
	if k > 0 {
		low = solve(func(p float64) bool { return atLeast(k, n, p) < tail })
	}
	return low, upper(k, n, tail)
}

// UpperBound is the exact one-sided 95 % upper bound of a share of which k of n were seen; 1 where n is 0.
func UpperBound(k, n int) float64 { return upper(k, n, .05) }

// Bounded says whether UpperBound(k, n) is at most p.
func Bounded(k, n int, p float64) bool {
	return float64(k) < p*float64(n) && 1-atLeast(k+1, n, p) <= .05
}

func upper(k, n int, tail float64) float64 {
	if k >= n {
		return 1
	}
	return solve(func(p float64) bool { return 1-atLeast(k+1, n, p) > tail })
}

// solve finds the p up to which below holds.
func solve(below func(p float64) bool) float64 {
	low, high := 0.0, 1.0
	for range 60 {
		if mid := (low + high) / 2; below(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// atLeast is the chance of k or more of n at probability p.
func atLeast(k, n int, p float64) float64 {
	switch {
	case k <= 0 || p >= 1:
		return 1
	case p <= 0:
		return 0
	}
	if k > n-k { // the shorter tail
		return sum(k, n, n, p)
	}
	return 1 - sum(0, k-1, n, p)
}

// sum is the chance of first to last of n at probability p.
func sum(first, last, n int, p float64) float64 {
	ln, _ := math.Lgamma(float64(n + 1))
	sum := 0.0
	for i := first; i <= last; i++ {
		a, _ := math.Lgamma(float64(i + 1))
		b, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(ln - a - b + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return min(sum, 1)
}
