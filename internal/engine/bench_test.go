package engine

import (
	"fmt"
	"testing"

	"example.com/isotp/canbus"
)

// BenchmarkTransfer has two engines back to back, without a bus between them,
// transfer messages of 4095 bytes: the figure per frame is what both ends cost
// together.
func BenchmarkTransfer(b *testing.B) {
	for _, fd := range []bool{false, true} {
		for _, bs := range []uint8{0, 8} {
			b.Run(fmt.Sprintf("FD=%v/BS=%d", fd, bs), func(b *testing.B) {
				cfg := testConfig()
				cfg.BlockSize = bs
				if fd {
					cfg.FD, cfg.FrameSize = true, 64
				}
				benchmarkTransfer(b, &cfg, 4095)
			})
		}
	}
	b.Run("single frame", func(b *testing.B) {
		cfg := testConfig()
		benchmarkTransfer(b, &cfg, 7)
	})
}

func benchmarkTransfer(b *testing.B, cfg *Config, size int) {
	var sender, receiver Engine
	sender.Init(cfg, tester, ecu)
	receiver.Init(cfg, ecu, tester)
	receiver.SetReading(0, ReadMessages)
	message := message1(size)
	buf := make([]byte, size)
	frames := make([]canbus.Frame, 64)
	count := 0
	now := Time(1)

	// carry takes what one engine sends to the other.
	carry := func(from, to *Engine) {
		for {
			n := from.PollTransmit(now, frames)
			if n == 0 {
				return
			}
			count += n
			last := from.Handed()
			from.HandleTransmitted(now, last-uint32(n)+1, last)
			to.HandleFrames(now, frames[:n], false)
		}
	}

	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		sender.Send(now, uint32(size), message)
		for sender.Sending() {
			carry(&sender, &receiver)
			carry(&receiver, &sender)
			now += 1000
		}
		n, info, _ := receiver.Read(buf)
		if n != size || !info.End || sender.SendResult() != OK {
			b.Fatalf("read %d bytes (end %v), sent with code %d", n, info.End, sender.SendResult())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(count), "ns/frame")
}
