package perf

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreRightToAThousandth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var d Durations
	var all []time.Duration
	for range 10000 {
		one := time.Duration(math.Exp(r.Float64() * 30)) // 1 ns to hours
		d.Add(one)
		all = append(all, one)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(q*10000+0.5), 1)-1]
		if got := d.Quantile(q); math.Abs(float64(got-want)) > float64(want)/1000 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if d.Count != 10000 || d.Min != all[0] || d.Max != all[9999] {
		t.Errorf("%d from %v to %v", d.Count, d.Min, d.Max)
	}
}

func TestShortDurationsAreExact(t *testing.T) {
	var d Durations
	for i := range 101 {
		d.Add(time.Duration(20*i) * time.Nanosecond)
	}
	if d.Quantile(0.5) != 1000 || d.Quantile(0.99) != 1980 || d.Mean() != 1000 || d.Min != 0 || d.Max != 2000 {
		t.Errorf("median %v, p99 %v, mean %v, from %v to %v", d.Quantile(0.5), d.Quantile(0.99), d.Mean(), d.Min, d.Max)
	}
}

func TestExtremeDurations(t *testing.T) {
	var d Durations
	if d.Quantile(0.5) != 0 || d.Mean() != 0 {
		t.Error("of nothing something is said")
	}
	d.Add(-5)
	d.Add(math.MaxInt64)
	if d.Min != 0 || d.Max != math.MaxInt64 || d.Quantile(0.5) != 0 || d.Quantile(1) != math.MaxInt64 {
		t.Errorf("from %v to %v, quantiles %v and %v", d.Min, d.Max, d.Quantile(0.5), d.Quantile(1))
	}
	d.Reset()
	d.Add(7)
	if d.Count != 1 || d.Min != 7 || d.Max != 7 || d.Quantile(0.5) != 7 {
		t.Errorf("after Reset: %+v", d.Quantile(0.5))
	}
}

// What gets no room is left out of quantiles only.
func TestDurationsThatGetNoRoom(t *testing.T) {
	r := &room{used: maxBuckets - 2}
	d := Durations{room: r}
	for _, one := range []time.Duration{10, 20, 1 << 40, 10, 5, 20} {
		d.Add(one)
	}
	if d.Count != 6 || d.LeftOut != 2 || d.Min != 5 || d.Max != 1<<40 || d.Quantile(0.5) != 10 || d.Quantile(1) != 20 || r.leftOut != 2 {
		t.Errorf("%+v, median %v, all %v", d, d.Quantile(0.5), d.Quantile(1))
	}
	if d.Reset(); r.used != maxBuckets-2 {
		t.Errorf("after Reset %d buckets are in use", r.used)
	}
	full := Durations{room: &room{used: maxBuckets}}
	if full.Add(3); full.Quantile(0.5) != 0 || full.Max != 3 {
		t.Errorf("without any room: median %v, max %v", full.Quantile(0.5), full.Max)
	}
}
