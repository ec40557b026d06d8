// Package line is the pace of a CAN bus, for drivers whose medium has none of its
// own or does not tell when a frame has left.
package line

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"example.com/isotp/canbus"
)

// ahead is how far frames may be sent ahead of the line. It is longer than the system's
// timers are late, so that their lateness does not slow the line down.
const ahead = 2 * time.Millisecond

// None is the bit rate of a name that asks for none: frames are sent at once.
const None = -1

// ParseBitrate parses the bit rate of a bus's name: bits per second, above 0, or none.
func ParseBitrate(s string) (int, error) {
	if s == "none" {
		return None, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("bit rate %q is not a number of bits per second above 0, as @500000, nor @none", s)
	}
	return int(n), nil
}

// A Line takes the time that frames would take on the wire.
type Line struct {
	Bitrate, DataBitrate int // as for canbus.WireTime; 0: no time

	mu   sync.Mutex
	free time.Time // when all that was sent has left
}

// Admit returns how many of the frames may be sent now.
func (l *Line) Admit(frames []canbus.Frame) int {
	if l.Bitrate == 0 {
		return len(frames)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	for i := range frames {
		if l.free.Sub(now) >= ahead {
			return i
		}
		l.free = l.free.Add(canbus.WireTime(&frames[i], l.Bitrate, l.DataBitrate))
	}
	return len(frames)
}

// AdmitSome is Admit that waits, by sleep, until there is room for at least one frame.
func (l *Line) AdmitSome(frames []canbus.Frame, sleep func(time.Duration) error) (int, error) {
	for {
		if n := l.Admit(frames); n > 0 {
			return n, nil
		}
		if err := sleep(l.Wait()); err != nil {
			return 0, err
		}
	}
}

// Delay adds a frame of another node, which has taken the line for that long: admitted
// frames that have not left yet leave later.
func (l *Line) Delay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.After(time.Now()) {
		l.free = l.free.Add(d)
	}
}

// Wait returns how long to wait until there is room for more.
func (l *Line) Wait() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.free) - ahead/2
}

// SJA1000 returns the bit rate that BTR0 and BTR1 of an SJA1000 at 16 MHz make: the
// registers by which drivers and protocols of adapters name bit rates. BTR0 is the high byte.
func SJA1000(registers uint16) int {
	prescaler, quanta := int(registers>>8&0x3F)+1, 1+int(registers&0xF)+1+int(registers>>4&7)+1
	return 8_000_000 / (prescaler * quanta)
}
