package isotpnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"example.com/isotp/internal/kernel"
	"example.com/isotp/test/vm/cantest"
	"golang.org/x/sys/unix"
)

// optionFields are all fields of the structs in linux/can/isotp.h.
type optionFields struct {
	flags                                  KernelFlags
	frameTxTime                            uint32
	extAddress, txPad, rxPad, rxExtAddress byte
	blockSize, stmin, wftmax               byte
	txSTmin, rxSTmin                       uint32
	mtu, txDL, txFlags                     byte
}

// optionsOf returns the fields of the options of a socket.
func optionsOf(t *testing.T, c *Config, address string) (o optionFields) {
	t.Helper()
	options := newKernelSpec(c, "isotp", MustParseAddr(address), nil).Options
	var b [][]byte
	for i, size := range []int{12, 3, 4, 4, 3} {
		if options[i].Name != i+1 || len(options[i].Value) != size {
			t.Fatalf("option %d: %+v, want %d bytes", i+1, options[i], size)
		}
		b = append(b, options[i].Value)
	}
	number := binary.NativeEndian.Uint32
	return optionFields{
		KernelFlags(number(b[0])), number(b[0][4:]), b[0][8], b[0][9], b[0][10], b[0][11],
		b[1][0], b[1][1], b[1][2],
		number(b[2]), number(b[3]),
		b[4][0], b[4][1], b[4][2],
	}
}

// zeroOptions are those of the zero Config.
var zeroOptions = optionFields{
	flags: flagTxPadding | flagDynFCParms, frameTxTime: math.MaxUint32,
	txPad: 0xCC, rxPad: 0xCC, mtu: 16, txDL: 8,
}

func TestSocketOptionsOfTheZeroConfig(t *testing.T) {
	if got := optionsOf(t, &Config{}, "can0/7E0:7E8"); got != zeroOptions {
		t.Errorf("%+v, want %+v", got, zeroOptions)
	}
}

