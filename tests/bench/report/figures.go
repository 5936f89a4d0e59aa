package report

import (
	"math"
	"slices"
	"time"
)

// Spread is a distribution in a few figures.
type Spread struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
}

// SpreadOf is the distribution of the values; all 0 of none.
func SpreadOf(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	return Spread{quantile(sorted, 0.5), quantile(sorted, 0.9), quantile(sorted, 0.99)}
}

// Quantile is the least value that the given part of all is at most, to three digits; 0
// of none.
func Quantile(values []float64, part float64) float64 {
	return quantile(slices.Sorted(slices.Values(values)), part)
}

func quantile(sorted []float64, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return Round(sorted[max(0, int(math.Ceil(part*float64(len(sorted))))-1)], 3)
}

// Round rounds to so many digits after the point.
func Round(value float64, digits int) float64 {
	scale := math.Pow(10, float64(digits))
	return math.Round(value*scale) / scale
}

// In is the time in a unit.
func In(unit, t time.Duration) float64 { return float64(t) / float64(unit) }

// AllIn are the times in a unit.
func AllIn(unit time.Duration, times []time.Duration) []float64 {
	values := make([]float64, len(times))
	for i, t := range times {
		values[i] = In(unit, t)
	}
	return values
}
