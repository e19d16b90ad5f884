package stat

import (
	"math"
	"testing"
)

// The figures are those of the beta distribution's quantiles: Clopper and Pearson, Biometrika 26 (1934).
func TestClopperPearsonKnowsThePublishedIntervals(t *testing.T) {
	for _, c := range []struct {
		right, n  int
		low, high float64
	}{{0, 0, 0, 1}, {0, 10, 0, .3085}, {10, 10, .6915, 1}, {5, 10, .1871, .8129}, {1, 2, .0126, .9874}, {2, 2, .1581, 1}} {
		if low, high := ClopperPearson(c.right, c.n); math.Abs(low-c.low) > 1e-4 || math.Abs(high-c.high) > 1e-4 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.right, c.n, low, high, c.low, c.high)
		}
	}
}

// Without an error in n the bound is 1 - .05^(1/n).
func TestTheUpperBoundOfNoErrors(t *testing.T) {
	for _, n := range []int{1, 50, 148, 149, 1000} {
		want := 1 - math.Pow(.05, 1/float64(n))
		if got := UpperBound(0, n); math.Abs(got-want) > 1e-9 {
			t.Errorf("0 of %d: %v, want %v", n, got, want)
		}
	}
	if UpperBound(0, 0) != 1 || UpperBound(3, 3) != 1 {
		t.Error("what is not known has no bound below 1")
	}
}

func TestBoundedIsTheUpperBound(t *testing.T) {
	for n := 1; n <= 400; n += 7 {
		for k := 0; k <= min(n, 12); k++ {
			for _, p := range []float64{.005, .02, .1, .5} {
				if got, want := Bounded(k, n, p), UpperBound(k, n) <= p; got != want && math.Abs(UpperBound(k, n)-p) > 1e-9 {
					t.Errorf("%d of %d at %v: %v", k, n, p, got)
				}
			}
		}
	}
}
