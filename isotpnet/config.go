package isotpnet

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"example.com/isotp/canbus"
	"example.com/isotp/internal/engine"
	"example.com/isotp/internal/wire"
)

// A Config holds the parameters of connections. The zero Config works with most
// ECUs; a field that is zero means whatever the backend does well.
//
// Each field names its parameter in ISO 15765-2 (ISO) and in Python's can-isotp
// (can-isotp). Where a field says no more, a negative value is an error.
type Config struct {
	// STmin is the least time that the peer is asked to leave between
	// Consecutive Frames. 0: none. It is from 100 to 900 us in steps of 100 us, or from
	// 1 to 127 ms in steps of 1 ms: a flow control can say no other times.
	// ISO: STmin; can-isotp: stmin.
	STmin time.Duration

	// OverrideSTmin is the time that we leave between Consecutive Frames,
	// whatever the peer asks for. 0: what the peer asks for. Negative: none,
	// as fast as possible. A time longer than ConsecutiveFrameTimeout is for tests of
	// time-outs: the Logger is warned, because a peer with the same time-out aborts every
	// reception, while Write may return nil. can-isotp: override_receiver_stmin (where 0
	// is our negative).
	OverrideSTmin time.Duration

	// TransmitTimeout is how long each frame may take to get on the wire.
	// 0: 1 s. ISO: N_As and N_Ar.
	TransmitTimeout time.Duration

	// FlowControlTimeout is how long to wait for the peer's flow control. With ListenOnly
	// it is how long to wait for the flow control of the node that receives the message:
	// without one the reception is aborted, as its sender aborts the message.
	// 0: 1 s. ISO: N_Bs; can-isotp: rx_flowcontrol_timeout.
	FlowControlTimeout time.Duration

	// FlowControlHold is how long a CTS is held back from the peer while our reader
	// has not read what has arrived; then a WAIT is sent, and the CTS is held back
	// again. 0: 0.8 s, or 0.8 of FlowControlTimeout if that is less. Negative: never;
	// a message that there is no room for is answered OVFLW. ISO: N_Br.
	FlowControlHold time.Duration

	// ConsecutiveFrameTimeout is how long to wait for the peer's next
	// Consecutive Frame. 0: 1 s. ISO: N_Cr; can-isotp:
	// rx_consecutive_frame_timeout. We keep the peer waiting for our Consecutive Frames
	// no longer than nine tenths of it (N_Cs), see Conn.SendFrom.
	ConsecutiveFrameTimeout time.Duration

	// BlockSize is after how many Consecutive Frames, 1 to 255, the peer has to
	// wait for the next flow control. 0: it need not wait (but see
	// MaxMessageSize and Conn.NextReader). ISO: BS; can-isotp: blocksize.
	BlockSize int

	// FrameSize is the length of a full frame: 8, 12, 16, 20, 24, 32, 48 or
	// 64; above 8 only with FD. 0: 8, or 64 with FD. ISO: TX_DL; can-isotp:
	// tx_data_length. What the peer sends may be of any length.
	FrameSize int

	// MinFrameSize is the length that shorter frames are filled up to: 1 to 8,
	// or with FD one of the lengths of FrameSize, and not above FrameSize. 0: what
	// Padding says. With NoPadding it must be 0. can-isotp: tx_data_min_length.
	MinFrameSize int

	// MaxWaitFramesReceived is how many WAITs in a row we accept from the peer while
	// we send. 0: any number. Negative: none. One more aborts our message with
	// CodeWaitOverrun, or with CodeWaitRefused if none is accepted. can-isotp: wftmax
	// (where 0 is none).
	MaxWaitFramesReceived int

	// MaxWaitFramesSent is how many WAITs in a row we send to the peer while we
	// receive and our reader is slow. 0: 10. Negative: none. When these are used up the
	// reception is aborted with CodeWaitOverrun. ISO: N_WFTmax.
	MaxWaitFramesSent int

	// MaxMessageSize is the longest message, in bytes, that is received whole;
	// a longer one is answered OVFLW. 0: 16 MiB where one peer is named (Dial, Pipe,
	// Listen on a pair), and 65535 for any peer, lists, a PacketConn, and with
	// ListenOnly. Negative: as long as can be, 4 GiB - 1. Conn.NextReader does not
	// heed it. can-isotp: max_frame_size.
	//
	// Memory grows with what has come, not with what a First Frame claims. Messages
	// longer than 65535 bytes come in blocks of BlockSize, or 255, Consecutive Frames
	// (but not on obd addresses), so that they can be held up; the first block waits
	// for the first Read or NextReader. All peers of one listener, or of one PacketConn,
	// may together have 64 MiB of such messages, or one of MaxMessageSize if that is
	// more, counting what is not read yet. Beyond that a peer is held up, by WAITs too,
	// and in the end answered OVFLW. A message that brings less than 1000 bytes a second
	// gives way to those held up: CodeReceiverFull in Stats and Trace. With ListenOnly
	// no peer can be held up, and such a message is lost: ErrOverrun.
	MaxMessageSize int

	// MaxSendSize is the longest message, in bytes, that Write sends, and that
	// Conn.ReadFrom makes. 0: what the backend can send (user: 4 GiB - 1; kernel: the
	// parameter max_pdu_size of its module), and for ReadFrom 4095. On "isotp-stream" it
	// is the longest message that a Write is cut into: 7 to 4095, 0: 4095.
	MaxSendSize int

	// SplitWrites sends a Write that is longer than MaxSendSize (0: 4095 bytes) as
	// several messages of at most that size, on every backend, for code that takes a
	// connection for one of bytes: io.Copy from a source with a WriterTo of its own,
	// net/rpc, encoding/gob. One Write sends all its messages before the next Write has
	// its turn. The write deadline is for all of them, and with an error n counts the
	// bytes of the messages that were sent whole; on the kernel's backend the message
	// at n may still arrive after a deadline. WriteFunctional, SendFrom and a Write to a
	// functional address are never split. It is ignored on
	// "isotp-stream", and refused by ListenPacket.
	//
	// The messages have no numbers and no end: the peer's reader sees no difference
	// between many and one, and if the bus loses one that fits in a Single Frame,
	// neither side learns of the hole. Between two programs with this package use
	// "isotp-stream".
	SplitWrites bool

	// ReadBuffer is how many bytes of messages (each counted with 64 more) may
	// wait to be read before a CTS is held back. 0: 65536. When Single Frames alone wait
	// with four times as many bytes, further Single Frames are lost: see ErrOverrun.
	//
	// The kernel's backend holds no CTS back. There ReadBuffer is how many bytes we keep
	// of messages that are not read yet, and 0 is 4 MiB. Further messages stay in the
	// socket's buffer (SO_RCVBUF), and are lost when that is full, too. We make that
	// buffer as large as ReadBuffer or 2 MiB; without CAP_NET_ADMIN the sysctl
	// net.core.rmem_max is its limit. We take messages out of the socket within six
	// milliseconds, or as soon as this process gets a processor. Until then the socket's
	// buffer must hold them: by default it has room for some 180 messages of 1 kB or 440
	// Single Frames.
	ReadBuffer int

	// Padding says what short frames are filled up with. The zero Padding is
	// 0xCC. can-isotp: tx_padding.
	Padding Padding

	// FD sends CAN FD frames; BRS switches to the higher bit rate for their
	// data. What is received may be either. can-isotp: can_fd, bitrate_switch.
	FD, BRS bool

	// ListenOnly receives without sending anything, not even flow control. Any
	// number of such connections may stand beside one that answers. can-isotp:
	// listen_mode.
	ListenOnly bool

	// DeadlineAtFirstFrame makes a read deadline one for the start of a message, as a
	// tester's P2 is. A message whose First Frame comes no later than the deadline
	// extends it, even if the deadline was set after that frame: reads go on until the
	// message is completed and read, or aborted (after ConsecutiveFrameTimeout at most);
	// then they time out. A message that starts later extends nothing, and stays for
	// reads with a later deadline; so does a message that is completed before the
	// deadline and not read by then. [PacketConn.ReadFrom] returns all messages that
	// were started by the deadline, and those that come while one of them is still
	// coming. A deadline that is past when it is set ends reads at once, in mid-message
	// too. See also Conn.AwaitMessage.
	DeadlineAtFirstFrame bool

	// ReportAborted makes a Read that is waiting return a *ProtocolError when a
	// reception is aborted, or a message refused. Without it the Read goes on waiting
	// for the next message.
	ReportAborted bool

	// KeepFirstFlowControl keeps to the BS and STmin of the first CTS to the end of
	// the message. Without it those of the latest CTS hold.
	KeepFirstFlowControl bool

	// RateLimit limits how much is sent. can-isotp: rate_limit_enable.
	RateLimit RateLimit

	// Pacing says how to wait for the moment to send a frame.
	Pacing Pacing

	// Kernel has options of Linux's ISO-TP sockets. Other backends do not know them: a
	// Config that sets one needs the kernel's backend.
	Kernel KernelOptions

	// Logger is told, at level Warn, of messages and receptions that were aborted and,
	// at level Debug, of every other step. nil: nothing is logged. can-isotp: logger_name.
	Logger *slog.Logger

	// Trace has functions to be called at each step. nil: none.
	Trace *Trace
}

