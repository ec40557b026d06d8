package main

import (
	"slices"
	"strconv"
	"strings"
)

// results are the values of benchmarks by name and unit: one for each time that the
// benchmark ran. A name ends with "-2" if it ran on two processors.
type results map[string]map[string][]float64

// add adds the lines of benchmarks in what go test prints: "BenchmarkName-2 100 12.5 ns/op".
func (r results) add(output string) {
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				break
			}
			units := r[fields[0]]
			if units == nil {
				units = map[string][]float64{}
				r[fields[0]] = units
			}
			units[fields[i+1]] = append(units[fields[i+1]], value)
		}
	}
}

// median returns the median of a benchmark's values, if there is one.
func (r results) median(name, unit string) (float64, bool) {
	values := slices.Sorted(slices.Values(r[name][unit]))
	n := len(values)
	if n == 0 {
		return 0, false
	}
	return (values[(n-1)/2] + values[n/2]) / 2, true
}
