// Package scale makes tests smaller in short runs (go test -short): those of make check, and
// those with the race detector, which finds in few transfers what it would find in many and
// makes each of them ten times slower. Whole runs are those of make test without it.
package scale

import "testing"

// Down returns whole, or in short runs short.
func Down[T any](whole, short T) T {
	if testing.Short() {
		return short
	}
	return whole
}
