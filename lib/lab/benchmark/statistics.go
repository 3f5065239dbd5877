package benchmark

import (
	"math"
	"slices"
)

// Quantile is the smallest value that at least a share q of all values does not exceed; of none it is NaN.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, min(len(sorted)-1, int(math.Ceil(q*float64(len(sorted))))-1))]
}

// seriesLength is from how many values a 99th percentile is told.
const seriesLength = 50
