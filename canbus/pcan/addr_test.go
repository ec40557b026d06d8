package pcan

import (
	"fmt"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		address, channel string
		options          Options
	}{
		{"USB1@500000", "USB1", Options{Bitrate: 500_000}},
		{"usb16@83333", "USB16", Options{Bitrate: 83_333}},
		{"PCAN_PCIBUS9@1000000", "PCI9", Options{Bitrate: 1_000_000}},
		{"LAN2@s031C,listen", "LAN2", Options{Registers: 0x031C, ListenOnly: true}},
		{"USB1@500000,data=2000000,noecho", "USB1", Options{Bitrate: 500_000, DataBitrate: 2_000_000, NoEcho: true}},
		{"USB1@" + peaksTiming + ",listen", "USB1", Options{Timing: peaksTiming, ListenOnly: true}},
	} {
		channel, o, err := parseAddress(c.address)
		if err != nil || channel != c.channel || o != c.options {
			t.Errorf("%s is %s, %+v, %v", c.address, channel, o, err)
		}
	}
}

func TestAddressesThatAreWrong(t *testing.T) {
	for address, want := range map[string]string{
		"":                                  "not CHANNEL@BITRATE",
		"USB1":                              "not CHANNEL@BITRATE",
		"@500000":                           `channel "" is not one as USB1`,
		"USB@500000":                        "USB1 to USB16",
		"USB0@500000":                       "USB1 to USB16",
		"USB01@500000":                      "USB1 to USB16",
		"USB17@500000":                      "USB1 to USB16",
		"PCC3@500000":                       "PCC1 to PCC2",
		"can0@500000":                       `channel "can0"`,
		"USB1@":                             `bit rate ""`,
		"USB1@0":                            `bit rate "0"`,
		"USB1@-1":                           `bit rate "-1"`,
		"USB1@123456":                       "123456 is not one of [5000 10000",
		"USB1@2000000":                      "not up to 1000000",
		"USB1@99999999999":                  "not a number above 0",
		"USB1@s31C":                         "four hexadecimal digits",
		"USB1@s0000":                        "four hexadecimal digits",
		"USB1@500000,fd":                    `"fd" is not data=BITRATE, listen or noecho`,
		"USB1@500000,data=":                 `bit rate ""`,
		"USB1@500000,data=250000":           "not from the bit rate",
		"USB1@500000,data=2345678":          "no clock of the adapters",
		"USB1@s001C,data=2000000":           "without a bit rate",
		"USB1@500000,nom_brp=2":             "is not data=BITRATE",
		"USB1@f_clock=80000000":             "nom_brp is missing",
		"USB1@f_clock=16000000,nom_brp=1":   "the clock is",
		"USB1@f_clock_mhz=80,nom_tseg1=257": "not a number up to 256",
	} {
		if _, _, err := parseAddress(address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", address, err, want)
		}
	}
}

func TestOptionsThatContradictThemselves(t *testing.T) {
	for _, o := range []Options{{}, {Bitrate: 500_000, Registers: 0x001C}, {Timing: peaksTiming, Bitrate: 500_000}, {Timing: peaksTiming, DataBitrate: 1}, {Bitrate: -1}} {
		if _, err := o.setting(); err == nil {
			t.Errorf("%+v are taken", o)
		}
	}
}

func TestHandlesHaveNames(t *testing.T) {
	for name, handle := range map[string]uint16{
		"USB1": 0x51, "USB8": 0x58, "USB9": 0x509, "USB16": 0x510, "PCI1": 0x41, "PCI16": 0x410,
		"LAN1": 0x801, "LAN8": 0x808, "LAN9": 0x809, "LAN16": 0x810, "PCC2": 0x62, "ISA8": 0x28, "DNG1": 0x31,
	} {
		got, _, err := parseChannel(name)
		if err != nil || got != handle || channelName(handle) != name {
			t.Errorf("%s is %#x, %v; %#x is %s", name, got, err, handle, channelName(handle))
		}
	}
	if name := channelName(0x7777); name != "0x7777" {
		t.Errorf("a handle without a name is %s", name)
	}
}

