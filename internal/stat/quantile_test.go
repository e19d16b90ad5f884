package stat

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestQuantileOfBuckets(t *testing.T) {
	bounds := []float64{.1, 1, 10, math.Inf(1)}
	for _, c := range []struct {
		q      float64
		counts []float64
		want   float64
	}{
		{.5, []float64{0, 10, 10, 10}, .55},
		{.5, []float64{10, 10, 10, 10}, .05},
		{.95, []float64{0, 0, 0, 4}, 10}, // beyond all bounds
		{1, []float64{1, 1, 2, 2}, 10},
		{0, []float64{0, 4, 4, 4}, 0},
		{.5, []float64{0, 0, 0, 0}, math.NaN()},
	} {
		if got := Quantile(c.q, bounds, c.counts); math.Abs(got-c.want) > 1e-12 || math.IsNaN(got) != math.IsNaN(c.want) {
			t.Errorf("%g of %v is %g, not %g", c.q, c.counts, got, c.want)
		}
	}
	if !math.IsNaN(Quantile(.5, nil, nil)) {
		t.Error("a quantile of nothing")
	}
}

// Whatever was counted, the estimate stands in the bucket of the true quantile.
func TestTheEstimateIsInTheBucketOfTheTrueQuantile(t *testing.T) {
	bounds := []float64{1, 2, 5, 10, math.Inf(1)}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 9.99), 1, 50).Draw(t, "values")
		q := rapid.Float64Range(.01, 1).Draw(t, "q")
		slices.Sort(values)
		counts := make([]float64, len(bounds))
		for i, bound := range bounds {
			for _, v := range values {
				if v <= bound {
					counts[i]++
				}
			}
		}
		truth := values[int(math.Ceil(q*float64(len(values))))-1]
		i, _ := slices.BinarySearch(bounds, truth)
		low := 0.0
		if i > 0 {
			low = bounds[i-1]
		}
		if got := Quantile(q, bounds, counts); got < low-1e-9 || got > bounds[i]+1e-9 {
			t.Fatalf("%g of %v is %g, estimated as %g", q, values, truth, got)
		}
	})
}