// Padding says what short frames are filled up with, and whether. The zero
// Padding fills them up to 8 bytes with 0xCC, because many ECUs ignore shorter
// frames. CAN FD frames longer than 8 bytes are always filled up to the next
// length that a DLC can say.
type Padding struct {
	set bool
	off bool
	b   byte
}

// PadWith fills frames up to 8 bytes with b.
func PadWith(b byte) Padding { return Padding{set: true, b: b} }

// NoPadding sends frames as short as they are.
func NoPadding() Padding { return Padding{set: true, off: true} }

// defaultFill stands out on an oscilloscope: it needs no stuff bits.
const defaultFill = 0xCC

func (p Padding) fill() byte {
	if !p.set || p.off {
		return defaultFill
	}
	return p.b
}

// String returns "none" or the byte in hexadecimal.
func (p Padding) String() string {
	if p.off {
		return "none"
	}
	return fmt.Sprintf("%02X", p.fill())
}

// A RateLimit bounds the data that one connection sends, N_PCI and padding
// included, without the frames' other bits. Flow control is neither counted nor
// held up. The zero RateLimit does not bound anything.
type RateLimit struct {
	// BitsPerSecond is the limit, on average over Window. can-isotp:
	// rate_limit_max_bitrate.
	BitsPerSecond int
	// Window is the time over which it holds: no more than BitsPerSecond *
	// Window bits are sent within any such time, all at once at worst. 0: 0.2 s.
	// can-isotp: rate_limit_window_size.
	Window time.Duration
}

