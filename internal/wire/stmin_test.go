package wire

import (
	"testing"
	"time"
)

func TestDecodeSTmin(t *testing.T) {
	for i := range 256 {
		b := uint8(i)
		want := 127 * time.Millisecond // reserved: the longest there is
		switch {
		case i <= 0x7F:
			want = time.Duration(i) * time.Millisecond
		case 0xF1 <= i && i <= 0xF9:
			want = time.Duration(i-0xF0) * 100 * time.Microsecond
		}
		if got := DecodeSTmin(b); got != want {
			t.Errorf("STmin %02X: %v, want %v", b, got, want)
		}
		if reserved := i >= 0x80 && i <= 0xF0 || i >= 0xFA; !reserved && EncodeSTmin(want) != b {
			t.Errorf("%v: STmin %02X, want %02X", want, EncodeSTmin(want), b)
		}
	}
}

func TestEncodeSTmin(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for _, row := range []struct {
		d    time.Duration
		want uint8
	}{
		{-time.Hour, 0}, {-1, 0}, {0, 0},
		{1, 0xF1}, {99 * us, 0xF1}, {100 * us, 0xF1}, {100*us + 1, 0xF2}, {200 * us, 0xF2},
		{800*us + 1, 0xF9}, {900*us - 1, 0xF9}, {900 * us, 0xF9}, {900*us + 1, 0x01},
		{1*ms - 1, 0x01}, {1 * ms, 0x01}, {1*ms + 1, 0x02}, {2 * ms, 0x02},
		{126*ms + 1, 0x7F}, {127 * ms, 0x7F}, {127*ms + 1, 0x7F}, {time.Hour, 0x7F}, {1<<63 - 1, 0x7F},
	} {
		if got := EncodeSTmin(row.d); got != row.want {
			t.Errorf("%v: STmin %02X, want %02X", row.d, got, row.want)
		}
	}
	// Never shorter than asked for, and the next shorter value would be.
	for d := time.Duration(1); d <= MaxSTmin; d += 7 * us {
		got := DecodeSTmin(EncodeSTmin(d))
		step := ms
		if d <= 900*us {
			step = 100 * us
		}
		if got < d || got-d >= step {
			t.Fatalf("%v is said as %v", d, got)
		}
	}
}
