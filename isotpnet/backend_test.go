package isotpnet

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/isotp/canbus/virtual"
)

func TestKernelHonoursWhatIsZeroOrItsOwn(t *testing.T) {
	for _, c := range []Config{
		{},
		{STmin: time.Millisecond, BlockSize: 8, OverrideSTmin: -1},
		{TransmitTimeout: 2 * time.Second, FlowControlTimeout: time.Second, ConsecutiveFrameTimeout: time.Second},
		{FD: true, BRS: true, FrameSize: 32, MinFrameSize: 8},
		{Padding: NoPadding(), KeepFirstFlowControl: true, MaxWaitFramesSent: -1},
		{ReportAborted: true, Trace: &Trace{MessageReceived: func(TraceEvent) {}}},
		{MaxSendSize: 4095, ReadBuffer: 1 << 20},
	} {
		if err := c.kernelRefuses(MustParseAddr("can0/7E0:7E8")); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestKernelRefusesWhatItCannotHonour(t *testing.T) {
	for _, test := range []struct {
		field  string
		config Config
	}{
		{"ListenOnly", Config{ListenOnly: true}},
		{"TransmitTimeout", Config{TransmitTimeout: time.Second}},
		{"FlowControlTimeout", Config{FlowControlTimeout: 2 * time.Second}},
		{"ConsecutiveFrameTimeout", Config{ConsecutiveFrameTimeout: 150 * time.Millisecond}},
		{"FlowControlHold", Config{FlowControlHold: 100 * time.Millisecond}},
		{"OverrideSTmin", Config{OverrideSTmin: 5 * time.Second}},
		{"MinFrameSize", Config{MinFrameSize: 4}},
		{"MaxWaitFramesReceived", Config{MaxWaitFramesReceived: 1}},
		{"MaxWaitFramesSent", Config{MaxWaitFramesSent: 3}},
		{"MaxMessageSize", Config{MaxMessageSize: 4095}},
		{"DeadlineAtFirstFrame", Config{DeadlineAtFirstFrame: true}},
		{"Trace", Config{Trace: &Trace{MessageSending: func(TraceEvent) {}}}},
		{"RateLimit", Config{RateLimit: RateLimit{BitsPerSecond: 1e6}}},
		{"Pacing", Config{Pacing: PaceSpin}},
		{"Trace", Config{Trace: &Trace{FrameSent: func(TraceEvent) {}}}},
		{"Kernel.Flags", Config{Kernel: KernelOptions{Flags: flagWaitTxDone}}},
		{"Kernel.Flags", Config{Kernel: KernelOptions{Flags: 1 << 31}}},
		{"Kernel.Flags", Config{Kernel: KernelOptions{Flags: KernelBroadcast}}},
		{"Kernel.FrameTxTime", Config{Kernel: KernelOptions{FrameTxTime: -1}}},
		{"Kernel.RxSTmin", Config{Kernel: KernelOptions{RxSTmin: 5 * time.Second}}},
	} {
		t.Run(test.field, func(t *testing.T) {
			err := test.config.kernelRefuses(MustParseAddr("can0/7E0:7E8"))
			if e, ok := errors.AsType[*ConfigError](err); !ok || e.Field != test.field {
				t.Errorf("%v, want a ConfigError about %s", err, test.field)
			}
		})
	}
}

func TestKernelRefusesAddresses(t *testing.T) {
	for _, test := range []struct {
		addr string
		want string // in the error; empty: the kernel takes it
	}{
		{"can0/7E0:7E8", ""},
		{"can0/18DA10F1:18DAF110", ""},
		{"can0/641#55:642#F1", ""},
		{"can0/641#55:18DAF110#F1", ""},
		{"can0/7DF:", ""},
		{"can0/func:33:F1#99", ""},
		{"virtual:x/7E0:7E8", "network interface"},
		{"can0/fixed:10:F1", "18DA10F1:18DAF110"},
		{"can0/641#55:642", "address byte"},
		{"can0/641#55:641#F1", "two different identifiers"},
		{"can0/:7E8", "both sides"},
	} {
		t.Run(test.addr, func(t *testing.T) {
			err := new(Config).kernelRefuses(MustParseAddr(test.addr))
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%v, want one with %q", err, test.want)
			}
		})
	}
}

func TestBackendThatCannotSaysWhy(t *testing.T) {
	control := func(string, string, syscall.RawConn) error { return nil }
	bus, err := virtual.Open("why")
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	for _, test := range []struct {
		name, network, address string
		d                      Dialer
		want                   []string
	}{
		{"the kernel, a field", "isotp:kernel", "can0/7E0:7E8", Dialer{Config: Config{MaxWaitFramesReceived: 3}}, []string{"kernel backend", "MaxWaitFramesReceived"}},
		{"the kernel, a bus", "isotp:kernel", "virtual:x/7E0:7E8", Dialer{}, []string{"kernel backend", "virtual:x"}},
		{"the kernel, a given bus", "isotp:kernel", "/7E0:7E8", Dialer{Bus: bus}, []string{"kernel backend", "Bus in the Dialer"}},
		{"the user, options", "isotp:user", "virtual:x/7E0:7E8", Dialer{Config: Config{Kernel: KernelOptions{Flags: KernelHalfDuplex}}}, []string{"user backend", "Config.Kernel"}},
		{"the user, Control", "isotp:user", "virtual:x/7E0:7E8", Dialer{Control: control}, []string{"user backend", "Control"}},
		{"neither", "isotp", "can0/7E0:7E8", Dialer{Config: Config{MaxWaitFramesReceived: 3}, Control: control}, []string{"kernel backend", "MaxWaitFramesReceived", "user backend", "Control"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.d.Dial(test.network, test.address)
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Fatalf("%v is not errors.ErrUnsupported", err)
			}
			for _, text := range test.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%v does not say %q", err, text)
				}
			}
		})
	}
}

