package isotpnet

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/kernel"
	"example.com/isotp/internal/wire"
)

// KernelOptions are the options of Linux's ISO-TP sockets (CAN_ISOTP) that no
// other backend has: if any is set, only the kernel's backend will do. The other
// options of these sockets follow from the Addr (identifiers and address bytes)
// and from [Config]:
//
//	CAN_ISOTP_OPTS      Addr (EXTEND_ADDR, RX_EXT_ADDR, ext_address,
//	                    rx_ext_address), Padding (TX_PADDING, txpad_content),
//	                    OverrideSTmin (FORCE_TXSTMIN), KeepFirstFlowControl
//	                    (DYN_FC_PARMS if it is false), and the fields below
//	CAN_ISOTP_RECV_FC   BlockSize, STmin (no kernel uses its wftmax)
//	CAN_ISOTP_TX_STMIN  OverrideSTmin
//	CAN_ISOTP_LL_OPTS   FD, BRS, FrameSize
//
// All are there since Linux 5.10, but for the flags that say otherwise;
// [ProbeKernel] tells which flags the running kernel knows.
//
// Options that this type has no room for can be set by Dialer.Control.
type KernelOptions struct {
	// Flags are set beside those that follow from Addr and Config.
	Flags KernelFlags

	// FrameTxTime is added to the gap before each Consecutive Frame, from 1 ns
	// to 4.29 s. 0: nothing is. Linux's own default is 50 us, which bounds classic
	// CAN to 140 kB/s; it stems from times when the kernel did not wait for a
	// frame's echo before it sent the next. CAN_ISOTP_OPTS' frame_txtime.
	FrameTxTime time.Duration

	// RxSTmin ignores Consecutive Frames that come sooner after the one before,
	// from 1 ns to 4.29 s; the message is then lost. 0: none is ignored. For
	// tests of senders. CAN_ISOTP_RX_STMIN and FORCE_RXSTMIN.
	RxSTmin time.Duration

	// RxPadding is what received frames must be filled up with where Flags
	// ask for checks: with PadWith frames must be filled up, with the zero
	// Padding and NoPadding they must not be. RX_PADDING and rxpad_content.
	RxPadding Padding
}

// KernelFlags are flags of CAN_ISOTP_OPTS. Kernels take those that they do not
// know without a word, and do nothing.
type KernelFlags uint32

// The flags that can be given in KernelOptions, and the version of Linux that
// brought each.
const (
	// KernelListenMode sends no CTS, but OVFLW all the same, and lets write.
	// Config.ListenOnly sends nothing at all and is not the kernel's. 5.10.
	KernelListenMode KernelFlags = 0x0001
	// KernelCheckPadLen and KernelCheckPadData ignore messages with frames that
	// are not as long, or not filled up with what, RxPadding says. A flow control
	// like that ends our message, with CodeInvalidFS. 5.10.
	KernelCheckPadLen  KernelFlags = 0x0010
	KernelCheckPadData KernelFlags = 0x0020
	// KernelHalfDuplex drops what comes while a message is being sent, and flow
	// control that comes while one is being received. 5.10.
	KernelHalfDuplex KernelFlags = 0x0040
	// KernelBroadcast, for a functional address, sends messages of any length
	// without flow control (CF_BROADCAST). 5.19.
	KernelBroadcast KernelFlags = 0x1000
)

// The flags that follow from other things, and may not be given.
const (
	flagExtendAddr   KernelFlags = 0x0002 // 5.10
	flagTxPadding    KernelFlags = 0x0004 // 5.10
	flagRxPadding    KernelFlags = 0x0008 // 5.10
	flagForceTxSTmin KernelFlags = 0x0080 // 5.10
	flagForceRxSTmin KernelFlags = 0x0100 // 5.10
	flagRxExtAddr    KernelFlags = 0x0200 // 5.10
	flagWaitTxDone   KernelFlags = 0x0400 // 5.10
	flagSFBroadcast  KernelFlags = 0x0800 // 5.11
	flagDynFCParms   KernelFlags = 0x2000 // 6.9
)

