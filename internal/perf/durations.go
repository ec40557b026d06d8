package perf

import (
	"math/bits"
	"slices"
	"time"
)

// Durations collects any number of durations. Count, Min, Max and Mean are exact, quantiles
// are right to 0.1 %. The memory depends on the range, and not on the number: it is 8 kB for
// each time that the shortest duration must be doubled to reach the longest. The zero value
// is empty.
type Durations struct {
	Count    uint64
	Min, Max time.Duration // 0 if there are none
	sum      float64
	lowest   int      // the bucket that counts begin with
	counts   []uint64 // by bucket
}

// Below 2 * perOctave nanoseconds there is a bucket for each, and above as many for each
// time twice as long.
const perOctave = 1024

func bucket(d time.Duration) int {
	shift := max(bits.Len64(uint64(d))-bits.Len(2*perOctave-1), 0)
	return shift*perOctave + int(d>>shift)
}

// middle is the middle of the durations in a bucket.
func middle(bucket int) time.Duration {
	if bucket < 2*perOctave {
		return time.Duration(bucket)
	}
	shift := bucket/perOctave - 1
	return time.Duration(bucket-shift*perOctave)<<shift + 1<<shift/2
}

// Add adds one; below 0 it counts as 0.
func (d *Durations) Add(one time.Duration) {
	one = max(one, 0)
	if d.Count == 0 || one < d.Min {
		d.Min = one
	}
	d.Max = max(d.Max, one)
	d.Count++
	d.sum += float64(one)
	*d.count(bucket(one))++
}

// count returns the count of a bucket.
func (d *Durations) count(bucket int) *uint64 {
	if len(d.counts) == 0 {
		d.lowest = bucket
	}
	if below := d.lowest - bucket; below > 0 {
		d.counts = slices.Insert(d.counts, 0, make([]uint64, below)...)
		d.lowest = bucket
	}
	if above := bucket - d.lowest + 1 - len(d.counts); above > 0 {
		d.counts = append(d.counts, make([]uint64, above)...)
	}
	return &d.counts[bucket-d.lowest]
}

// Mean is 0 if there are none.
func (d *Durations) Mean() time.Duration {
	if d.Count == 0 {
		return 0
	}
	return time.Duration(d.sum / float64(d.Count))
}

// Quantile returns the duration that so many of all do not exceed, as 0.5 of them the median.
// It is 0 if there are none.
func (d *Durations) Quantile(q float64) time.Duration {
	rank := max(uint64(q*float64(d.Count)+0.5), 1)
	if rank >= d.Count {
		return d.Max
	}
	var seen uint64
	for i, n := range d.counts {
		if seen += n; seen >= rank {
			return min(max(middle(d.lowest+i), d.Min), d.Max)
		}
	}
	return d.Max
}

// Reset empties it, and keeps its memory.
func (d *Durations) Reset() {
	*d = Durations{counts: d.counts[:0]}
}