// peaksTiming is of the example in PEAK's documents: 1 Mbit/s and 2 Mbit/s.
const peaksTiming = "f_clock=80000000,nom_brp=10,nom_tseg1=5,nom_tseg2=2,nom_sjw=1,data_brp=4,data_tseg1=7,data_tseg2=2,data_sjw=1"

func TestTheRatesOfATiming(t *testing.T) {
	bitrate, data, err := parseTiming(peaksTiming)
	if err != nil || bitrate != 1_000_000 || data != 2_000_000 {
		t.Errorf("%d and %d, %v", bitrate, data, err)
	}
	bitrate, data, err = parseTiming(strings.Replace(peaksTiming, "f_clock=80000000", "f_clock_mhz=40", 1))
	if err != nil || bitrate != 500_000 || data != 1_000_000 {
		t.Errorf("at 40 MHz %d and %d, %v", bitrate, data, err)
	}
}

// Each pair of usual rates is made exactly, with the sample points that are recommended.
func TestTimingsOfUsualRates(t *testing.T) {
	for _, bitrate := range []int{125_000, 250_000, 500_000, 1_000_000} {
		for _, data := range []int{1_000_000, 2_000_000, 4_000_000, 5_000_000, 8_000_000} {
			text, err := timingOf(bitrate, data)
			if err != nil {
				t.Errorf("%d and %d: %v", bitrate, data, err)
				continue
			}
			gotBitrate, gotData, err := parseTiming(text)
			if err != nil || gotBitrate != bitrate || gotData != data {
				t.Errorf("%s makes %d and %d, %v, not %d and %d", text, gotBitrate, gotData, err, bitrate, data)
			}
			var clock, brp, n1, n2, d1, d2, skip int
			if _, err := fmt.Sscanf(strings.NewReplacer(",", " ", "=", " ").Replace(text),
				"f_clock %d nom_brp %d nom_tseg1 %d nom_tseg2 %d nom_sjw %d data_brp %d data_tseg1 %d data_tseg2 %d data_sjw %d",
				&clock, &brp, &n1, &n2, &skip, &brp, &d1, &d2, &skip); err != nil {
				t.Fatal(text, err)
			}
			nominal, fast := float64(1+n1)/float64(1+n1+n2), float64(1+d1)/float64(1+d1+d2)
			if nominal < 0.79 || nominal > 0.81 || fast < 0.74 || fast > 0.81 {
				t.Errorf("%s: sample points %.3f and %.3f", text, nominal, fast)
			}
		}
	}
}

func TestChannelsOfALibrary(t *testing.T) {
	f := newFake(2, 0)
	f.channel(1).params[paramDeviceID], f.channel(2).params[paramDeviceID] = 0x11, 0x12
	b, err := openFake(f, 2, classic)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	want := []Channel{
		{Name: "USB1", Description: "PCAN-USB FD, device 17, controller 0", FD: true},
		{Name: "USB2", Description: "PCAN-USB FD, device 18, controller 1", FD: true, InUse: true},
	}
	for _, f.old = range []bool{false, true} {
		if f.old { // which says the number of the controller by a parameter
			f.channel(2).params[paramController] = 1
		}
		got, err := channels(f)
		if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("old %v: %+v, %v", f.old, got, err)
		}
	}
	none := newFake(0, 0)
	if got, err := channels(none); len(got) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

func TestAStatusInWords(t *testing.T) {
	for s, want := range map[status]string{
		statusIllHw:                         "there is no such hardware, or it was unplugged (PCAN-Basic status 01400h)",
		statusHwInUse:                       "the hardware is in use by another program (PCAN-Basic status 00400h)",
		statusQueueFull | statusBusOff:      "bus-off; the transmit queue is full (PCAN-Basic status 00090h)",
		statusIllClient | statusIllParamVal: "there is no such client; a value is not valid (PCAN-Basic status 09C00h)",
		0x80000000:                          "an error that this driver does not know (PCAN-Basic status 80000000h)",
	} {
		if got := s.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
