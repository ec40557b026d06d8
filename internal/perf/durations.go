package perf

import (
	"maps"
	"math/bits"
	"slices"
	"time"
)

// Durations collects any number of durations. Count, Min, Max and Mean are exact, quantiles
// are right to 0.1 %. Durations that differ by less share a bucket, so that the memory does not
// depend on their number. The zero value is empty.
type Durations struct {
	Count    uint64
	Min, Max time.Duration // 0 if there are none
	// LeftOut counts those that quantiles do not know, because there was no room for a bucket.
	LeftOut uint64
	sum     float64
	counts  map[uint16]uint64 // by bucket
	room    *room             // nil: there is no limit
}

// A room is what many Durations share: how many buckets they have.
type room struct {
	used    int
	leftOut uint64 // durations that got no bucket
}

// maxBuckets is how many buckets the Durations of a Meter may have, some 64 MB. Those of one
// direction of a pair need some hundred.
const maxBuckets = 2 << 20

// take takes room for a bucket.
func (r *room) take() bool {
	switch {
	case r == nil:
		return true
	case r.used >= maxBuckets:
		r.leftOut++
		return false
	}
	r.used++
	return true
}

// Below 2 * perOctave nanoseconds there is a bucket for each, and above as many for each
// time twice as long.
const perOctave = 1024

func bucket(d time.Duration) uint16 {
	shift := max(bits.Len64(uint64(d))-bits.Len(2*perOctave-1), 0)
	return uint16(shift*perOctave + int(d>>shift))
}

// middle is the middle of the durations in a bucket.
func middle(bucket uint16) time.Duration {
	if bucket < 2*perOctave {
		return time.Duration(bucket)
	}
	shift := int(bucket)/perOctave - 1
	return time.Duration(int(bucket)-shift*perOctave)<<shift + 1<<shift/2
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
	b := bucket(one)
	n, known := d.counts[b]
	if !known && !d.room.take() {
		d.LeftOut++
		return
	}
	if d.counts == nil {
		d.counts = make(map[uint16]uint64)
	}
	d.counts[b] = n + 1
}

// Mean is 0 if there are none.
func (d *Durations) Mean() time.Duration {
	if d.Count == 0 {
		return 0
	}
	return time.Duration(d.sum / float64(d.Count))
}

// Quantile returns the duration that so many of all do not exceed, as 0.5 of them the median;
// those left out do not count. It is 0 if there are no others.
func (d *Durations) Quantile(q float64) time.Duration {
	all := d.Count - d.LeftOut
	rank := max(uint64(q*float64(all)+0.5), 1)
	if rank >= all && d.LeftOut == 0 {
		return d.Max
	}
	var seen uint64
	for _, b := range slices.Sorted(maps.Keys(d.counts)) {
		if seen += d.counts[b]; seen >= min(rank, all) {
			return min(max(middle(b), d.Min), d.Max)
		}
	}
	return 0
}

// Reset empties it, and gives its room back.
func (d *Durations) Reset() {
	const kept = 1000 // a map does not shrink, and clearing a large one takes longer than making another
	counts := d.counts
	if d.room != nil {
		d.room.used -= len(counts)
	}
	if len(counts) > kept {
		counts = nil
	}
	clear(counts)
	*d = Durations{counts: counts, room: d.room}
}
