package kvaser

import "fmt"

// A timing is that of a bit. A bitrate below 0 is one that CANlib has defined, with its
// sample point; the other fields are 0 then.
type timing struct {
	bitrate           int32
	tseg1, tseg2, sjw uint32 // in time quanta: before and behind the sample point, and the jump width
}

// defined are the bit rates that CANlib has a timing for. 62000 and 83000 are what its names
// say; the bit rates themselves are the other ones.
var defined = map[int]int32{
	1_000_000: -1, 500_000: -2, 250_000: -3, 125_000: -4, 100_000: -5, 62_500: -6, 62_000: -6,
	50_000: -7, 83_333: -8, 83_300: -8, 83_000: -8, 10_000: -9,
}

// definedFD are those for either phase of CAN FD, sampled at 80 %, and 8000000 at 60 %.
var definedFD = map[int]int32{500_000: -1000, 1_000_000: -1001, 2_000_000: -1002, 4_000_000: -1003, 8_000_000: -1004}

// A clock is what time quanta are made of, and what bits are made of them.
type quanta struct {
	clock           int // in Hz
	most, least     int // quanta in a bit
	longest         int // prescaler
	behind          int // the sample point is so many parts of a bit before its end
	definedBitrates map[int]int32
}

var (
	// classic has the clock of an SJA1000 at 16 MHz, which every adapter can make.
	classic = quanta{clock: 8_000_000, most: 20, least: 8, longest: 64, behind: 4, definedBitrates: defined}
	// Adapters with CAN FD have 80 MHz.
	arbitration = quanta{clock: 80_000_000, most: 160, least: 8, longest: 64, behind: 5, definedBitrates: definedFD}
	dataPhase   = quanta{clock: 80_000_000, most: 40, least: 8, longest: 64, behind: 5, definedBitrates: definedFD}
)

// timing returns the timing for a bit rate, or an error if the clock cannot make it to a
// thousandth.
func (q *quanta) timing(bitrate int) (timing, error) {
	if b := q.definedBitrates[bitrate]; b != 0 {
		return timing{bitrate: b}, nil
	}
	if bitrate > 0 && bitrate <= q.clock {
		ticks := (q.clock + bitrate/2) / bitrate // of the clock in a bit
		off := q.clock - ticks*bitrate
		for n := q.most; n >= q.least && max(off, -off) <= q.clock/1000; n-- {
			if ticks%n == 0 && ticks/n <= q.longest {
				behind := uint32(n / q.behind)
				return timing{int32(bitrate), uint32(n) - 1 - behind, behind, max(behind/2, 1)}, nil
			}
		}
	}
	return timing{}, fmt.Errorf("bit rate %d cannot be made of a clock of %d MHz with %d to %d quanta a bit",
		bitrate, q.clock/1_000_000, q.least, q.most)
}
