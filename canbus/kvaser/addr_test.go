package kvaser

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"example.com/isotp/canbus"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		address string
		channel int
		o       Options
		err     string
	}{
		{"0@500000", 0, Options{Bitrate: 500_000}, ""},
		{"12@33333,listen", 12, Options{Bitrate: 33_333, ListenOnly: true}, ""},
		{"1@500000,data=2000000", 1, Options{Bitrate: 500_000, DataBitrate: 2_000_000}, ""},
		{"0", 0, Options{}, "CHANNEL@BITRATE"},
		{"", 0, Options{}, "CHANNEL@BITRATE"},
		{"USB1@500000", 0, Options{}, `channel "USB1" is not a number`},
		{"-1@500000", 0, Options{}, `channel "-1"`},
		{"99999@500000", 0, Options{}, `channel "99999"`},
		{"0@", 0, Options{}, `"" is not a number above 0`},
		{"0@0", 0, Options{}, `"0" is not a number above 0`},
		{"0@500k", 0, Options{}, `"500k"`},
		{"0@777777", 0, Options{}, "bit rate 777777"},
		{"0@1", 0, Options{}, "bit rate 1 "},
		{"0@500000,data=3111111", 0, Options{}, "data bit rate 3111111"},
		{"0@500000,data=250000", 0, Options{}, "below"},
		{"0@500000,baud=7", 0, Options{}, `"baud=7" is not data=BITRATE or listen`},
		{"0@500000,", 0, Options{}, `"" is not`},
	} {
		channel, o, err := parseAddress(c.address)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.HasPrefix(err.Error(), "kvaser: ") {
				t.Errorf("%q: error %v, want %q in it", c.address, err, c.err)
			}
			continue
		}
		if err != nil || channel != c.channel || o != c.o {
			t.Errorf("%q: %d, %+v, %v", c.address, channel, o, err)
		}
	}
}

func TestIdentity(t *testing.T) {
	one := identity("0@500000,data=2000000,listen")
	for address, same := range map[string]bool{
		"00@500000,listen,data=2000000": true,
		"1@500000,data=2000000,listen":  false,
		"0@250000,data=2000000,listen":  false,
		"0@500000,data=2000000":         false,
	} {
		if got := identity(address); (got == one) != same {
			t.Errorf("%s is %s, and the other one %s", address, got, one)
		}
	}
}

func TestTimings(t *testing.T) {
	for _, c := range []struct {
		q       *quanta
		bitrate int
		want    timing
	}{
		{&classic, 500_000, timing{bitrate: -2}},
		{&classic, 83_300, timing{bitrate: -8}},
		{&classic, 800_000, timing{800_000, 7, 2, 1}},
		{&classic, 20_000, timing{20_000, 14, 5, 2}},
		{&classic, 33_333, timing{33_333, 14, 5, 2}},
		{&arbitration, 500_000, timing{bitrate: -1000}},
		{&arbitration, 250_000, timing{250_000, 127, 32, 16}},
		{&dataPhase, 8_000_000, timing{bitrate: -1004}},
		{&dataPhase, 5_000_000, timing{5_000_000, 12, 3, 1}},
	} {
		got, err := c.q.timing(c.bitrate)
		if err != nil || got != c.want {
			t.Errorf("%d: %+v, %v; want %+v", c.bitrate, got, err, c.want)
		}
	}
}

// Each timing makes its bit rate of the clock.
func TestTimingsAddUp(t *testing.T) {
	for _, q := range []*quanta{&classic, &arbitration, &dataPhase} {
		for bitrate := 1; bitrate < 12_000_000; bitrate += 997 {
			x, err := q.timing(bitrate)
			if err != nil || x.bitrate < 0 {
				continue
			}
			n := int(1 + x.tseg1 + x.tseg2)
			prescaler := (q.clock/n + bitrate/2) / bitrate
			off := q.clock - prescaler*n*bitrate
			if max(off, -off) > q.clock/500 || n < q.least || n > q.most || x.sjw > x.tseg2 {
				t.Fatalf("%d: %+v", bitrate, x)
			}
		}
	}
}

func TestChannels(t *testing.T) {
	l := newFake(t, wire)
	l.channels[1].capabilities, l.channels[1].description = capVirtual, ""
	l.channels[1].flags = channelIsOpen
	list, err := channels(l)
	if err != nil {
		t.Fatal(err)
	}
	want := []Channel{
		{Name: "0", Description: "Kvaser Fake 0, serial number 10237, its channel 1", Product: "73-30130-00685-0", FD: true},
		{Name: "1", Description: "Kvaser adapter, serial number 10237, its channel 2", Product: "73-30130-00685-0", InUse: true, Virtual: true},
	}
	for i := range want {
		if list[i] != want[i] {
			t.Errorf("channel %d is %+v, want %+v", i, list[i], want[i])
		}
	}
}

func TestProductNumberThatIsNone(t *testing.T) {
	for _, bcd := range [][]byte{make([]byte, 8), {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}} {
		if p := product(bcd); p != "" {
			t.Errorf("%x: %q", bcd, p)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	l := newFake(t, wire)
	l.channels[1].capabilities = 0
	for _, c := range []struct {
		channel int
		o       Options
		want    string
	}{
		{2, classicCAN, "there is no channel 2, but 0 (Kvaser Fake 0"},
		{-1, classicCAN, "there is no channel -1"},
		{1, canFD, "has no CAN FD"},
		{0, Options{}, "bit rate 0"},
	} {
		if _, err := open(l, c.channel, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("channel %d, %+v: %v", c.channel, c.o, err)
		}
	}
	l.channels[0].unplugged = true
	if _, err := open(l, 0, canFD); err == nil || !strings.Contains(err.Error(), "canERR_NOCARD") {
		t.Errorf("unplugged: %v", err)
	}
	l.channels = nil
	if _, err := open(l, 0, classicCAN); err == nil || !strings.Contains(err.Error(), "no channels") {
		t.Errorf("without channels: %v", err)
	}
}

// Where there is no CANlib the error says what to do.
func TestOtherSystems(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("on Windows there may be a CANlib")
	}
	_, err := canbus.Open(t.Context(), "kvaser:0@500000")
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "can0") && runtime.GOOS == "linux" {
		t.Errorf("Open: %v", err)
	}
	if _, err := Channels(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Channels: %v", err)
	}
	var bad *canbus.NameError
	if _, err := canbus.Open(t.Context(), "kvaser:USB1"); !errors.As(err, &bad) {
		t.Errorf("a bad name: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, 0, classicCAN); err == nil {
		t.Error("no error")
	}
}

// Whatever a library says, a frame is a valid one.
func TestMessagesBecomeValidFrames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		m := message{id: int32(r.Uint32()), len: r.Uint32() >> r.IntN(32), flags: r.Uint32() &^ msgError}
		f := decode(&m)
		if err := f.Validate(); err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
	}
}

func TestErrorsNameTheCode(t *testing.T) {
	for code, want := range map[int]string{
		-26: "canRead: the adapter was unplugged (canERR_NOCARD, -26)",
		-3:  "canRead: there is no such channel (canERR_NOTFOUND, -3): is the adapter plugged in?",
		-99: "canRead fails with canlib's code -99",
	} {
		if got := (&Error{"canRead", code}).Error(); got != want {
			t.Errorf("%d: %q, want %q", code, got, want)
		}
	}
}
