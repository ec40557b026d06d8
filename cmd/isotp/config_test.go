package main

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/isotp/isotpnet"
	"github.com/alecthomas/kong"
)

// flagsOf are the flags of a field of isotpnet.Config, by its name here.
var flagsOf = map[string][]string{
	"RateLimit": {"RateLimit", "Window"},
	"Kernel":    {"KernelFlags", "FrameTxTime", "RxSTmin", "RxPadding"},
}

func TestEveryFieldOfConfigIsAFlag(t *testing.T) {
	config, flags := reflect.TypeFor[isotpnet.Config](), reflect.TypeFor[configFlags]()
	want := 0
	for i := range config.NumField() {
		names := flagsOf[config.Field(i).Name]
		if names == nil {
			names = []string{config.Field(i).Name}
		}
		for _, name := range names {
			want++
			if f, ok := flags.FieldByName(name); !ok || f.Tag.Get("name") == "" {
				t.Errorf("there is no flag for Config.%s (%s)", config.Field(i).Name, name)
			}
		}
	}
	if n := flags.NumField(); n != want {
		t.Errorf("there are %d flags for %d fields", n, want)
	}
}

func TestFlagsSetTheirFields(t *testing.T) {
	var f configFlags
	args := strings.Fields(`--stmin 300us --override-stmin -1ns --transmit-timeout 1ms
		--flow-control-timeout 2ms --flow-control-hold -1s --consecutive-frame-timeout 3ms
		--block-size 4 --frame-size 32 --min-frame-size 12 --max-wait-frames -1
		--max-send-wait-frames 5 --max-message-size -1 --max-send-size 6 --split-writes --read-buffer 7
		--padding 0x5a --fd --brs --listen-only --report-aborted --deadline-at-first-frame --keep-first-flow-control
		--rate-limit 80000 --rate-window 9ms --pacing spin
		--kernel-flags 0x70 --frame-tx-time 20us --rx-stmin 8ms --rx-padding AA`)
	if _, err := kong.Must(&f, kong.WithHyphenPrefixedParameters(true)).Parse(args); err != nil {
		t.Fatal(err)
	}
	want := isotpnet.Config{
		STmin: 300 * time.Microsecond, OverrideSTmin: -1, TransmitTimeout: 1 * time.Millisecond,
		FlowControlTimeout: 2 * time.Millisecond, FlowControlHold: -time.Second, ConsecutiveFrameTimeout: 3 * time.Millisecond,
		BlockSize: 4, FrameSize: 32, MinFrameSize: 12, MaxWaitFramesReceived: -1,
		MaxWaitFramesSent: 5, MaxMessageSize: -1, MaxSendSize: 6, SplitWrites: true, ReadBuffer: 7,
		Padding: isotpnet.PadWith(0x5A), FD: true, BRS: true, ListenOnly: true, ReportAborted: true, DeadlineAtFirstFrame: true, KeepFirstFlowControl: true,
		RateLimit: isotpnet.RateLimit{BitsPerSecond: 80000, Window: 9 * time.Millisecond}, Pacing: isotpnet.PaceSpin,
		Kernel: isotpnet.KernelOptions{
			Flags:       isotpnet.KernelCheckPadLen | isotpnet.KernelCheckPadData | isotpnet.KernelHalfDuplex,
			FrameTxTime: 20 * time.Microsecond, RxSTmin: 8 * time.Millisecond, RxPadding: isotpnet.PadWith(0xAA),
		},
	}
	if got := f.config(); got != want {
		t.Errorf("Config is\n%+v, want\n%+v", got, want)
	}
}

func TestWithoutFlagsTheConfigIsZero(t *testing.T) {
	var f configFlags
	if _, err := kong.Must(&f).Parse(nil); err != nil {
		t.Fatal(err)
	}
	config := f.config()
	if trace := newTracer(&f, &config, new(bytes.Buffer), ""); trace != nil || config != (isotpnet.Config{}) {
		t.Errorf("Config is %+v, want its zero value", config)
	}
}

func TestPaddingIsAByteOrNone(t *testing.T) {
	for _, c := range []struct {
		text string
		want isotpnet.Padding
		ok   bool
	}{
		{"00", isotpnet.PadWith(0), true},
		{"CC", isotpnet.PadWith(0xCC), true},
		{"0xaA", isotpnet.PadWith(0xAA), true},
		{"none", isotpnet.NoPadding(), true},
		{"", isotpnet.Padding{}, false},
		{"100", isotpnet.Padding{}, false},
		{"-1", isotpnet.Padding{}, false},
		{"zz", isotpnet.Padding{}, false},
	} {
		var p padding
		if err := p.UnmarshalText([]byte(c.text)); (err == nil) != c.ok || p.Padding != c.want {
			t.Errorf("%q: %v, %v", c.text, p, err)
		}
	}
}
