package echo

import (
	"testing"

	"example.com/isotp/canbus"
)

func parse(t *testing.T, s string) canbus.Frame {
	t.Helper()
	f, err := canbus.ParseFrame(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWhatAnEchoIsOf(t *testing.T) {
	for _, c := range []struct {
		name, frame, echo string
		of, proves        bool
	}{
		{"the same", "7E0#0101", "7E0#0101", true, true},
		{"other data", "7E0#0101", "7E0#0102", false, true},
		{"less data", "7E0#0101", "7E0#01", false, true},
		{"another identifier", "7E0#0101", "7E1#0101", false, false},
		{"the same number of 29 bits", "7E0#0101", "000007E0#0101", false, false},
		{"CAN FD", "7E0#0101", "7E0##00101", false, true},
		{"a remote frame", "7E0#", "7E0#R", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			frame, echo := parse(t, c.frame), parse(t, c.echo)
			echo.Flags |= canbus.Echo
			echo.Stamp(5)
			echo.Channel = 3
			if got := Of(&echo, &frame); got != c.of {
				t.Errorf("Of is %v, want %v", got, c.of)
			}
			if got := Proves(&echo, &frame); got != c.proves {
				t.Errorf("Proves is %v, want %v", got, c.proves)
			}
		})
	}
}

func TestWhichFrameAnEchoIsOf(t *testing.T) {
	type pending struct {
		frame string
		stale bool
	}
	for _, c := range []struct {
		name     string
		inFlight []pending
		want     int
	}{
		{"nothing is in flight", nil, -1},
		{"another one", []pending{{"7E0#02", false}}, -1},
		{"the only one", []pending{{"7E0#02", false}, {"7E0#01", false}}, 1},
		{"the older of two equal ones", []pending{{"7E0#01", false}, {"7E0#01", false}}, 0},
		{"the one that is not stale", []pending{{"7E0#01", true}, {"7E0#01", false}}, 1},
		{"the older where both are stale", []pending{{"7E0#01", true}, {"7E0#01", true}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			echo := parse(t, "7E0#01")
			frame := func(p *pending) *canbus.Frame { f := parse(t, p.frame); return &f }
			if got := Find(&echo, c.inFlight, frame, func(p *pending) bool { return p.stale }); got != c.want {
				t.Errorf("it is of frame %d, want %d", got, c.want)
			}
		})
	}
}
