package isotpnet

import (
	"fmt"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

// These benchmarks run a C program (test/vm/cbench) that does the same, if it is
// there: make figures makes it. Their figures x-C and CPU-x-C are how many times
// the C program's time and processor time ours are.

// BenchmarkKernelThroughput is a message from one socket to another, with the gap
// that we leave before each Consecutive Frame and with Linux's own.
func BenchmarkKernelThroughput(b *testing.B) {
	for _, fd := range []bool{false, true} {
		for _, gap := range []time.Duration{0, 50 * time.Microsecond} {
			const size = 4095
			b.Run(fmt.Sprintf("FD=%v/FrameTxTime=%v", fd, gap), func(b *testing.B) {
				c1, c2 := kernelPair(b, &Dialer{Config: Config{FD: fd, Kernel: KernelOptions{FrameTxTime: gap}}})
				p := make([]byte, size)
				buf := make([]byte, 8192)
				b.SetBytes(size)
				b.ReportAllocs()
				work := processorTime()
				for b.Loop() {
					if _, err := c1.Write(p); err != nil {
						b.Fatal(err)
					}
					if n, err := c2.Read(buf); n != size || err != nil {
						b.Fatal(n, err)
					}
				}
				work = processorTime() - work
				b.ReportMetric(float64(work.Nanoseconds())/float64(b.N*framesOf(size, fd)), "CPU-ns/frame")
				compareWithC(b, work, "throughput", fd, size, gap)
			})
		}
	}
}

// BenchmarkKernelRoundTrip is a Single Frame and its answer.
func BenchmarkKernelRoundTrip(b *testing.B) {
	roundTrip := kernelRoundTrip(b)
	b.ReportAllocs()
	work := processorTime()
	for b.Loop() {
		roundTrip()
	}
	compareWithC(b, processorTime()-work, "roundtrip", false, 3, 0)
}

// BenchmarkCallsKernel counts the system calls of both ends of it, of the scheduler too.
func BenchmarkCallsKernel(b *testing.B) {
	roundTrip := kernelRoundTrip(b)
	count := cantest.CountCalls(b)
	for b.Loop() {
		roundTrip()
	}
	b.ReportMetric(count()/float64(b.N), "calls/round-trip")
}

// kernelRoundTrip returns a function that sends 3 bytes and waits for them to come back.
func kernelRoundTrip(b *testing.B) (do func()) {
	c1, c2 := kernelPair(b, &Dialer{})
	go func() {
		buf := make([]byte, 8)
		for {
			n, err := c2.Read(buf)
			if err != nil {
				return
			}
			if _, err := c2.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	p := []byte{1, 2, 3}
	buf := make([]byte, 8)
	return func() {
		if _, err := c1.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := c1.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// framesOf is how many frames a message and its flow control are.
func framesOf(size int, fd bool) int {
	first, next := 6, 7
	if fd {
		first, next = 62, 63
	}
	return 2 + (size-first+next-1)/next
}

// compareWithC runs the C program as often as b.N says.
func compareWithC(b *testing.B, work time.Duration, what string, fd bool, size int, gap time.Duration) {
	program, err := exec.LookPath("isotpbench")
	if err != nil {
		return
	}
	elapsed := b.Elapsed()
	isFD := 0
	if fd {
		isFD = 1
	}
	out, err := exec.Command(program, what, newInterface(b), strconv.Itoa(isFD), strconv.Itoa(size),
		strconv.Itoa(b.N), strconv.FormatInt(gap.Nanoseconds(), 10)).Output()
	if err != nil {
		b.Fatal(err)
	}
	var each, eachWork float64
	if _, err := fmt.Sscan(string(out), &each, &eachWork); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(elapsed.Nanoseconds())/float64(b.N)/each, "x-C")
	b.ReportMetric(float64(work.Nanoseconds())/float64(b.N)/eachWork, "CPU-x-C")
}

// processorTime is how long this process has worked, in the kernel too.
func processorTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