var kernelFlags = [...]struct {
	flag KernelFlags
	name string
	// instead is what to use instead; empty where the flag can be given.
	instead string
	since   kernel.Version // that brought it
}{
	{KernelListenMode, "LISTEN_MODE", "", kernel.Linux(5, 10)},
	{flagExtendAddr, "EXTEND_ADDR", "use an address such as 641#55:642#F1", kernel.Linux(5, 10)},
	{flagTxPadding, "TX_PADDING", "use Config.Padding", kernel.Linux(5, 10)},
	{flagRxPadding, "RX_PADDING", "use Config.Kernel.RxPadding", kernel.Linux(5, 10)},
	{KernelCheckPadLen, "CHK_PAD_LEN", "", kernel.Linux(5, 10)},
	{KernelCheckPadData, "CHK_PAD_DATA", "", kernel.Linux(5, 10)},
	{KernelHalfDuplex, "HALF_DUPLEX", "", kernel.Linux(5, 10)},
	{flagForceTxSTmin, "FORCE_TXSTMIN", "use Config.OverrideSTmin", kernel.Linux(5, 10)},
	{flagForceRxSTmin, "FORCE_RXSTMIN", "use Config.Kernel.RxSTmin", kernel.Linux(5, 10)},
	{flagRxExtAddr, "RX_EXT_ADDR", "use an address such as 641#55:642#F1", kernel.Linux(5, 10)},
	{flagWaitTxDone, "WAIT_TX_DONE", "Write waits without it, and heeds its deadline", kernel.Linux(5, 10)},
	{flagSFBroadcast, "SF_BROADCAST", "use an address such as 7DF:", kernel.Linux(5, 11)},
	{KernelBroadcast, "CF_BROADCAST", "", kernel.Linux(5, 19)},
	{flagDynFCParms, "DYN_FC_PARMS", "it is set unless Config.KeepFirstFlowControl is", kernel.Linux(6, 9)},
}

// String returns the names that linux/can/isotp.h has for the flags.
func (f KernelFlags) String() string {
	var names []string
	for _, k := range kernelFlags {
		if f&k.flag != 0 {
			names = append(names, k.name)
			f &^= k.flag
		}
	}
	if f != 0 || names == nil {
		names = append(names, fmt.Sprintf("%#x", uint32(f)))
	}
	return strings.Join(names, "|")
}

// check looks for options that make no sense.
func (o *KernelOptions) check(addr Addr) error {
	left := o.Flags
	for _, k := range kernelFlags {
		if o.Flags&k.flag != 0 && k.instead != "" {
			return &ConfigError{Field: "Kernel.Flags", Value: o.Flags, Want: k.name + " cannot be given: " + k.instead}
		}
		left &^= k.flag
	}
	switch {
	case left != 0:
		return &ConfigError{Field: "Kernel.Flags", Value: o.Flags, Want: fmt.Sprintf("%#x is no flag that is known", uint32(left))}
	case o.Flags&KernelBroadcast != 0 && addr.kind != KindFunctional:
		return &ConfigError{Field: "Kernel.Flags", Value: o.Flags, Want: "CF_BROADCAST only sends: it needs a functional address, as can0/7DF:"}
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"Kernel.FrameTxTime", o.FrameTxTime}, {"Kernel.RxSTmin", o.RxSTmin}} {
		// The highest value stands for something else.
		if d.d < 0 || d.d >= math.MaxUint32 {
			return &ConfigError{Field: d.name, Value: d.d, Want: "it must be from 1ns to 4.29s, or 0 for none"}
		}
	}
	return nil
}

// KernelInfo is what the running kernel's ISO-TP can do.
type KernelInfo struct {
	// Release is the kernel's version, as uname -r prints it.
	Release string
	// MaxMessageSize is the longest message that it sends and receives, in bytes:
	// max_pdu_size, a parameter of the module can_isotp since Linux 6.4; 66000
	// before.
	MaxMessageSize int64
	// Flags are the flags of CAN_ISOTP_OPTS that it knows, by its version: it
	// takes others without a word.
	Flags KernelFlags
}

// ProbeKernel returns what the running kernel's ISO-TP can do. If it has none, or one
// that isotp:kernel cannot use, the error says why and is errors.ErrUnsupported.
func ProbeKernel() (KernelInfo, error) {
	running, err := kernel.Probe()
	if err != nil {
		return KernelInfo{}, kernelError(err)
	}
	return KernelInfo{Release: running.Release, MaxMessageSize: running.MaxMessage, Flags: knownFlags(running.Version)}, nil
}

// knownFlags returns the flags that a kernel knows.
func knownFlags(v kernel.Version) (flags KernelFlags) {
	for _, k := range kernelFlags {
		if !v.Before(k.since) {
			flags |= k.flag
		}
	}
	return flags
}

