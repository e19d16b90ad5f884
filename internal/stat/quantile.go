package stat

import "math"

// Quantile estimates a quantile (0 to 1) from counts of what was no greater than each of the rising bounds; the last bound is
// +Inf. Within a bucket what was counted is taken to be spread evenly, as Prometheus' histogram_quantile does; what is in the last
// bucket counts as its lower end. NaN where nothing was counted.
func Quantile(q float64, bounds []float64, cumulative []float64) float64 {
	if len(bounds) == 0 || cumulative[len(bounds)-1] <= 0 {
		return math.NaN()
	}
	rank := q * cumulative[len(bounds)-1]
	i := 0
	for i < len(bounds)-1 && cumulative[i] < rank {
		i++
	}
	low, below := 0.0, 0.0
	if i > 0 {
		low, below = bounds[i-1], cumulative[i-1]
	}
	if math.IsInf(bounds[i], 1) || cumulative[i] <= below {
		return low
	}
	return low + (bounds[i]-low)*(rank-below)/(cumulative[i]-below)
}