// Pacing says how to wait for the moment to send a frame.
type Pacing uint8

const (
	// PaceExact waits without using a processor: on Linux some 10 to 20 us late. It
	// is the default.
	PaceExact Pacing = iota
	// PaceSpin keeps a processor core busy for the last 200 us before each
	// moment: on Linux some us late.
	PaceSpin
)

// The defaults.
const (
	defaultTimeout        = time.Second
	defaultHold           = 800 * time.Millisecond
	defaultSendWaits      = 10
	defaultMaxMessageSize = 16 << 20
	defaultManyPeersSize  = 65535 // of each of many peers, and with ListenOnly
	defaultReadBuffer     = 64 << 10
	defaultPart           = 4095 // of what is sent as several messages
	defaultRateWindow     = 200 * time.Millisecond

	obdFlowControlTimeout      = 75 * time.Millisecond
	obdConsecutiveFrameTimeout = 150 * time.Millisecond

	// longest is some 73 years. A longer time is cut to it, because a moment
	// plus the longest Duration would lie in the past.
	longest = time.Duration(1 << 61)

	// hardFactor times ReadBuffer is how many bytes of Single Frames may wait before more
	// are lost. If nothing waits there is room for the longest Single Frame.
	hardFactor = 4
	// leastHardLimit has room for a Single Frame however small ReadBuffer is.
	leastHardLimit = 256
	// window is how much of a streamed message may wait to be read.
	window = 32 << 10
)

// A ConfigError says what is wrong with a field of a [Config].
type ConfigError struct {
	Field string // its name, as "STmin" or "Kernel.Flags"
	Value any    // its value
	Want  string // what would be right
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("Config.%s is %v: %s", e.Field, e.Value, e.Want)
}

// A rule says whether a field is wrong, and what would be right. There are rules for every
// Config (check), for the kernel's backend (kernelRefuses) and for OBD-II (forOBD).
type rule struct {
	field string
	value any
	wrong bool
	want  string
}

// broken returns a *ConfigError for the first rule that is broken, nil if none is.
func broken(rules []rule) error {
	for _, r := range rules {
		if r.wrong {
			return &ConfigError{Field: r.field, Value: r.value, Want: r.want}
		}
	}
	return nil
}

