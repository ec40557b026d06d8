package line

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/isotp/canbus"
)

func TestALineIsAsFastAsItsBitrate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Line{Bitrate: 500_000}
		frames := make([]canbus.Frame, 64)
		const count = 10_000
		start := time.Now()
		for sent := 0; sent < count; {
			n := l.Admit(frames[:min(len(frames), count-sent)])
			if n == 0 {
				time.Sleep(l.Wait())
			}
			sent += n
		}
		took := time.Since(start)
		want := count * canbus.WireTime(&frames[0], l.Bitrate, 0)
		if took < want-ahead || took > want {
			t.Errorf("%d frames took %v, on the wire %v", count, took, want)
		}
	})
}

func TestALineWithoutBitrateTakesAll(t *testing.T) {
	if n := new(Line).Admit(make([]canbus.Frame, 1000)); n != 1000 {
		t.Errorf("it takes %d of 1000", n)
	}
}

// Frames of others that go first take time from those that wait.
func TestALineIsSharedWithOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Line{Bitrate: 500_000}
		frames := make([]canbus.Frame, 64)
		l.Delay(time.Hour) // nothing waits
		n := l.Admit(frames)
		if n == 0 || n == len(frames) {
			t.Fatalf("%d admitted", n)
		}
		before := l.Wait()
		l.Delay(time.Second)
		if l.Wait() != before+time.Second {
			t.Errorf("to wait %v, and %v after a second of others", before, l.Wait())
		}
	})
}
