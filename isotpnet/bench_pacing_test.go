package isotpnet_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/canbus/virtual"
	isowire "example.com/isotp/internal/wire"
	"example.com/isotp/isotpnet"
)

// BenchmarkSTmin measures how much later than STmin Consecutive Frames follow one
// another, and prints a histogram. The receiver is elsewhere, as an ECU is; with Taps
// it is in this process, and wakes up at every frame. Run it on an idle machine, such as
// the emulated one of make figures.
func BenchmarkSTmin(b *testing.B) {
	for _, bc := range []struct {
		name   string
		pacing isotpnet.Pacing
		sender func(b *testing.B, c isotpnet.Config) *isotpnet.Conn
	}{
		{"exact", isotpnet.PaceExact, senderToECU},
		{"spin", isotpnet.PaceSpin, senderToECU},
		{"exact/Taps", isotpnet.PaceExact, senderToTap},
	} {
		for _, stmin := range []time.Duration{100 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
			b.Run(fmt.Sprintf("%s/%v", bc.name, stmin), func(b *testing.B) {
				benchmarkSTmin(b, isotpnet.Config{STmin: stmin, Pacing: bc.pacing}, bc.sender)
			})
		}
	}
}

// senderToECU sends on a bus that answers First Frames with the flow control of config.
func senderToECU(b *testing.B, config isotpnet.Config) *isotpnet.Conn {
	bus := newPlainBus(b)
	flowControl := fmt.Sprintf("7E8#3000%02X", isowire.EncodeSTmin(config.STmin))
	bus.write = func(frames []canbus.Frame) (int, error) {
		for i := range frames {
			if frames[i].Data[0]>>4 == 1 {
				bus.receive(flowControl)
			}
		}
		return len(frames), nil
	}
	return dialOn(b, promptBus{bus}, testerAddr, config)
}

// A promptBus never blocks.
type promptBus struct{ *plainBus }

func (b promptBus) TryWriteFrames(frames []canbus.Frame) (int, error) { return b.WriteFrames(frames) }

func senderToTap(b *testing.B, config isotpnet.Config) *isotpnet.Conn {
	n := newNetwork(b, virtual.Options{})
	go io.Copy(io.Discard, dialOn(b, newTap(b, n), ecuAddr, config))
	return dialOn(b, newTap(b, n), testerAddr, config)
}

func benchmarkSTmin(b *testing.B, config isotpnet.Config, sender func(*testing.B, isotpnet.Config) *isotpnet.Conn) {
	const gaps = 50 // in each message
	var sent []time.Time
	all := make(chan struct{}, 1)
	config.Trace = &isotpnet.Trace{FrameSent: func(ev isotpnet.TraceEvent) {
		if ev.Frame.Data[0]>>4 == 2 {
			if sent = append(sent, ev.Time); len(sent) == gaps+1 {
				all <- struct{}{}
			}
		}
	}}
	c := sender(b, config)
	p := make([]byte, 6+7*(gaps+1))
	var late []time.Duration
	for b.Loop() {
		sent = sent[:0]
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
		<-all
		for i := range gaps {
			late = append(late, sent[i+1].Sub(sent[i])-config.STmin)
		}
	}
	slices.Sort(late)
	us := func(share float64) float64 {
		return float64(late[int(share*float64(len(late)-1))]) / float64(time.Microsecond)
	}
	b.ReportMetric(us(0), "min-us-late")
	b.ReportMetric(us(0.5), "p50-us-late")
	b.ReportMetric(us(0.99), "p99-us-late")
	b.ReportMetric(us(1), "max-us-late")
	b.Log(histogram(late))
}

// histogram counts times by upper bounds.
func histogram(times []time.Duration) string {
	bounds := []time.Duration{0, 10, 20, 30, 40, 100, 1000, 1e9} // at most 10 lines are shown
	var s strings.Builder
	from := time.Duration(-1e9)
	for _, to := range bounds {
		n := 0
		for _, t := range times {
			if from*time.Microsecond <= t && t < to*time.Microsecond {
				n++
			}
		}
		if n > 0 {
			fmt.Fprintf(&s, "\n%11s us late: %5d %s", fmt.Sprintf("%d..%d", max(from, -1), min(to, 99999)), n, strings.Repeat("#", 1+60*n/len(times)))
		}
		from = to
	}
	return s.String()
}

// BenchmarkLineRate sends bytes over a bus that takes as long as a real one, and says
// which share of the time the wire is busy.
func BenchmarkLineRate(b *testing.B) {
	slow := virtual.Options{Bitrate: 500_000}
	for _, bc := range []struct {
		name   string
		bus    virtual.Options
		config isotpnet.Config
		stream bool // or messages
		writes int  // of how many bytes, until all have arrived
		size   int
	}{
		{"classic/500k", slow, isotpnet.Config{}, false, 15, 4095},
		{"classic/1M", virtual.Options{Bitrate: 1_000_000}, isotpnet.Config{}, false, 15, 4095},
		{"FD/1M+8M", virtual.Options{Bitrate: 1_000_000, DataBitrate: 8_000_000}, isotpnet.Config{FD: true, BRS: true}, false, 1, 65535},
		{"stream/500k", slow, isotpnet.Config{}, true, 1, 15 * 4084},
		{"stream-WritesOf4095/500k", slow, isotpnet.Config{}, true, 15, 4095},
	} {
		b.Run(bc.name, func(b *testing.B) {
			var busy atomic.Int64
			add := func(ev isotpnet.TraceEvent) {
				busy.Add(int64(canbus.WireTime(ev.Frame, bc.bus.Bitrate, bc.bus.DataBitrate)))
			}
			observed := bc.config
			observed.Trace = &isotpnet.Trace{FrameReceived: add, FrameSent: add}
			var from, to io.ReadWriter
			if n := newNetwork(b, bc.bus); bc.stream {
				from, to = newStream(b, tapEnd(newTap(b, n), testerAddr, bc.config), tapEnd(newTap(b, n), ecuAddr, observed))
			} else {
				from, to = newPair(b, n, bc.config, observed)
			}
			p, buf := make([]byte, bc.size), make([]byte, bc.writes*bc.size)
			busy.Store(0) // not what opening has sent
			begin := time.Now()
			for b.Loop() {
				written := make(chan error, 1)
				go func() {
					var err error
					for i := 0; i < bc.writes && err == nil; i++ {
						_, err = from.Write(p)
					}
					written <- err
				}()
				if _, err := io.ReadFull(to, buf); err != nil {
					b.Fatal(err)
				}
				if err := <-written; err != nil {
					b.Fatal(err)
				}
			}
			elapsed := time.Since(begin).Seconds()
			b.ReportMetric(100*time.Duration(busy.Load()).Seconds()/elapsed, "%line-rate")
			b.ReportMetric(float64(len(buf))*float64(b.N)/elapsed/1000, "kB/s")
		})
	}
}