// frameSizes are the values of TX_DL.
var frameSizes = []int{8, 12, 16, 20, 24, 32, 48, 64}

// check returns a *ConfigError for a field that is wrong on every backend.
func (c *Config) check() error {
	time := func(field string, d time.Duration) rule {
		return rule{field, d, d < 0, "it must be above 0, or 0 for the default"}
	}
	upTo := func(field string, n int, most int64) rule {
		return rule{field, n, n < 0 || int64(n) > most, fmt.Sprintf("it must be from 1 to %d, or 0 for the default", most)}
	}
	said := wire.DecodeSTmin(wire.EncodeSTmin(c.STmin))
	return broken([]rule{
		time("TransmitTimeout", c.TransmitTimeout),
		time("FlowControlTimeout", c.FlowControlTimeout),
		time("ConsecutiveFrameTimeout", c.ConsecutiveFrameTimeout),
		time("RateLimit.Window", c.RateLimit.Window),
		upTo("ReadBuffer", c.ReadBuffer, math.MaxInt32),
		upTo("RateLimit.BitsPerSecond", c.RateLimit.BitsPerSecond, math.MaxInt32),
		{"STmin", c.STmin, c.STmin < 0 || c.STmin > wire.MaxSTmin, fmt.Sprintf("it must be from 0 to %v", wire.MaxSTmin)},
		{"STmin", c.STmin, said != c.STmin, fmt.Sprintf("a flow control can say 100µs to 900µs in steps of 100µs and 1ms to 127ms in steps of 1ms; the next is %v", said)},
		{"FlowControlHold", c.FlowControlHold, c.FlowControlHold > 0 && c.FlowControlHold >= c.flowControlTimeout(), fmt.Sprintf("it must be below FlowControlTimeout (%v), or the peer gives up", c.flowControlTimeout())},
		{"BlockSize", c.BlockSize, c.BlockSize < 0 || c.BlockSize > 255, "it must be from 0 to 255"},
		{"FrameSize", c.FrameSize, c.FrameSize != 0 && !slices.Contains(frameSizes, c.FrameSize), fmt.Sprintf("it must be one of %v, or 0 for the default", frameSizes)},
		{"FrameSize", c.FrameSize, c.FrameSize > canbus.MaxClassicLen && !c.FD, "above 8 it needs FD"},
		{"MinFrameSize", c.MinFrameSize, !canbus.ValidLen(c.MinFrameSize, c.FD), fmt.Sprintf("it must be from 0 to 8, or with FD one of %v", frameSizes)},
		{"MinFrameSize", c.MinFrameSize, c.MinFrameSize > c.frameSize(), fmt.Sprintf("it must not be above FrameSize (%d)", c.frameSize())},
		{"MinFrameSize", c.MinFrameSize, c.MinFrameSize > 0 && c.Padding.off, "it must be 0 with NoPadding"},
		{"MaxMessageSize", c.MaxMessageSize, int64(c.MaxMessageSize) > wire.MaxLength, fmt.Sprintf("it must be at most %d", int64(wire.MaxLength))},
		upTo("MaxSendSize", c.MaxSendSize, wire.MaxLength),
		{"BRS", c.BRS, c.BRS && !c.FD, "it needs FD"},
		{"Pacing", uint8(c.Pacing), c.Pacing > PaceSpin, "it must be PaceExact or PaceSpin"},
		{"RateLimit", c.RateLimit.BitsPerSecond, c.RateLimit.BitsPerSecond > 0 && c.rateBits() < 8*c.frameSize(), fmt.Sprintf("with a Window of %v it lets %d bits pass at once; a frame has %d", c.rateWindow(), c.rateBits(), 8*c.frameSize())},
		{"RateLimit.Window", c.RateLimit.Window, c.RateLimit.Window > 0 && c.RateLimit.BitsPerSecond == 0, "it needs BitsPerSecond"},
	})
}

