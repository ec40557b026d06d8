package virtual

import (
	"strconv"
	"testing"
	"time"

	"example.com/isotp/canbus"
)

// One writer and one reader, batches of 64 frames: ns/op is ns per frame.
func BenchmarkStream(b *testing.B) {
	for _, c := range []struct {
		name  string
		flags canbus.Flags
		len   uint8
	}{{"classic", 0, 8}, {"FD64", canbus.FD | canbus.BRS, 64}} {
		b.Run(c.name, func(b *testing.B) {
			n, _ := New(Options{})
			w, _ := n.Tap()
			r, _ := n.Tap()
			defer w.Close()
			defer r.Close()
			var out [64]canbus.Frame
			for i := range out {
				out[i] = canbus.Frame{ID: 0x7E0, Flags: c.flags, Len: c.len}
			}
			done := make(chan struct{})
			b.ReportAllocs()
			total := b.N
			go func() {
				defer close(done)
				var in [64]canbus.Frame
				for got := 0; got < total; {
					k, err := r.ReadFrames(in[:])
					if err != nil {
						b.Error(err)
						return
					}
					got += k
				}
			}()
			for sent := 0; sent < b.N; {
				k, err := w.WriteFrames(out[:min(64, b.N-sent)])
				if err != nil {
					b.Fatal(err)
				}
				sent += k
			}
			<-done
		})
	}
}

// A network that is not ideal: what it costs to simulate a frame.
func BenchmarkSimulation(b *testing.B) {
	n, _ := New(Options{Faults: Faults{Corrupt: 0.01}})
	w, _ := n.Observe()
	r, _ := n.Observe()
	defer w.Close()
	defer r.Close()
	var out [64]canbus.Frame
	for i := range out {
		out[i] = canbus.Frame{ID: 0x7E0, Len: 8}
	}
	b.ReportAllocs()
	for sent := 0; sent < b.N; {
		k, err := w.WriteFrames(out[:min(64, b.N-sent)])
		if err != nil {
			b.Fatal(err)
		}
		sent += k
	}
}

// How much of the bit rate of the wire a writer gets by the system's clock: all
// but the first frame's wait, however late the timers are.
func BenchmarkLineRate(b *testing.B) {
	for _, bitrate := range []int{125e3, 500e3, 1e6} {
		b.Run(strconv.Itoa(bitrate), func(b *testing.B) {
			n, _ := New(Options{Bitrate: bitrate})
			w, _ := n.Observe()
			r, _ := n.Tap()
			defer w.Close()
			defer r.Close()
			f := [1]canbus.Frame{{ID: 0x7E0, Len: 8}}
			total := b.N
			var late time.Duration
			done := make(chan struct{})
			go func() {
				defer close(done)
				var in [1]canbus.Frame
				for range total {
					if _, err := r.ReadFrames(in[:]); err != nil {
						b.Error(err)
					}
					late += time.Since(in[0].Time())
				}
			}()
			start := time.Now()
			for range total {
				if _, err := w.WriteFrames(f[:]); err != nil {
					b.Fatal(err)
				}
			}
			<-done
			wire := canbus.WireTime(&f[0], bitrate, 0) * time.Duration(total)
			b.ReportMetric(100*float64(wire)/float64(time.Since(start)), "%line-rate")
			b.ReportMetric(float64(late.Microseconds())/float64(total), "us-late")
		})
	}
}

// One frame there and one back: ns/op is the round trip.
func BenchmarkPingPong(b *testing.B) {
	n, _ := New(Options{})
	here, _ := n.Tap()
	there, _ := n.Tap()
	defer here.Close()
	go func() {
		var f [1]canbus.Frame
		for {
			if _, err := there.ReadFrames(f[:]); err != nil {
				return
			}
			if _, err := there.WriteFrames(f[:]); err != nil {
				return
			}
		}
	}()
	defer there.Close()
	f := [1]canbus.Frame{{ID: 0x7E0, Len: 8}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := here.WriteFrames(f[:]); err != nil {
			b.Fatal(err)
		}
		if _, err := here.ReadFrames(f[:]); err != nil {
			b.Fatal(err)
		}
	}
}