func TestListenerOfGroupsIsNotTheKernels(t *testing.T) {
	lc := ListenConfig{Functional: []Addr{MustParseAddr("/7DF:")}}
	_, err := lc.Listen(t.Context(), "isotp:kernel", "can0/7E8:7E0")
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "7DF") {
		t.Errorf("%v", err)
	}
}

func TestListenerOfManyPeersIsNotTheKernels(t *testing.T) {
	for address, text := range map[string]string{
		"can0/fixed::10":         "one peer",
		"can0/7E8:7E0,7E9:7E1":   "a list",
		"can0/7E8:7E0,7DF":       ":7DF",
		"can0/fixed::10,func:33": "func:33",
	} {
		_, err := Listen("isotp:kernel", address)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestOpenChooses(t *testing.T) {
	cannot := errors.New("cannot")
	broken := errors.New("broken")
	for _, test := range []struct {
		name, network string
		kernel, user  error // why they refuse
		opening       error // what the kernel fails with
		want, why     string
		err           error
	}{
		{"both can", "isotp", nil, nil, nil, "kernel", "it can do what was asked for", nil},
		{"the kernel cannot", "isotp", cannot, nil, nil, "user", "the kernel backend cannot: cannot", nil},
		{"the user cannot", "isotp", nil, cannot, nil, "kernel", "the user backend cannot: cannot", nil},
		{"neither can", "isotp", cannot, cannot, nil, "", "", cannot},
		{"this machine has no CAN", "isotp", nil, nil, syscall.EAFNOSUPPORT, "user", syscall.EAFNOSUPPORT.Error(), nil},
		{"there is no such interface", "isotp", nil, nil, syscall.ENODEV, "user", syscall.ENODEV.Error(), nil},
		{"the interface is down", "isotp", nil, nil, syscall.ENETDOWN, "", "", syscall.ENETDOWN},
		{"no CAN, and the user cannot", "isotp", nil, cannot, syscall.EAFNOSUPPORT, "", "", syscall.EAFNOSUPPORT},
		{"kernel asked for", "isotp:kernel", nil, nil, nil, "kernel", "it was asked for", nil},
		{"kernel asked for, no CAN", "isotp:kernel", nil, nil, syscall.EAFNOSUPPORT, "", "", syscall.EAFNOSUPPORT},
		{"kernel asked for, cannot", "isotp:kernel", cannot, nil, broken, "", "", cannot},
		{"user asked for", "isotp:user", cannot, nil, broken, "user", "it was asked for", nil},
		{"user asked for, cannot", "isotp:user", nil, cannot, nil, "", "", cannot},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, why, err := open(t.Context(), test.network, test.kernel, test.user,
				func() (string, error) {
					if test.opening != nil {
						return "", test.opening
					}
					return "kernel", nil
				},
				func() (string, error) { return "user", nil })
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%q, %v; want %q, %v", got, err, test.want, test.err)
			}
			if test.err == nil && why.Error() != test.why {
				t.Errorf("why %q, want %q", why, test.why)
			}
		})
	}
}

func TestOpenWithAContextThatIsOver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := func() (string, error) { t.Error("opened"); return "", nil }
	if _, _, err := open(ctx, "isotp", nil, nil, never, never); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLoggerIsToldOfTheBackend(t *testing.T) {
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := (&Dialer{Config: Config{Logger: logger}}).Dial("isotp", "virtual:logged/7E0:7E8")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, want := range []string{"backend=user", "network interface", "7E0:7E8"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q does not say %q", text.String(), want)
		}
	}
	if b := c.(*Conn).Backend(); b != "user" {
		t.Errorf("Backend() = %q", b)
	}
	if _, err := c.(*Conn).SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyscallConn: %v", err)
	}
}

func TestPipeHasNoKernelOptions(t *testing.T) {
	_, _, err := Pipe(&Config{Kernel: KernelOptions{Flags: KernelHalfDuplex}})
	if e, ok := errors.AsType[*ConfigError](err); !ok || e.Field != "Kernel" {
		t.Errorf("%v, want a ConfigError about Kernel", err)
	}
}

func TestKernelFlagsString(t *testing.T) {
	for flags, want := range map[KernelFlags]string{
		0: "0x0", KernelHalfDuplex: "HALF_DUPLEX", KernelListenMode | KernelBroadcast: "LISTEN_MODE|CF_BROADCAST",
		KernelCheckPadLen | 1<<20: "CHK_PAD_LEN|0x100000",
	} {
		if got := flags.String(); got != want {
			t.Errorf("%#x: %q, want %q", uint32(flags), got, want)
		}
	}
}