// forOBD sets the parameters that ISO 15765-4 asks of a tester: no WAIT, BS and STmin 0,
// classic frames of 8 bytes, and short times. It returns an error if c sets others.
func (c *Config) forOBD() error {
	const want = "on an obd address ISO 15765-4 decides; leave it zero"
	if err := broken([]rule{
		{"BlockSize", c.BlockSize, c.BlockSize != 0, want},
		{"STmin", c.STmin, c.STmin != 0, want},
		{"FlowControlHold", c.FlowControlHold, c.FlowControlHold > 0, want},
		{"FD", c.FD, c.FD, want},
		{"Padding", c.Padding, c.Padding.off, want},
		{"MinFrameSize", c.MinFrameSize, c.MinFrameSize != 0 && c.MinFrameSize != canbus.MaxClassicLen, want},
	}); err != nil {
		return err
	}
	c.FlowControlHold = -1
	c.FlowControlTimeout = orDefault(c.FlowControlTimeout, obdFlowControlTimeout)
	c.ConsecutiveFrameTimeout = orDefault(c.ConsecutiveFrameTimeout, obdConsecutiveFrameTimeout)
	return nil
}

func (c *Config) flowControlTimeout() time.Duration {
	return orDefault(c.FlowControlTimeout, defaultTimeout)
}

func (c *Config) frameSize() int {
	switch {
	case c.FrameSize > 0:
		return c.FrameSize
	case c.FD:
		return canbus.MaxLen
	}
	return canbus.MaxClassicLen
}

func (c *Config) rateWindow() time.Duration {
	return orDefault(c.RateLimit.Window, defaultRateWindow)
}

func (c *Config) rateBits() int {
	bits := float64(c.RateLimit.BitsPerSecond) * c.rateWindow().Seconds()
	return int(min(bits, math.MaxInt32))
}

func orDefault[T int | time.Duration](v, zero T) T {
	if v == 0 {
		return zero
	}
	return v
}

// engine returns the engine's parameters. The Config must be right.
func (c *Config) engine() *engine.Config {
	e := &engine.Config{
		FrameSize:        c.frameSize(),
		MinFrameSize:     c.MinFrameSize,
		Fill:             c.Padding.fill(),
		FD:               c.FD,
		BRS:              c.BRS,
		BlockSize:        uint8(c.BlockSize),
		STmin:            wire.EncodeSTmin(c.STmin),
		OverrideSTmin:    min(max(c.OverrideSTmin, 0), longest),
		FirstFlowControl: c.KeepFirstFlowControl,
		NAs:              min(orDefault(c.TransmitTimeout, defaultTimeout), longest),
		NBs:              min(c.flowControlTimeout(), longest),
		NBr:              min(c.FlowControlHold, longest),
		NeverHold:        c.FlowControlHold < 0,
		NCr:              min(orDefault(c.ConsecutiveFrameTimeout, defaultTimeout), longest),
		MaxWaits:         c.MaxWaitFramesReceived,
		MaxSendWaits:     max(orDefault(c.MaxWaitFramesSent, defaultSendWaits), 0),
		MaxMessageSize:   uint32(orDefault(c.MaxMessageSize, defaultMaxMessageSize)),
		HighMark:         orDefault(c.ReadBuffer, defaultReadBuffer),
		Window:           window,
		RateWindow:       min(c.rateWindow(), longest),
		ListenOnly:       c.ListenOnly,
		ReportAborted:    c.ReportAborted,

		DeadlineAtFirstFrame: c.DeadlineAtFirstFrame,
	}
	if c.MinFrameSize == 0 && !c.Padding.off {
		e.MinFrameSize = canbus.MaxClassicLen
	}
	if c.OverrideSTmin == 0 {
		e.OverrideSTmin = -1
	}
	if c.FlowControlHold <= 0 {
		e.NBr = min(defaultHold, e.NBs/10*8)
	}
	e.NCs = e.NCr / 10 * 9
	switch {
	case c.MaxWaitFramesReceived == 0:
		e.MaxWaits = -1
	case c.MaxWaitFramesReceived < 0:
		e.MaxWaits = 0
	}
	switch {
	case c.MaxMessageSize < 0:
		e.MaxMessageSize = wire.MaxLength
	case c.MaxMessageSize == 0 && c.ListenOnly:
		e.MaxMessageSize = defaultManyPeersSize
	}
	e.HardLimit = max(hardFactor*e.HighMark, leastHardLimit)
	if c.RateLimit.BitsPerSecond > 0 {
		e.RateBits = c.rateBits()
	}
	return e
}

// maxSendSize is the longest message that a Write may have.
func (c *Config) maxSendSize() int64 {
	if c.MaxSendSize > 0 {
		return int64(c.MaxSendSize)
	}
	return wire.MaxLength
}
