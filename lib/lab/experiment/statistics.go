package experiment

import "math"

// Summary is what the paper gives of a series: its mean and its coefficient of variation.
type Summary struct {
	Runs int     `json:"runs"`
	Mean float64 `json:"mean_s"`
	CV   float64 `json:"cv"` // sample standard deviation divided by the mean; 0 for a single run
	Min  float64 `json:"min_s"`
	Max  float64 `json:"max_s"`
}

// Summarize is the summary of a series; of none it is zero.
func Summarize(values []float64) Summary {
	s := Summary{Runs: len(values)}
	if s.Runs == 0 {
		return s
	}
	s.Min, s.Max = values[0], values[0]
	sum := 0.0
	for _, v := range values {
		sum += v
		s.Min, s.Max = min(s.Min, v), max(s.Max, v)
	}
	s.Mean = sum / float64(s.Runs)
	if s.Runs > 1 && s.Mean != 0 {
		squares := 0.0
		for _, v := range values {
			squares += (v - s.Mean) * (v - s.Mean)
		}
		s.CV = math.Sqrt(squares/float64(s.Runs-1)) / s.Mean
	}
	return s
}