// kernelRefuses returns why the kernel cannot be what c and addr ask for, nil if
// it can. Fields that are zero never stand in its way.
func (c *Config) kernelRefuses(addr Addr) error {
	if err := c.Kernel.check(addr); err != nil {
		return err
	}
	if err := broken([]rule{
		{"ListenOnly", c.ListenOnly, c.ListenOnly, "a listening socket of the kernel still sends OVFLW"},
		{"TransmitTimeout", c.TransmitTimeout, c.TransmitTimeout != 0 && c.TransmitTimeout != kernel.EchoTimeout, "the kernel's is 2s"},
		{"FlowControlTimeout", c.FlowControlTimeout, c.FlowControlTimeout != 0 && c.FlowControlTimeout != kernel.ReplyTimeout, "the kernel's is 1s"},
		{"ConsecutiveFrameTimeout", c.ConsecutiveFrameTimeout, c.ConsecutiveFrameTimeout != 0 && c.ConsecutiveFrameTimeout != kernel.ReplyTimeout, "the kernel's is 1s"},
		{"FlowControlHold", c.FlowControlHold, c.FlowControlHold != 0, "the kernel never holds a CTS back"},
		{"OverrideSTmin", c.OverrideSTmin, c.OverrideSTmin > math.MaxUint32, "the kernel has at most 4.29s"},
		{"MinFrameSize", c.MinFrameSize, c.MinFrameSize != 0 && c.MinFrameSize != canbus.MaxClassicLen, "the kernel fills frames up to 8 bytes or not at all"},
		{"MaxWaitFramesReceived", c.MaxWaitFramesReceived, c.MaxWaitFramesReceived != 0, "the kernel accepts any number of WAITs"},
		{"MaxWaitFramesSent", c.MaxWaitFramesSent, c.MaxWaitFramesSent > 0, "the kernel sends no WAITs"},
		{"MaxMessageSize", c.MaxMessageSize, c.MaxMessageSize != 0, "the kernel's limit is a parameter of its module can_isotp"},
		{"DeadlineAtFirstFrame", c.DeadlineAtFirstFrame, c.DeadlineAtFirstFrame, "the kernel tells nothing of First Frames"},
		{"RateLimit", c.RateLimit.BitsPerSecond, c.RateLimit.BitsPerSecond != 0, "the kernel has no rate limit"},
		{"Pacing", "PaceSpin", c.Pacing != PaceExact, "the kernel has its own timers"},
		{"Trace", "set", c.Trace.wantsFrames(), "of the kernel's frames nothing is known, only of messages"},
	}); err != nil {
		return err
	}
	return kernelRefusesAddr(addr)
}

// wantsFrames reports whether there are hooks for less than whole messages.
func (t *Trace) wantsFrames() bool {
	return t != nil && (t.FrameSent != nil || t.FrameReceived != nil || t.FrameIgnored != nil ||
		t.FlowControlSent != nil || t.FlowControlReceived != nil || t.MessageStarted != nil ||
		t.MessageReceiving != nil || t.MessageSending != nil)
}

func kernelRefusesAddr(addr Addr) error {
	refused := func(why string) error { return addrError(addr.String(), errors.New(why)) }
	scheme, _ := canbus.SplitName(addr.Bus())
	switch {
	case scheme != "":
		return refused("the kernel needs a network interface of Linux, as in can0/7E0:7E8")
	case addr.kind == KindFunctional:
		return nil
	case addr.kind != KindPair:
		return refused("the kernel needs both sides of a pair, as in can0/7E0:7E8")
	case addr.rx.Open != wire.OpenNothing:
		return refused(fmt.Sprintf("the kernel cannot hear every priority; for one priority name the identifiers, %s:%s",
			addr.tx, addr.rx))
	case addr.tx.HasByte != addr.rx.HasByte:
		return refused("the kernel needs an address byte on both sides or on none")
	case addr.tx.ID == addr.rx.ID && addr.tx.Extended == addr.rx.Extended:
		return refused("the kernel needs two different identifiers")
	}
	return nil
}

// A backendError says why a backend cannot be what is asked for.
type backendError struct {
	backend string
	err     error
}

func (e *backendError) Error() string {
	return "the " + e.backend + " backend cannot: " + e.err.Error()
}
func (e *backendError) Unwrap() error        { return e.err }
func (e *backendError) Is(target error) bool { return target == errors.ErrUnsupported }
