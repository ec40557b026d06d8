package wire

import "time"

// MaxSTmin is the longest separation time that a flow control can say.
const MaxSTmin = 127 * time.Millisecond

// DecodeSTmin returns the separation time that a flow control's byte means:
// 00 to 7F are milliseconds, F1 to F9 hundreds of microseconds, and the reserved
// rest the longest there is, 127 ms.
func DecodeSTmin(b uint8) time.Duration {
	switch {
	case b <= 0x7F:
		return time.Duration(b) * time.Millisecond
	case 0xF1 <= b && b <= 0xF9:
		return time.Duration(b-0xF0) * 100 * time.Microsecond
	}
	return MaxSTmin
}

// EncodeSTmin returns the byte for the shortest separation time that can be said
// and is not below d, which is at most MaxSTmin.
func EncodeSTmin(d time.Duration) uint8 {
	const step = 100 * time.Microsecond
	switch {
	case d <= 0:
		return 0
	case d <= 9*step:
		return 0xF0 + uint8((d+step-1)/step)
	}
	return uint8((min(d, MaxSTmin) + time.Millisecond - 1) / time.Millisecond)
}