func TestSocketOptionsFollowTheConfig(t *testing.T) {
	for _, test := range []struct {
		name, addr string
		config     Config
		want       func(o *optionFields)
	}{
		{"extended", "can0/641#55:642#F1", Config{}, func(o *optionFields) {
			o.flags |= flagExtendAddr | flagRxExtAddr
			o.extAddress, o.rxExtAddress = 0x55, 0xF1
		}},
		{"functional", "can0/7DF:", Config{}, func(o *optionFields) { o.flags |= flagSFBroadcast }},
		{"functional extended", "can0/6F1#EF:", Config{}, func(o *optionFields) {
			o.flags |= flagSFBroadcast | flagExtendAddr
			o.extAddress = 0xEF
		}},
		{"broadcast", "can0/7DF:", Config{Kernel: KernelOptions{Flags: KernelBroadcast}}, func(o *optionFields) { o.flags |= KernelBroadcast }},
		{"BlockSize", "can0/1:2", Config{BlockSize: 255}, func(o *optionFields) { o.blockSize = 255 }},
		{"STmin", "can0/1:2", Config{STmin: 300 * time.Microsecond}, func(o *optionFields) { o.stmin = 0xF3 }},
		{"OverrideSTmin", "can0/1:2", Config{OverrideSTmin: time.Second}, func(o *optionFields) {
			o.flags |= flagForceTxSTmin
			o.txSTmin = 1e9
		}},
		{"no STmin", "can0/1:2", Config{OverrideSTmin: -1}, func(o *optionFields) { o.flags |= flagForceTxSTmin }},
		{"NoPadding", "can0/1:2", Config{Padding: NoPadding()}, func(o *optionFields) { o.flags &^= flagTxPadding }},
		{"PadWith", "can0/1:2", Config{Padding: PadWith(0)}, func(o *optionFields) { o.txPad = 0 }},
		{"FD", "can0/1:2", Config{FD: true, BRS: true, FrameSize: 32}, func(o *optionFields) { o.mtu, o.txDL, o.txFlags = 72, 32, 1 }},
		{"FD 64", "can0/1:2", Config{FD: true}, func(o *optionFields) { o.mtu, o.txDL = 72, 64 }},
		{"KeepFirstFlowControl", "can0/1:2", Config{KeepFirstFlowControl: true}, func(o *optionFields) { o.flags &^= flagDynFCParms }},
		{"FrameTxTime", "can0/1:2", Config{Kernel: KernelOptions{FrameTxTime: 50 * time.Microsecond}}, func(o *optionFields) { o.frameTxTime = 50000 }},
		{"RxSTmin", "can0/1:2", Config{Kernel: KernelOptions{RxSTmin: time.Millisecond}}, func(o *optionFields) {
			o.flags |= flagForceRxSTmin
			o.rxSTmin = 1e6
		}},
		{"RxPadding", "can0/1:2", Config{Kernel: KernelOptions{Flags: KernelCheckPadData, RxPadding: PadWith(0xAA)}}, func(o *optionFields) {
			o.flags |= KernelCheckPadData | flagRxPadding
			o.rxPad = 0xAA
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := MustParseAddr(test.addr)
			if err := test.config.check(); err != nil {
				t.Fatal(err)
			}
			if err := test.config.kernelRefuses(addr); err != nil {
				t.Fatal(err)
			}
			want := zeroOptions
			test.want(&want)
			if got := optionsOf(t, &test.config, test.addr); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

func TestFlagsByVersion(t *testing.T) {
	for _, test := range []struct {
		version kernel.Version
		want    KernelFlags
	}{
		{kernel.Linux(5, 9), 0},
		{kernel.Linux(5, 10), 0x7FF},
		{kernel.Linux(5, 18), 0xFFF},
		{kernel.Linux(6, 1), 0x1FFF},
		{kernel.Linux(6, 12), 0x3FFF},
		{kernel.Linux(7, 2), 0x3FFF},
	} {
		if got := knownFlags(test.version); got != test.want {
			t.Errorf("%v: %v, want %v", test.version, got, test.want)
		}
	}
}

func TestKernelProbe(t *testing.T) {
	cantest.Need(t)
	info, err := ProbeKernel()
	if err != nil {
		t.Fatal(err)
	}
	want, known := map[string]KernelInfo{
		"6.1":  {MaxMessageSize: 66000, Flags: 0x1FFF},
		"6.12": {MaxMessageSize: 8300, Flags: 0x3FFF},
		"7.2":  {MaxMessageSize: 8300, Flags: 0x3FFF},
	}[cantest.Kernel()]
	if !known {
		want = info // whatever it is
	}
	want.Release = info.Release
	if info != want || !strings.HasPrefix(info.Release, cantest.Kernel()+".") && cantest.InMachine() {
		t.Errorf("%+v, want %+v", info, want)
	}
}

const solCANISOTP = 100 + unix.CAN_ISOTP

// getsockopt reads an option that is neither a number nor a text.
func getsockopt(fd uintptr, level, option int, value []byte) error {
	size := uint32(len(value))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&value[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// What the kernel has must be what we have given it.
func TestKernelTakesTheOptions(t *testing.T) {
	name := newInterface(t)
	d := &Dialer{Config: Config{
		FD: true, FrameSize: 32, BlockSize: 7, STmin: 2 * time.Millisecond, OverrideSTmin: 3 * time.Millisecond,
		Padding: PadWith(0x55), Kernel: KernelOptions{FrameTxTime: 7 * time.Microsecond, RxSTmin: 9 * time.Microsecond},
	}}
	c := d.mustDial(t, "isotp", name+"/641#11:642#22")
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	get := func(option, size int) []byte {
		value := make([]byte, size)
		raw.Control(func(fd uintptr) { err = getsockopt(fd, solCANISOTP, option, value) })
		must(t, err)
		return value
	}
	for _, test := range []struct {
		name   string
		option int
		want   []byte
	}{
		{"CAN_ISOTP_RECV_FC", 2, []byte{7, 2, 0}},
		{"CAN_ISOTP_LL_OPTS", 5, []byte{72, 32, 0}},
		{"CAN_ISOTP_TX_STMIN", 3, []byte{0xC0, 0xC6, 0x2D, 0}},
		{"CAN_ISOTP_RX_STMIN", 4, []byte{0x28, 0x23, 0, 0}},
		{"CAN_ISOTP_OPTS", 1, []byte{0x86, 0x23, 0, 0, 0x58, 0x1B, 0, 0, 0x11, 0x55, 0xCC, 0x22}},
	} {
		if got := get(test.option, len(test.want)); !bytes.Equal(got, test.want) {
			t.Errorf("%s: % X, want % X", test.name, got, test.want)
		}
	}
}

func TestKernelOptionsOnTheWire(t *testing.T) {
	for _, test := range []struct {
		name, addr  string
		config      Config
		message     string // from the peer, answered by:
		flowControl string
		send        []byte
		sent        []string
	}{
		{"default", "7E0:7E8", Config{}, "7E8#1014010203040506", "7E0#300000CCCCCCCCCC", []byte{1}, []string{"7E0#0101CCCCCCCCCCCC"}},
		{"no padding", "7E0:7E8", Config{Padding: NoPadding()}, "7E8#1014010203040506", "7E0#300000", []byte{1}, []string{"7E0#0101"}},
		{"BS and STmin", "7E0:7E8", Config{BlockSize: 8, STmin: time.Millisecond}, "7E8#1014010203040506", "7E0#300801CCCCCCCCCC", []byte{1}, []string{"7E0#0101CCCCCCCCCCCC"}},
		{"extended", "641#55:642#F1", Config{}, "642#F110140102030405", "641#55300000CCCCCCCC", []byte{1}, []string{"641#550101CCCCCCCCCC"}},
		{"29 bits", "18DA10F1:18DAF110", Config{}, "18DAF110#1014010203040506", "18DA10F1#300000CCCCCCCCCC", []byte{1}, []string{"18DA10F1#0101CCCCCCCCCCCC"}},
		{"FD", "7E0:7E8", Config{FD: true, BRS: true}, "7E8##01014010203040506", "", []byte("123456789"), []string{"7E0##10009313233343536373839CC"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := newInterface(t)
			peer := newRawPeer(t, name)
			c := (&Dialer{Config: test.config}).mustDial(t, "isotp:kernel", name+"/"+test.addr)
			if test.flowControl != "" {
				peer.send(test.message)
				peer.expect(test.flowControl)
			}
			if _, err := c.Write(test.send); err != nil {
				t.Fatal(err)
			}
			peer.expect(test.sent...)
		})
	}
}

func TestKernelControl(t *testing.T) {
	name := newInterface(t)
	var calls []string
	d := &Dialer{Control: func(network, address string, c syscall.RawConn) error {
		calls = append(calls, network+" "+address)
		var err error
		c.Control(func(fd uintptr) {
			// Before bind options can be set.
			err = unix.SetsockoptString(int(fd), solCANISOTP, 2, "\x05\x06\x00")
		})
		return err
	}}
	d.mustDial(t, "isotp", name+"/7E0:7E8")
	if len(calls) != 1 || calls[0] != "isotp "+name+"/7E0:7E8" {
		t.Errorf("calls %q", calls)
	}
	peer := newRawPeer(t, name)
	peer.send("7E8#1014010203040506")
	peer.expect("7E0#300506CCCCCCCCCC")
}

func TestKernelControlThatFails(t *testing.T) {
	name := newInterface(t)
	want := errors.New("no")
	d := &Dialer{Control: func(string, string, syscall.RawConn) error { return want }}
	_, err := d.Dial("isotp", name+"/7E0:7E8")
	wantError(t, err, want)
	d.Control = nil
	d.mustDial(t, "isotp:kernel", name+"/7E0:7E8") // the pair was not kept
}

func TestKernelCheckPadding(t *testing.T) {
	d := &Dialer{Config: Config{Kernel: KernelOptions{Flags: KernelCheckPadData, RxPadding: PadWith(0xAA)}}}
	c, peer := kernelAndPeer(t, d)
	peer.send("7E8#0201020000000000", "7E8#020304AAAAAAAAAA")
	buf := make([]byte, 10)
	if n, err := c.Read(buf); err != nil || !bytes.Equal(buf[:n], []byte{3, 4}) {
		t.Errorf("% X, %v", buf[:n], err)
	}
	if s := c.Stats(); s.Errors[CodeInvalidFrame] != 1 {
		t.Errorf("stats %+v", s)
	}
}

// The error of a frame that is padded otherwise names the padding.
func TestKernelCheckPaddingIsNamed(t *testing.T) {
	d := &Dialer{Config: Config{ReportAborted: true, Kernel: KernelOptions{Flags: KernelCheckPadData, RxPadding: PadWith(0xAA)}}}
	c, peer := kernelAndPeer(t, d)
	read := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 10)); read <- err }()
	for { // until it waits
		peer.send("7E8#0201020000000000")
		select {
		case err := <-read:
			if e, ok := errors.AsType[*ProtocolError](err); !ok || e.Code != CodeInvalidFrame || !strings.Contains(err.Error(), "RxPadding") {
				t.Errorf("error %v", err)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestKernelInterfaces(t *testing.T) {
	name := newInterface(t)
	for _, test := range []struct {
		name, bus string
		prepare   func()
		config    Config
		want      error
	}{
		{"missing", "nosuch0", func() {}, Config{}, unix.ENODEV},
		{"a name too long for Linux", "aninterfacewithalongname", func() {}, Config{}, unix.ENODEV},
		{"not CAN", "lo", func() {}, Config{}, unix.ENODEV},
		{"down", name, func() { must(t, cantest.SetLink(name, false)) }, Config{}, unix.ENETDOWN},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.prepare()
			_, err := (&Dialer{Config: test.config}).Dial("isotp:kernel", test.bus+"/7E0:7E8")
			wantError(t, err, test.want)
		})
	}
}

func TestKernelFDOnAClassicInterface(t *testing.T) {
	name := newInterface(t)
	must(t, cantest.SetLink(name, false))
	must(t, cantest.SetMTU(name, 16))
	must(t, cantest.SetLink(name, true))
	_, err := (&Dialer{Config: Config{FD: true}}).Dial("isotp:kernel", name+"/7E0:7E8")
	if e, ok := errors.AsType[*ConfigError](err); !ok || e.Field != "FD" {
		t.Errorf("%v, want a ConfigError about FD", err)
	}
}

func TestKernelPairInUse(t *testing.T) {
	name := newInterface(t)
	c := new(Dialer).mustDial(t, "isotp:kernel", name+"/7E0:7E8")
	_, err := Dial("isotp:kernel", name+"/7E1:7E8")
	wantError(t, err, syscall.EADDRINUSE)
	for _, pair := range []string{name + "/7E0:7E8", name + "/7E1:7E8"} {
		if !bytes.Contains([]byte(err.Error()), []byte(pair)) {
			t.Errorf("%q does not name %s", err, pair)
		}
	}
	c.Close()
	new(Dialer).mustDial(t, "isotp:kernel", name+"/7E1:7E8")
}
