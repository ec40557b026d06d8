package virtual

import (
	"fmt"
	"math/rand/v2"
	"time"

	"example.com/isotp/canbus"
)

// Faults are what goes wrong on a network, each with the probability, 0 to 1,
// that it happens to a frame. Which frames they hit depends on Options.Seed and
// on how many frames came before, so the same frames have the same fate in
// every run.
type Faults struct {
	// Lose: no tap receives the frame. The sender gets its echo all the same,
	// as if all receivers had overrun.
	Lose float64
	// Duplicate: the taps receive the frame twice, as when a sender misses the
	// acknowledgement.
	Duplicate float64
	// Corrupt flips 1 to 4 bits anywhere in the data, CorruptHead in the first
	// three bytes. (No CRC catches them: think of a faulty gateway.)
	Corrupt, CorruptHead float64
	// Delay has the frame, and all that wait behind it, wait for up to MaxDelay,
	// as if the bus were busy.
	Delay float64
	// Reorder: the taps receive the frame only after 1 to MaxDistance others
	// with the same identifier, or 10 ms later if there are none.
	Reorder float64
	// ErrorFrame: before the frame all taps receive an error frame (a bus error
	// in SocketCAN's terms), which takes the time of 23 bits.
	ErrorFrame float64
	// BusOff: instead of sending the frame, the sender's controller goes off
	// the bus, see [Tap.BusOff], for BusOffTime.
	BusOff float64

	// MaxDelay is Delay's longest; 0 means 10 ms.
	MaxDelay time.Duration
	// MaxDistance is Reorder's furthest; 0 means 3, more than 8 is an error.
	MaxDistance int
	// BusOffTime is how long BusOff lasts; 0 means for ever.
	BusOffTime time.Duration
}

const (
	defaultMaxDelay    = 10 * time.Millisecond
	defaultMaxDistance = 3
	maxMaxDistance     = 8
	// heldFor is how long a reordered frame waits for others to overtake it.
	heldFor = int64(10 * time.Millisecond)
	// errorFrameBits is the length of a CAN error frame: two flags that overlap
	// by half on average, delimiter and intermission.
	errorFrameBits = 12 + 8 + 3
)

// A Verdict is what Options.Intercept does to a frame: [Deliver], or one or more
// of the others. The names are those of [Faults].
type Verdict uint8

const (
	Deliver Verdict = 0
	Lose    Verdict = 1 << (iota - 1)
	Duplicate
	Reorder
	BusOff
)

// any reports whether a fault can happen.
func (f *Faults) any() bool {
	return f.Lose > 0 || f.Duplicate > 0 || f.Corrupt > 0 || f.CorruptHead > 0 ||
		f.Delay > 0 || f.Reorder > 0 || f.ErrorFrame > 0 || f.BusOff > 0
}

// setDefaults checks the faults and puts the defaults in.
func (f *Faults) setDefaults() error {
	for _, p := range []struct {
		name  string
		value float64
	}{
		{"Lose", f.Lose}, {"Duplicate", f.Duplicate}, {"Corrupt", f.Corrupt},
		{"CorruptHead", f.CorruptHead}, {"Delay", f.Delay}, {"Reorder", f.Reorder},
		{"ErrorFrame", f.ErrorFrame}, {"BusOff", f.BusOff},
	} {
		if !(p.value >= 0 && p.value <= 1) { // NaN too
			return fmt.Errorf("virtual: Faults.%s is %v, not a probability from 0 to 1", p.name, p.value)
		}
	}
	switch {
	case f.MaxDelay < 0:
		return fmt.Errorf("virtual: Faults.MaxDelay %v is negative (0 means %v)", f.MaxDelay, defaultMaxDelay)
	case f.MaxDistance < 0 || f.MaxDistance > maxMaxDistance:
		return fmt.Errorf("virtual: Faults.MaxDistance is %d, not 1 to %d (0 means %d)", f.MaxDistance, maxMaxDistance, defaultMaxDistance)
	case f.BusOffTime < 0:
		return fmt.Errorf("virtual: Faults.BusOffTime %v is negative (0 means for ever)", f.BusOffTime)
	}
	if f.MaxDelay == 0 {
		f.MaxDelay = defaultMaxDelay
	}
	if f.MaxDistance == 0 {
		f.MaxDistance = defaultMaxDistance
	}
	return nil
}

// A fate is what will happen to one frame.
type fate struct {
	verdict    Verdict
	errorFrame bool
	delay      time.Duration
	distance   int
}

// draw decides a frame's fate and corrupts its data if that is to be. It draws
// the same number of times whatever comes out, for one fault not to change
// where the others strike.
func (f *Faults) draw(rng *rand.Rand, frame *canbus.Frame) (out fate) {
	strike := func(p float64) bool { return rng.Float64() < p }
	for _, v := range [...]struct {
		p       float64
		verdict Verdict
	}{{f.Lose, Lose}, {f.Duplicate, Duplicate}, {f.Reorder, Reorder}, {f.BusOff, BusOff}} {
		if strike(v.p) {
			out.verdict |= v.verdict
		}
	}
	out.errorFrame = strike(f.ErrorFrame)
	corrupt, head := strike(f.Corrupt), strike(f.CorruptHead)
	where := rng.Uint64()
	if corrupt {
		flip(frame.Payload(), where)
	}
	if head {
		flip(frame.Payload()[:min(len(frame.Payload()), 3)], where)
	}
	delayed, delay := strike(f.Delay), rng.Float64()
	if delayed {
		out.delay = time.Duration(delay * float64(f.MaxDelay))
	}
	out.distance = 1 + rng.IntN(f.MaxDistance)
	return out
}

// flip inverts 1 to 4 different bits of b.
func flip(b []byte, where uint64) {
	if len(b) == 0 {
		return
	}
	bits := uint64(len(b) * 8)
	count := 1 + where>>62
	first, step := where%bits, 1+where>>32%(bits/4)
	for i := range count {
		bit := (first + i*step) % bits
		b[bit/8] ^= 1 << (bit % 8)
	}
}
